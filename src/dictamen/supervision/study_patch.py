"""Supervision of one patch as numpy arrays, and batches of them as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from dictamen.errors import UsageError
from dictamen.supervision.patch import TABLES, PatchSupervision

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class StudyPatch:
    """`PatchSupervision` of one study, without the batch axis. L labels, K rows, M lesions.

    Attributes:
        state, region: [L, X, Y, Z].
        volume_lo, volume_hi, weight, absent, rest_negative, attenuation: [L, K].
        lesion_index: [M, 2], label and row of each lesion; those of one row adjacent, largest first.
        lesion_diameters_mm: [M, 3]; lesion_volume_mm3, lesion_known: [M].
        spacing_mm: [3].
    """

    state: UInt8Array
    region: UInt8Array
    volume_lo: FloatArray
    volume_hi: FloatArray
    weight: FloatArray
    absent: BoolArray
    rest_negative: BoolArray
    attenuation: npt.NDArray[np.int8]
    lesion_index: npt.NDArray[np.int64]
    lesion_diameters_mm: FloatArray
    lesion_volume_mm3: FloatArray
    lesion_known: BoolArray
    spacing_mm: FloatArray


LESIONS = ("lesion_diameters_mm", "lesion_volume_mm3", "lesion_known")


def without_regions(state: UInt8Array, spacing_mm: Sequence[float]) -> StudyPatch:
    """A patch whose voxels say all that is known of it (K = M = 0)."""
    labels = state.shape[0]
    empty, none = np.zeros((labels, 0), np.float32), np.zeros((labels, 0), bool)
    return StudyPatch(
        state=state,
        region=np.zeros_like(state),
        volume_lo=empty,
        volume_hi=empty,
        weight=empty,
        absent=none,
        rest_negative=none,
        attenuation=np.zeros((labels, 0), np.int8),
        lesion_index=np.zeros((0, 2), np.int64),
        lesion_diameters_mm=np.zeros((0, 3), np.float32),
        lesion_volume_mm3=np.zeros(0, np.float32),
        lesion_known=np.zeros(0, bool),
        spacing_mm=np.asarray(spacing_mm, np.float32),
    )


def coarser(patch: StudyPatch, factor: int) -> StudyPatch:
    """The patch on a grid of `factor` times the spacing: of each block the voxel next to its centre. Tables stay."""
    middle = slice(factor // 2, None, factor)
    cut = (slice(None), middle, middle, middle)
    return replace(
        patch,
        state=np.ascontiguousarray(patch.state[cut]),
        region=np.ascontiguousarray(patch.region[cut]),
        spacing_mm=patch.spacing_mm * np.float32(factor),
    )


def block_means(image: npt.NDArray[np.generic], factor: int) -> FloatArray:
    """The mean of each block of `factor`^3 voxels; the extents [X, Y, Z] are multiples of it."""
    x, y, z = (n // factor for n in image.shape)
    blocks = image.reshape(x, factor, y, factor, z, factor)
    means: FloatArray = blocks.mean(axis=(1, 3, 5), dtype=np.float32)
    return means


def collate(patches: Sequence[StudyPatch]) -> PatchSupervision:
    """A batch: tables padded to the largest K (at least 1) with rows of weight 0, lesions study by study.

    Raises:
        UsageError: no patch, or patches of different shapes.
    """
    shapes = {patch.state.shape for patch in patches}
    if len(shapes) != 1:
        raise UsageError("A batch needs patches of one shape.", got=sorted(shapes), expected="one [L, X, Y, Z]")
    rows = max(1, *(patch.weight.shape[1] for patch in patches))
    tables = {name: np.stack([_padded(getattr(patch, name), rows) for patch in patches]) for name in TABLES}
    lesions = {name: np.concatenate([getattr(patch, name) for patch in patches]) for name in LESIONS}
    index = [np.insert(patch.lesion_index, 0, b, axis=1) for b, patch in enumerate(patches)]
    arrays = {
        "state": np.stack([patch.state for patch in patches]),
        "region": np.stack([patch.region for patch in patches]),
        **tables,
        "lesion_index": np.concatenate(index),
        **lesions,
        "spacing_mm": np.stack([patch.spacing_mm for patch in patches]).astype(np.float32),
    }
    return PatchSupervision(**{name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()})


def _padded(table: npt.NDArray[np.generic], rows: int) -> npt.NDArray[np.generic]:
    return np.pad(table, ((0, 0), (0, rows - table.shape[1])))
