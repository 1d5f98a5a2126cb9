"""What the ball loss must know on the host: which regions, where, how many rounds, how large its windows are.

Made from the CPU copy of the batch (by the loader, before `.to(device)`), so that the step on the device never waits
for a value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int, UInt8
from scipy.fft import next_fast_len
from scipy.ndimage import find_objects
from torch import Tensor

from dictamen.losses.crops import Index3
from dictamen.supervision.patch import PatchSupervision

CANDIDATE_FACTOR = 1.2
"""Diameter of the candidate ball over the lesion's largest diameter, as published."""

BORDER_MM = 3.0
"""How far the ignored border reaches beyond the lesion, as published: readers disagree by about that much."""


@dataclass(frozen=True)
class Round:
    """The lesions of one rank: one of each of the first `regions` regions.

    Attributes:
        regions: how many regions have a lesion of this rank; they are the first ones of the plan.
        kernel_reach: half extent of the largest smoothing ball, voxels.
        candidate_window: extent of a box that holds the largest candidate ball, at most the crop, voxels.
        fft_size: transform size that holds a crop and the kernel without wrapping into the crop.
    """

    regions: int
    kernel_reach: Index3
    candidate_window: Index3
    fft_size: Index3


@dataclass(frozen=True)
class BallPlan:
    """R regions with lesions in a batch, those with the most lesions first, cropped to boxes of one common size.

    Attributes:
        rows: (b, l, k) of each region.
        start: first voxel of its crop.
        size: common size of the crops, voxels.
        rounds: first the largest lesion of every region, then the second largest...
        border_reach: half extent of the ignored border, voxels.
        row_index: `rows` as a tensor.
        lesion_order: lesions of round 0, then of round 1..., in the order of `rows`.
    """

    rows: tuple[Index3, ...]
    start: tuple[Index3, ...]
    size: Index3
    rounds: tuple[Round, ...]
    border_reach: Index3
    row_index: Int[Tensor, "R 3"]
    lesion_order: Int[Tensor, " M"]

    def to(self, device: torch.device) -> BallPlan:
        """Its two small tensors on `device`, without waiting."""
        return replace(
            self,
            row_index=self.row_index.to(device, non_blocking=True),
            lesion_order=self.lesion_order.to(device, non_blocking=True),
        )


def plan_balls(
    region: UInt8[Tensor, "B L X Y Z"],
    lesion_index: Int[Tensor, "M 3"],
    lesion_diameters_mm: Float[Tensor, "M 3"],
    spacing_mm: Float[Tensor, "B 3"],
) -> BallPlan:
    """The plan of a batch. Lesions with a negative index (padding) and of regions without a voxel are left out.

    Tensors on another device are copied to the host, which waits for them: call it before `.to(device)`.
    """
    lesions = _lesions_by_region(lesion_index.tolist())
    boxes = _boxes(region, {(b, label) for b, label, _ in lesions})
    rows = sorted((row for row in lesions if row in boxes), key=lambda row: -len(lesions[row]))
    shape = _index3(region.shape[2:])
    spacing, diameters = spacing_mm.tolist(), lesion_diameters_mm.tolist()
    size = _index3(
        max(boxes[row][axis].stop - boxes[row][axis].start for row in rows) if rows else 1 for axis in range(3)
    )
    ranked = [
        [lesions[row][rank] for row in rows if len(lesions[row]) > rank]
        for rank in range(len(lesions[rows[0]]) if rows else 0)
    ]
    return BallPlan(
        rows=tuple(rows),
        start=tuple(
            _index3(min(boxes[row][axis].start, shape[axis] - size[axis]) for axis in range(3)) for row in rows
        ),
        size=size,
        rounds=tuple(
            _round([(max(diameters[i]), spacing[row[0]]) for i, row in zip(of_rank, rows, strict=False)], size)
            for of_rank in ranked
        ),
        border_reach=_reach([(BORDER_MM, spacing[b]) for b, _, _ in rows], size),
        row_index=torch.tensor(rows, dtype=torch.long).view(-1, 3),
        lesion_order=torch.tensor([i for of_rank in ranked for i in of_rank], dtype=torch.long),
    )


def plan_of(supervision: PatchSupervision) -> BallPlan:
    """`plan_balls` for the loader's supervision, before it goes to the device."""
    s = supervision
    return plan_balls(s.region, s.lesion_index, s.lesion_diameters_mm, s.spacing_mm)


def _lesions_by_region(index: Sequence[Sequence[int]]) -> dict[Index3, list[int]]:
    lesions: dict[Index3, list[int]] = {}
    for lesion, row in enumerate(index):
        if min(row) >= 0:
            lesions.setdefault(_index3(row), []).append(lesion)
    return lesions


def _boxes(region: UInt8[Tensor, "B L X Y Z"], maps: set[tuple[int, int]]) -> dict[Index3, tuple[slice, slice, slice]]:
    """The bounding box of each region (b, l, k) of the given maps (b, l) that has a voxel."""
    return {
        (b, label, k): box
        for b, label in maps
        for k, box in enumerate(find_objects(region[b, label].cpu().numpy()))
        if box is not None
    }


def _round(lesions: Sequence[tuple[float, Sequence[float]]], size: Index3) -> Round:
    """`lesions`: largest diameter in mm, and the spacing of its study."""
    kernel = _reach([(diameter / 2, spacing) for diameter, spacing in lesions], size)
    candidate = _reach([(CANDIDATE_FACTOR * diameter / 2, spacing) for diameter, spacing in lesions], size)
    window = _index3(min(2 * h + 1, n) for h, n in zip(candidate, size, strict=True))
    fft_size = _index3(int(next_fast_len(n + h, real=True)) for n, h in zip(size, kernel, strict=True))
    return Round(regions=len(lesions), kernel_reach=kernel, candidate_window=window, fft_size=fft_size)


def _reach(radii: Sequence[tuple[float, Sequence[float]]], size: Index3) -> Index3:
    """Voxels along each axis that the largest radius covers; never more than a crop can use.

    One voxel is added where the quotient is within rounding of a whole number, so that the device's comparison decides.
    """
    return _index3(
        min(n - 1, max((math.floor(r / s[axis] + 1e-3) for r, s in radii), default=0)) for axis, n in enumerate(size)
    )


def _index3(values: Iterable[int]) -> Index3:
    x, y, z = values
    return int(x), int(y), int(z)
