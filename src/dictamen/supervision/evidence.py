"""What one finding is worth for one output label: a lesion that is there, one that may be, or none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from dictamen.anatomy.lesion_labels import ALL_KINDS, LesionLabel
from dictamen.interval import Interval
from dictamen.reports.schema import Finding
from dictamen.supervision.constraint import LesionSize
from dictamen.supervision.organ_facts import OrganFacts, Slot
from dictamen.supervision.sizes import TINY_MM, ball_volume, lesion_size

POSSIBLE_WEIGHT = 0.5
"""A lesion that only may exist, or whose kind only may be the label's: half as sure as a stated one."""
KIND_WEIGHT = {"certain": 1.0, "probable": 0.8, "possible": POSSIBLE_WEIGHT}
"""Hedged kinds ("likely a metastasis") are right in about four of five."""

COVERED_BY_ABSENCE: dict[str, frozenset[str]] = {
    "uncertain": ALL_KINDS,
    "tumour": frozenset({"tumour", "metastasis", "malignant", "uncertain"}),
    "malignant": frozenset({"metastasis", "malignant"}),
    "metastasis": frozenset({"metastasis"}),
    "cyst": frozenset({"cyst"}),
    "benign": frozenset({"benign"}),
}
"""Kinds that are gone once a report says that this kind is absent: "no focal lesion" (uncertain) rules out all."""

Relation = Literal["member", "perhaps", "other"]


@dataclass(frozen=True)
class Evidence:
    """One finding as evidence for a label in some slots of its organ.

    Args:
        slots: sides where it can be (all of them where the report does not say).
        optional: it may not exist, or not be the label's: no lower bound, no target.
        count: lesions that it stands for.
        size: the largest of them.
        each_sized: all of them have this size, not only the largest.
    """

    finding: Finding
    slots: frozenset[Slot]
    optional: bool
    count: Interval
    size: LesionSize
    each_sized: bool
    weight: float

    @property
    def parts(self) -> frozenset[str]:
        """Parts of the organ where it is; empty where the report does not say."""
        return frozenset(self.finding.parts)

    @property
    def is_group(self) -> bool:
        """Whether it may stand for more than one lesion."""
        return self.count.hi > 1

    @property
    def settled(self) -> bool:
        """Whether all its lesions are counted and sized."""
        return not self.optional and self.count.lo == self.count.hi and self.each_sized

    @property
    def volume_mm3(self) -> Interval:
        """Volume of all its lesions together: the largest as stated, the others anything visible up to that."""
        smallest = min(self.size.volume_mm3.lo, ball_volume(TINY_MM.lo))
        lo = 0.0 if self.optional else self.size.volume_mm3.lo + (self.count.lo - 1) * smallest
        return Interval(lo, self.count.hi * self.size.volume_mm3.hi)


def relation(finding: Finding, target: LesionLabel) -> Relation:
    """Whether the finding's kind is one of the label's, may be, or is not."""
    if target.kinds >= ALL_KINDS:
        return "member"
    if finding.kind == "uncertain" or finding.kind_certainty == "possible":
        return "perhaps"
    return "member" if finding.kind in target.kinds else "other"


def absence_covers(finding: Finding, target: LesionLabel) -> bool:
    """Whether "no <kind>" says that the label is absent."""
    kinds = target.kinds - {"uncertain"} if target.kinds < ALL_KINDS else target.kinds
    return kinds <= COVERED_BY_ABSENCE[finding.kind]


def slots_of(finding: Finding, facts: OrganFacts) -> frozenset[Slot]:
    """Slots where the finding can be. One without a side can't be on a side that is clear or removed."""
    if finding.side in ("left", "right"):
        return frozenset({finding.side}) & frozenset(facts.slots)
    everywhere = frozenset(facts.slots)
    if finding.side == "bilateral":
        return everywhere
    return (everywhere - facts.clear - facts.removed) or everywhere


def evidence(finding: Finding, target: LesionLabel, facts: OrganFacts) -> list[Evidence]:
    """The finding as evidence; a bilateral one becomes one for each side, where both have at least one lesion."""
    optional = finding.existence == "possible" or relation(finding, target) == "perhaps"
    size = lesion_size(
        finding.diameters_mm, finding.size_qualifier, finding.size_range_mm,
        short_axis=finding.short_axis, structure=finding.structure,
    )  # fmt: skip
    count = Interval(max(finding.count.lo, 1.0), max(finding.count.hi, 1.0))
    stated = bool(finding.diameters_mm) and finding.size_qualifier in (None, "exact", "approx")
    each_sized = bool(finding.diameters_mm) if count.hi == 1 else stated
    slots = slots_of(finding, facts)
    weight = _weight(finding, target)
    if finding.side == "bilateral" and len(slots) == 2:
        pair = count == Interval.exact(2)
        share = Interval.exact(1) if pair else Interval(1, max(count.hi - 1, 1) if count.hi > 1 else math.inf)
        part = size if pair and stated else LesionSize(None, Interval(ball_volume(TINY_MM.lo), size.volume_mm3.hi))
        return [
            Evidence(finding, frozenset({slot}), optional, share, part, pair and stated, weight) for slot in facts.slots
        ]
    return [Evidence(finding, slots, optional, count, size, each_sized, weight)]


def _weight(finding: Finding, target: LesionLabel) -> float:
    kind = 1.0 if target.kinds >= ALL_KINDS else KIND_WEIGHT[finding.kind_certainty]
    if relation(finding, target) == "perhaps":
        kind = POSSIBLE_WEIGHT
    return finding.confidence * kind * (POSSIBLE_WEIGHT if finding.existence == "possible" else 1.0)
