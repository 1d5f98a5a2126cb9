"""Supervision for people: a constraint as one line of English, a study's regions as a label map with a legend."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dictamen.interval import Interval
from dictamen.supervision.constraint import Constraint, Region
from dictamen.supervision.study_regions import RegionKind, StudyRegions, kind_of

MM3_PER_ML = 1000.0
FULL_WEIGHT = 0.95
"""The confidence of a plain statement; saying "weight 0.98" of each would hide the doubtful ones."""


@dataclass(frozen=True)
class LegendRow:
    """One region of a picture: its value in the map, its label, what is said of it, its volume, allowed volume."""

    value: int
    label: str
    kind: RegionKind
    region_ml: float
    allowed: str
    weight: float


def describe(constraint: Constraint) -> str:
    """One line, such as "1 kidney_tumour in left kidney, upper pole: 23 mm, 3.4-9.7 ml"."""
    place = _place(constraint.region)
    kind = kind_of(constraint)
    if kind == "absent":
        return f"no {constraint.label} in {place}{_weight(constraint.weight)}"
    if kind == "unknown":
        return f"{constraint.label} in {place}: not known"
    sizes = [f"{_number(s.diameters_mm[0])} mm" for s in constraint.lesions if s.diameters_mm is not None]
    facts = [*sizes, _volume(constraint.volume_mm3), "rest not known" if constraint.rest == "ignore" else ""]
    listed = ", ".join(fact for fact in facts if fact)
    return f"{_count(constraint.count)} {constraint.label} in {place}: {listed}{_weight(constraint.weight)}"


def picture(regions: StudyRegions, target: int, label: str) -> tuple[npt.NDArray[np.uint8], list[LegendRow]]:
    """The regions of one target in the whole study.

    Returns:
        A map [X, Y, Z], 0 outside all regions, and a row for each value in it.
    """
    volume = np.zeros(regions.shape, dtype=np.uint8)
    voxel_ml = math.prod(regions.spacing_mm) / MM3_PER_ML
    rows = []
    for value, region in enumerate((r for r in regions.regions if r.label == target), start=1):
        volume[region.mask(regions.shape)] = value
        allowed = "not known" if region.kind == "unknown" else _volume(region.volume_mm3) or "any"
        rows.append(LegendRow(value, label, region.kind, region.voxels * voxel_ml, allowed, region.weight))
    return volume, rows


def _place(region: Region) -> str:
    side = f"{region.side} " if region.side in ("left", "right") else ""
    parts = ", " + " or ".join(region.parts) if region.parts else ""
    images = f", image {' or '.join(map(str, region.images))}" if region.images else ""
    return f"{side}{region.structure.replace('_', ' ')}{parts}{images}"


def _count(count: Interval) -> str:
    if count.lo == count.hi:
        return _number(count.lo)
    if math.isinf(count.hi):
        return f"at least {_number(count.lo)}" if count.lo else "any number of"
    return f"{_number(count.lo)}-{_number(count.hi)}" if count.lo else f"up to {_number(count.hi)}"


def _volume(volume: Interval) -> str:
    lo, hi = volume.lo / MM3_PER_ML, volume.hi / MM3_PER_ML
    if math.isinf(hi):
        return f"at least {_millilitres(lo)} ml" if lo else ""
    if hi == 0:
        return "0 ml"
    return f"{_millilitres(lo)}-{_millilitres(hi)} ml" if lo else f"up to {_millilitres(hi)} ml"


def _millilitres(value: float) -> str:
    """Two digits that matter, so that a 3 mm ball is not 0.0 ml."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _number(value: float) -> str:
    return f"{value:g}"


def _weight(weight: float) -> str:
    return "" if weight >= FULL_WEIGHT else f" (weight {weight:.2g})"
