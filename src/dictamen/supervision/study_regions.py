"""Where a study's constraints hold: region masks of a whole study, made once and kept small."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dictamen.anatomy.regions import bounding_box
from dictamen.interval import Interval
from dictamen.supervision.constraint import Constraint, Deferred, LesionSize
from dictamen.supervision.patch import HYPER, HYPO, ISO, NOT_SAID

BoolArray = npt.NDArray[np.bool_]
BoxArray = npt.NDArray[np.int64]
RegionKind = Literal["positive", "possible", "absent", "unknown"]
ATTENUATION = {"hypo": HYPO, "fat": HYPO, "iso": ISO, "hyper": HYPER, "calcified": HYPER}
"""Beside the organ, of what a report may call a lesion; "mixed" says nothing of its mean."""


@dataclass(frozen=True)
class StudyRegion:
    """One region of one label.

    Args:
        label: place among the targets.
        kind: "positive" has a lesion for certain, "possible" may have, "absent" has none, "unknown" is not known.
        lo: first voxel of its bounding box.
        bits: the mask in its box, packed along z (`np.packbits`), 1/8 byte a voxel.
        depth: voxels of the box along z.
        voxels: size of the region.
        attenuation: -1 hypo, 1 hyper, 2 iso, 0 not said.
    """

    label: int
    kind: RegionKind
    lo: tuple[int, int, int]
    bits: npt.NDArray[np.uint8]
    depth: int
    voxels: int
    volume_mm3: Interval
    lesions: tuple[LesionSize, ...]
    rest_negative: bool
    weight: float
    attenuation: int

    @property
    def box(self) -> BoxArray:
        """[[lo], [hi]], hi exclusive, voxels of the study's grid."""
        x, y, z = self.lo
        return np.array([self.lo, (x + self.bits.shape[0], y + self.bits.shape[1], z + self.depth)], dtype=np.int64)

    def crop(self, start: Sequence[int], size: Sequence[int]) -> tuple[tuple[slice, ...], BoolArray] | None:
        """Where the region lies in the patch [start, start + size), and its mask there; None where it does not."""
        box = self.box
        begin, end = np.maximum(box[0], start), np.minimum(box[1], np.add(start, size))
        if (begin >= end).any():
            return None
        x, y, z = (slice(a, b) for a, b in zip(begin - box[0], end - box[0], strict=True))
        mask = np.unpackbits(self.bits[x, y], axis=2, count=self.depth)[:, :, z].view(bool)
        return tuple(slice(a, b) for a, b in zip(begin - start, end - start, strict=True)), mask

    def mask(self, shape: Sequence[int]) -> BoolArray:
        """The region in the whole study."""
        whole = np.zeros(tuple(shape), dtype=bool)
        found = self.crop((0, 0, 0), shape)
        if found is not None:
            whole[found[0]] = found[1]
        return whole


@dataclass(frozen=True)
class StudyRegions:
    """All regions of a study at training level. Those of one label are disjoint.

    Args:
        shape: voxels of the study.
        spacing_mm: of its grid.
        regions: positive first, then possible, absent, unknown.
        negative_outside: for each target, whether voxels outside all its regions are negative; otherwise unknown.
        annotated_organs: names of the organ map whose absence means absence.
        deferred: what could not become a region or a constraint.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    regions: tuple[StudyRegion, ...]
    negative_outside: tuple[bool, ...]
    annotated_organs: frozenset[str]
    deferred: tuple[Deferred, ...]

    @property
    def boxes(self) -> tuple[BoxArray, ...]:
        """[[lo], [hi]] of each region, positive ones first: places to centre a patch on."""
        return tuple(region.box for region in self.regions)

    @property
    def positive_boxes(self) -> tuple[BoxArray, ...]:
        """Boxes of the regions that have, or may have, lesions."""
        return tuple(region.box for region in self.regions if region.kind in ("positive", "possible"))

    @property
    def other_boxes(self) -> tuple[BoxArray, ...]:
        """Boxes of the regions that are free of lesions."""
        return tuple(region.box for region in self.regions if region.kind == "absent")

    def numbered(self) -> Iterator[tuple[StudyRegion, int]]:
        """Each region with its number among those of its label, from 1: its value in `maps`."""
        count: Counter[int] = Counter()
        for region in self.regions:
            count[region.label] += 1
            yield region, count[region.label]

    def maps(self, start: Sequence[int], size: Sequence[int]) -> npt.NDArray[np.int16]:
        """[targets, X, Y, Z]: the number of the region that each voxel of [start, start + size) lies in, 0 in none."""
        maps = np.zeros((len(self.negative_outside), *size), np.int16)
        for region, number in self.numbered():
            crop = region.crop(start, size)
            if crop is not None:
                maps[region.label][crop[0]][crop[1]] = number
        return maps

    @property
    def nbytes(self) -> int:
        """Bytes of the masks."""
        return sum(region.bits.nbytes for region in self.regions)


def kind_of(constraint: Constraint) -> RegionKind:
    """What a constraint says of its region."""
    if constraint.count.is_absent:
        return "absent"
    if constraint.weight == 0:
        return "unknown"
    return "positive" if constraint.count.lo > 0 else "possible"


def study_region(label: int, constraint: Constraint, mask: BoolArray) -> StudyRegion | None:
    """Pack a region; None where the mask is empty."""
    box = bounding_box(mask)
    if box is None:
        return None
    crop = mask[box]
    return StudyRegion(
        label=label,
        kind=kind_of(constraint),
        lo=(box[0].start, box[1].start, box[2].start),
        bits=np.packbits(crop, axis=2),
        depth=crop.shape[2],
        voxels=int(np.count_nonzero(crop)),
        volume_mm3=constraint.volume_mm3,
        lesions=constraint.lesions,
        rest_negative=constraint.rest == "negative",
        weight=constraint.weight,
        attenuation=ATTENUATION.get(constraint.attenuation or "", NOT_SAID),
    )
