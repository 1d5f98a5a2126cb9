"""From dictated diameters to the volumes that they allow.

A diameter fixes a volume only so well: lesions are no ellipsoids, and two readers differ. The factors below were
measured on real lesion shapes (benchmarks/supervision/calibrate_sizes.py, benchmarks/results/size_calibration.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dictamen.errors import InputError
from dictamen.interval import Interval
from dictamen.supervision.constraint import LesionSize

ELLIPSOID = math.pi / 6
"""Volume of an ellipsoid divided by the product of its three axes."""

COMPACT = (Interval(0.54, 1.52), Interval(0.68, 1.40), Interval(0.70, 1.20))
"""True volume / ellipsoid of one, two, three diameters, 10-90 %, of compact lesions: 75 kidney tumours.

One: against the size in the report. Two and three: against diameters of the masks and a reader's error of 10 %."""
IRREGULAR = (Interval(0.25, 1.15), Interval(0.45, 1.45), Interval(0.65, 1.30))
"""The same of 1,981 lung nodules, flat, lobulated or spiculated: a sphere of their diameter is twice too large."""
IRREGULAR_IN = frozenset({"lung", "pleura"})
"""Organs whose lesions have the wider factors."""

APPROXIMATE_DIAMETER = Interval(0.85, 1.15)
""""About 2 cm" is rounded to half a centimetre: up to 15 % of a diameter beyond the reader's usual error."""
LIMIT_LO_FRACTION = 0.5
""""Up to 2 cm": usually the size of the largest, rarely less than half of it."""
SHORT_AXIS_LENGTHENING = 2.0
"""A node measured on its short axis is up to twice as long; beyond that it is called elongated and measured twice."""

SMALLEST_MM, LARGEST_MM = 5.0, 120.0
"""Diameters that an unknown size may have: smaller are hardly seen on 3-5 mm slices, larger always measured."""
TINY_MM = Interval(2.0, 8.0)
""""Tiny", "punctate": seen, too small to measure."""
SUBCENTIMETRE_MM = Interval(3.0, 10.0)
""""Subcentimetre", "too small to characterise"."""
LARGE_MM = Interval(30.0, 200.0)
""""Large", "bulky" without a number: smaller than 3 cm is hardly ever called large, 20 cm fills the abdomen."""


def complete_axes(diameters_mm: Sequence[float]) -> tuple[float, float, float]:
    """Three axes in mm, largest first: one diameter gives a sphere, two their geometric mean as third, three stay.

    Raises:
        InputError: none or more than three diameters, or one that is not positive.
    """
    sizes = sorted(diameters_mm, reverse=True)
    if not 1 <= len(sizes) <= 3 or not all(0 < size < math.inf for size in sizes):
        raise InputError("A lesion needs one to three positive diameters in mm.", got=tuple(diameters_mm))
    if len(sizes) == 1:
        return sizes[0], sizes[0], sizes[0]
    if len(sizes) == 2:
        return sizes[0], math.sqrt(sizes[0] * sizes[1]), sizes[1]
    return sizes[0], sizes[1], sizes[2]


def ellipsoid_volume(diameters_mm: Sequence[float]) -> float:
    """Volume in mm3 of the ellipsoid of one to three diameters."""
    return ELLIPSOID * math.prod(complete_axes(diameters_mm))


def ball_volume(diameter_mm: float) -> float:
    """Volume in mm3 of a ball."""
    return ELLIPSOID * diameter_mm**3


def unknown_volume() -> Interval:
    """Volumes in mm3 of a lesion whose size nobody stated."""
    return _balls(Interval(SMALLEST_MM, LARGEST_MM))


def volume_interval(
    diameters_mm: Sequence[float],
    qualifier: str | None = None,
    size_range_mm: Interval | None = None,
    *,
    short_axis: bool = False,
    structure: str | None = None,
) -> Interval:
    """Volumes in mm3 that one lesion of the dictated size can have.

    Args:
        diameters_mm: none to three, as dictated.
        qualifier: `Finding.size_qualifier`; None is exact.
        size_range_mm: smallest and largest diameter, where a range was dictated; an open end is unknown.
        short_axis: the diameter is a lymph node's short axis.
        structure: the organ; lesions of some are less compact.
    """
    factors = IRREGULAR if structure in IRREGULAR_IN else COMPACT
    vague = {"tiny": TINY_MM, "subcentimetre": SUBCENTIMETRE_MM, "large": LARGE_MM}
    if size_range_mm is not None and not size_range_mm.is_absent:
        return _range_volumes(size_range_mm, factors[0])
    if not diameters_mm:
        return _balls(vague[qualifier]) if qualifier in vague else unknown_volume()
    exact = factors[len(diameters_mm) - 1] * ellipsoid_volume(diameters_mm)
    if short_axis and len(diameters_mm) == 1:
        exact = Interval(exact.lo, exact.hi * SHORT_AXIS_LENGTHENING)
    if qualifier == "approx":
        return Interval(exact.lo * APPROXIMATE_DIAMETER.lo**3, exact.hi * APPROXIMATE_DIAMETER.hi**3)
    if qualifier in ("max", "range", "tiny", "subcentimetre"):
        return Interval(exact.lo * LIMIT_LO_FRACTION**3, exact.hi)
    if qualifier in ("min", "large"):
        return Interval(exact.lo, max(2 * exact.hi, unknown_volume().hi))
    return exact


def lesion_size(
    diameters_mm: Sequence[float],
    qualifier: str | None = None,
    size_range_mm: Interval | None = None,
    *,
    short_axis: bool = False,
    structure: str | None = None,
) -> LesionSize:
    """One lesion: its completed axes (None where no diameter was dictated) and its volumes."""
    volume = volume_interval(diameters_mm, qualifier, size_range_mm, short_axis=short_axis, structure=structure)
    return LesionSize(complete_axes(diameters_mm) if diameters_mm else None, volume)


def _range_volumes(size_range_mm: Interval, factor: Interval) -> Interval:
    lo = size_range_mm.lo or min(SMALLEST_MM, size_range_mm.hi * LIMIT_LO_FRACTION)
    hi = size_range_mm.hi if math.isfinite(size_range_mm.hi) else max(LARGEST_MM, lo)
    return Interval(ball_volume(lo) * factor.lo, ball_volume(hi) * factor.hi)


def _balls(diameters: Interval) -> Interval:
    return Interval(ball_volume(diameters.lo), ball_volume(diameters.hi))
