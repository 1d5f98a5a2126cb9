"""Parts of an organ by geometry, where no label names them: approximate, as the borders that radiologists see are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from dictamen.anatomy.boxes import BoolArray, bounding_box

Axis = Literal["R", "A", "S", "long"]
Slab = tuple[Axis, float, float]
"""Axis (the patient's right, anterior, superior, or the organ's own long axis from its left to its right end), from,
to: fractions of the organ's extent along R, A, S; fractions of its volume along "long"."""

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


def geometric_part(mask: BoolArray, whole: str, part: str, spacing_mm: tuple[float, float, float]) -> BoolArray | None:
    """The voxels of one organ's mask [X, Y, Z] (canonical, one side) that lie in a part; None without a rule for it."""
    slab = SLABS.get(whole, {}).get(part)
    box = bounding_box(mask)
    if slab is None or box is None:
        return None
    axis, low, high = slab
    crop = mask[box]
    chosen = np.zeros(mask.shape, dtype=bool)
    chosen[box] = (
        _along_organ(crop, low, high, spacing_mm) if axis == "long" else _along_axis(crop, "RAS".index(axis), low, high)
    )
    return chosen


def _along_axis(crop: BoolArray, axis: int, low: float, high: float) -> BoolArray:
    size = crop.shape[axis]
    place = (np.arange(size) + 0.5) / size
    inside = ((place >= low) & (place <= high)).reshape([-1 if other == axis else 1 for other in range(3)])
    return np.asarray(crop & inside)


def _along_organ(crop: BoolArray, low: float, high: float, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """Between two quantiles of the projection on the first principal axis, which points to the patient's right."""
    index = np.argwhere(crop)
    points = index * np.asarray(spacing_mm)
    centred = points - points.mean(axis=0)
    direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    along = centred @ (direction * (1 if direction[0] >= 0 else -1))
    lo, hi = np.quantile(along, [low, high])
    chosen = np.zeros(crop.shape, dtype=bool)
    chosen[tuple(index[(along >= lo) & (along <= hi)].T)] = True
    return chosen
