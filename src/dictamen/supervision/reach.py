"""How far lesions reach out of the organ masks of a cohort, measured on the studies that have both masks.

Some organ masks hold the tumours of their organ, others end where the tumour begins. Regions that are too small miss
lesions; regions that are larger than they must be let the losses look for lesions where there are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dictamen.anatomy.boxes import bounding_box
from dictamen.supervision.region_geometry import LARGEST_REACH_MM, Dilation

BoolArray = npt.NDArray[np.bool_]

LEAST_LESIONS = 3
"""Fewer say nothing about the other studies of a cohort."""
SAFETY = 1.25
"""The next lesion may reach farther than those that were measured."""
LEAST_MM = 3.0
"""Readers disagree about a border by that much."""
MOST_VOXELS = 0.98
"""Of a lesion's voxels; the others are specks and slips of the pen."""


@dataclass(frozen=True)
class Reach:
    """How far one lesion reaches out of its organ's mask, and the diameter of a ball of its volume, mm."""

    outside_mm: float
    diameter_mm: float


def lesion_reaches(organ: BoolArray, lesions: BoolArray, spacing_mm: Sequence[float]) -> list[Reach]:
    """One for each connected lesion that lies within 40 mm of the organ.

    Args:
        organ, lesions: masks [X, Y, Z] of one study.
        spacing_mm: distance between voxel centres along each axis.
    """
    box = bounding_box(lesions, LARGEST_REACH_MM, spacing_mm)
    if box is None or not organ[box].any():
        return []
    distance = ndimage.distance_transform_edt(~organ[box], sampling=spacing_mm)
    labels, count = ndimage.label(lesions[box])
    index = range(1, count + 1)
    volumes = np.bincount(labels.ravel(), minlength=count + 1)[1:] * np.prod(spacing_mm)
    reaches = ndimage.labeled_comprehension(distance, labels, index, lambda d: np.quantile(d, MOST_VOXELS), float, 0.0)
    return [
        Reach(float(reach), float((6 * volume / np.pi) ** (1 / 3)))
        for reach, volume in zip(reaches, volumes, strict=True)
        if reach <= LARGEST_REACH_MM
    ]


def measured_dilation(reaches: Iterable[Reach], default: Dilation) -> Dilation:
    """The dilation that holds all measured lesions and a quarter more, never wider than `default`; `default` itself
    where there are fewer than three."""
    known = list(reaches)
    if len(known) < LEAST_LESIONS:
        return default
    farthest = max(reach.outside_mm for reach in known)
    share = max(reach.outside_mm / reach.diameter_mm for reach in known)
    return Dilation(
        part_mm=default.part_mm,
        organ_mm=min(max(LEAST_MM, SAFETY * farthest), default.organ_mm),
        lesion_share=min(SAFETY * share, default.lesion_share),
    )
