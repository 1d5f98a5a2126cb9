"""Truth from a report alone: is the label present, absent, or does the report not say? And how many, how large, where?

The report is read through `supervision.from_findings.constraints`, so that training and evaluation understand it alike.
Unknown is not negative: what the report does not say, or calls only possible, is left out and counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from dictamen.evaluation.study_level import State
from dictamen.interval import Interval
from dictamen.reports.schema import ReportFindings
from dictamen.supervision.constraint import Constraint

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")
MEASURED_RATIO = 8.0
"""A size whose largest allowed volume is at most so many times the smallest was measured (exact 2.8, "about" 7.0);
wider ones ("up to 2 cm": 22) are bounds, and a predicted diameter can't be compared with them."""
UNKNOWN_COUNT = Interval()
"""Nobody said how many."""


@dataclass(frozen=True, slots=True)
class ReportTruth:
    """What one report says about one label (and side).

    Attributes:
        state: present, absent, unknown.
        count: how many lesions.
        diameter_mm: the largest dictated diameter; None where none was dictated, or only a bound.
        parts: named parts of the organ, joined; empty where some lesion has none.
        side: the one side of all lesions; None where both or unsaid.
    """

    state: State
    count: Interval = UNKNOWN_COUNT
    diameter_mm: float | None = None
    parts: tuple[str, ...] = ()
    side: Side | None = None

    def count_error(self, predicted: int) -> float:
        """How far the predicted number lies outside the reported interval, signed; 0 inside."""
        return max(predicted - self.count.hi, 0.0) + min(predicted - self.count.lo, 0.0)


def report_truth(constraints: Iterable[Constraint], label: str, *, side: Side | None = None) -> ReportTruth:
    """What a report's constraints say about `label`, on `side` or anywhere.

    A lesion whose side nobody said is present in the study and unknown on either side.
    """
    relevant = [c for c in constraints if c.label == label and _touches(c, side)]
    present = [c for c in relevant if c.count.lo >= 1 and (side is None or c.region.side == side)]
    open_ones = [c for c in relevant if c not in present and not c.count.is_absent]
    if present:
        return _described(present, open_ones)
    if relevant and not open_ones:
        return ReportTruth("absent", Interval.exact(0))
    return ReportTruth("unknown")


def is_healthy(report: ReportFindings) -> bool:
    """Whether the report has no current finding, certain or possible (else a negative study has disease elsewhere)."""
    return not any(
        f.temporal == "current" and f.existence != "absent" and not f.count.is_absent and f.trend != "resolved"
        for f in report.findings
    )


def _touches(constraint: Constraint, side: Side | None) -> bool:
    return side is None or constraint.region.side in (side, "bilateral", None)


def _described(present: Sequence[Constraint], others: Sequence[Constraint]) -> ReportTruth:
    lo = sum(c.count.lo for c in present)
    hi = sum(c.count.hi for c in [*present, *others])
    parts = {part for c in present for part in c.region.parts} if all(c.region.parts for c in present) else set()
    sides = {c.region.side for c in present}
    side: Side | None = "left" if sides == {"left"} else "right" if sides == {"right"} else None
    return ReportTruth("present", Interval(lo, hi), _largest_diameter(present), tuple(sorted(parts)), side)


def _largest_diameter(present: Sequence[Constraint]) -> float | None:
    lesions = [lesion for c in present for lesion in c.lesions]
    sizes = [
        lesion.diameters_mm[0]
        for lesion in lesions
        if lesion.diameters_mm
        and lesion.volume_mm3.lo > 0
        and lesion.volume_mm3.hi <= MEASURED_RATIO * lesion.volume_mm3.lo
    ]
    # one lesion of unstated size may be larger than those that were measured
    known = len(sizes) == len(lesions) and math.isfinite(sum(c.count.hi for c in present))
    return max(sizes) if sizes and known else None
