"""Parts of an organ by geometry, where no label names them: approximate, as the borders that radiologists see are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from dictamen.anatomy.boxes import BoolArray, bounding_box
from dictamen.anatomy.slab_regions import FloatArray, Steps, in_mm

Axis = Literal["R", "A", "S", "long"]
Slab = tuple[Axis, float, float]
"""Axis (the patient's right, anterior, superior, or the organ's own long axis from its left to its right end), from,
to: fractions of the organ's extent along R, A, S; fractions of its volume along "long"."""
EXACT_DIGITS = 9
"""A voxel in the very middle is in both halves, whatever the rounding of its place in mm."""

_THIRDS = {"lower": (0.0, 1 / 3), "mid": (1 / 3, 2 / 3), "upper": (2 / 3, 1.0)}
_POLES: dict[str, Slab] = {f"{name} pole": ("S", *range_) for name, range_ in _THIRDS.items()}
_LEVELS: dict[str, Slab] = {f"{name} third": ("S", *range_) for name, range_ in _THIRDS.items()}

SLABS: Mapping[str, Mapping[str, Slab]] = {
    "kidney": _POLES,
    "spleen": _POLES,
    "esophagus": _LEVELS,
    "rectum": _LEVELS,
    "lung": {"apex": ("S", 2 / 3, 1.0), "base": ("S", 0.0, 1 / 3)},
    "prostate": {"base": ("S", 2 / 3, 1.0), "mid gland": ("S", 1 / 3, 2 / 3), "apex": ("S", 0.0, 1 / 3)},
    "bladder": {"dome": ("S", 2 / 3, 1.0)},
    "thyroid_gland": {"right lobe": ("R", 0.5, 1.0), "isthmus": ("R", 0.3, 0.7), "left lobe": ("R", 0.0, 0.5)},
    # The head is a little over a third of the gland's volume, body and tail share the rest. Neighbours overlap, because
    # the borders (mesenteric vessels, aorta) are not in the mask and a region must not miss its lesion.
    "pancreas": {
        "tail": ("long", 0.0, 0.35),
        "body": ("long", 0.25, 0.65),
        "neck": ("long", 0.5, 0.7),
        "head": ("long", 0.55, 1.0),
        "uncinate process": ("long", 0.55, 1.0),
    },
}
"""Whole organ -> plain part name -> where it is. A liver without segment labels has no such rule: its planes follow
vessels, not its box."""


def geometric_part(mask: BoolArray, whole: str, part: str, steps_mm: Steps) -> BoolArray | None:
    """The voxels of one organ's mask [X, Y, Z] (canonical, one side) that lie in a part; None without a rule for it.

    Args:
        mask: of the organ.
        whole: vocabulary id of the organ.
        part: plain name.
        steps_mm: spacing, or affine[:3, :3]: with it, axes are the patient's on an oblique grid too.
    """
    slab = SLABS.get(whole, {}).get(part)
    box = bounding_box(mask)
    if slab is None or box is None:
        return None
    axis, low, high = slab
    crop = mask[box]
    index = np.argwhere(crop)
    points = in_mm(index, steps_mm)
    inside = (
        _along_organ(points, low, high)
        if axis == "long"
        else _along_axis(points[:, "RAS".index(axis)], _voxel_extent(steps_mm)["RAS".index(axis)], low, high)
    )
    chosen = np.zeros(mask.shape, dtype=bool)
    within = np.zeros(crop.shape, dtype=bool)
    within[tuple(index[inside].T)] = True
    chosen[box] = within
    return chosen


def _voxel_extent(steps_mm: Steps) -> FloatArray:
    """Extent of a voxel along the patient's axes, mm."""
    steps = np.asarray(steps_mm, dtype=np.float64)
    return steps if steps.ndim == 1 else np.abs(steps).sum(axis=1)


def _along_axis(along: FloatArray, voxel_mm: float, low: float, high: float) -> npt.NDArray[np.bool_]:
    start = along.min() - voxel_mm / 2
    place = np.round((along - start) / (along.max() + voxel_mm / 2 - start), EXACT_DIGITS)
    return np.asarray((place >= low) & (place <= high))


def _along_organ(points: FloatArray, low: float, high: float) -> npt.NDArray[np.bool_]:
    """Between two quantiles of the projection on the first principal axis, which points to the patient's right."""
    centred = points - points.mean(axis=0)
    direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    along = centred @ (direction * (1 if direction[0] >= 0 else -1))
    lo, hi = np.quantile(along, [low, high])
    return np.asarray((along >= lo) & (along <= hi))
