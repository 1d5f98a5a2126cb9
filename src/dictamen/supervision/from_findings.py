"""What a report says, translated into constraints on regions, one output label at a time.

The constraints of one label divide its organ: every side is covered by a positive region, by "absent" (count [0, 0]),
or by "unknown" (count [0, inf], weight 0). Where a positive region is only a part and no unknown region covers the rest
of that side, the report is complete there: the rest is negative. Unknown is never negative, and what can't be used is
returned as `Deferred`, never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dictamen.anatomy.lesion_labels import LesionLabel
from dictamen.interval import Interval
from dictamen.reports.schema import Finding, ReportFindings
from dictamen.supervision import clusters
from dictamen.supervision.constraint import Constraint, Deferred, Region
from dictamen.supervision.evidence import Evidence, absence_covers, evidence, relation, slots_of
from dictamen.supervision.organ_facts import Slot, organ_facts

LIMITED_WEIGHT = 0.5
"""A study that is non-contrast or shows the organ in part: what it says of the organ is half as sure."""
REMOVED_WEIGHT = 0.5
"""A removed organ has no lesions, but its bed may hold a recurrence or be labelled as something else."""

ABSENT, UNKNOWN = Interval.exact(0), Interval()


def constraints(report: ReportFindings, targets: Sequence[LesionLabel]) -> tuple[list[Constraint], list[Deferred]]:
    """Constraints of each target label, and what was said but could not become one.

    Returns:
        At least one constraint a label with an organ (one that is not mentioned is unknown), in the order of `targets`,
        and the deferred statements with reasons that hold no report text.
    """
    made: list[Constraint] = []
    deferred: list[Deferred] = []
    for target in targets:
        if target.structure is None:
            deferred.append(Deferred(report.study_id, target.name, "the label names no organ"))
            continue
        label = _Label(report, target, target.structure)
        made += label.constraints()
        deferred += label.deferred
    known = {target.structure for target in targets}
    lesions = [f for f in report.findings if f.structure not in known and f.existence != "absent"]
    return made, deferred + [Deferred(report.study_id, "", "no label in this organ") for _ in lesions]


class _Label:
    """The translation of one report for one label."""

    def __init__(self, report: ReportFindings, target: LesionLabel, structure: str) -> None:
        self.study_id = report.study_id
        self.target = target
        self.facts = organ_facts(report, structure, only=target.side)
        self.deferred: list[Deferred] = []
        self.items: list[Evidence] = []
        self.absences: list[Finding] = []
        for finding in _distinct(f for f in report.findings if f.structure == structure):
            self._take(finding)

    def constraints(self) -> list[Constraint]:
        """Positive regions first, then absent ones, then the unknown rest."""
        groups = clusters.cluster(self.items)
        made = [self._positive(group) for group in groups]
        whole = {slot for group in groups if not all(item.parts for item in group) for slot in clusters.slots(group)}
        partly = {slot for group in groups for slot in clusters.slots(group)} - whole
        free = [slot for slot in self.facts.slots if slot not in whole | partly]
        absent = [slot for slot in free if self._is_absent(slot)]
        settled = {slot for slot in partly if slot in self.facts.complete | self.facts.clear}
        unknown = [slot for slot in self.facts.slots if slot not in whole | settled | set(absent)]
        self._defer_absences(whole | partly)
        made += self._absent(absent) + self._absent_parts([slot for slot in unknown if slot not in partly])
        if unknown:
            made.append(
                Constraint(self.target.name, self._region(unknown), UNKNOWN, UNKNOWN, rest="ignore", weight=0.0)
            )
        return made

    def _take(self, finding: Finding) -> None:
        """Sort one finding of the organ: evidence, an absence, or deferred."""
        if finding.temporal == "prior":
            self._defer("a finding of a prior study")
        elif finding.trend == "resolved":
            self._defer("a resolved finding")
        elif not slots_of(finding, self.facts):
            self._defer("on the other side than the label's")
        elif finding.existence == "absent" or finding.count.is_absent:
            if absence_covers(finding, self.target):
                self.absences.append(finding)
            else:
                self._defer("an absence of another kind than the label's")
        elif relation(finding, self.target) == "other":
            self._defer("a lesion of another kind than the label's")
        else:
            self.items += evidence(finding, self.target, self.facts)

    def _positive(self, group: list[Evidence]) -> Constraint:
        place = clusters.slots(group)
        constraint = clusters.positive(self.target.name, self.facts, group, weight=self._limited(place))
        if place & (self.facts.clear | self.facts.removed):
            self._defer("a lesion in an organ that is called clear or removed")
            return replace(constraint, rest="ignore")
        return constraint

    def _is_absent(self, slot: Slot) -> bool:
        facts = self.facts
        stated = any(not finding.parts and slot in slots_of(finding, facts) for finding in self.absences)
        return stated or slot in facts.clear | facts.complete | facts.removed

    def _absent(self, slots: Sequence[Slot]) -> list[Constraint]:
        """One constraint for all slots of the same weight."""
        by_weight: dict[float, list[Slot]] = {}
        for slot in slots:
            removed = REMOVED_WEIGHT if slot in self.facts.removed else 1.0
            by_weight.setdefault(removed * self._limited({slot}), []).append(slot)
        spans = tuple(sorted({*self.facts.spans, *(finding.span for finding in self.absences)}))
        return [
            Constraint(self.target.name, self._region(place), ABSENT, ABSENT, weight=weight, spans=spans)
            for weight, place in by_weight.items()
        ]

    def _absent_parts(self, unknown: Sequence[Slot]) -> list[Constraint]:
        """ "No lesion in segment 4", where nothing else is said of that side."""
        made: dict[Region, Constraint] = {}
        for finding in self.absences:
            place = slots_of(finding, self.facts)
            if finding.parts and place <= set(unknown):
                region = Region(self.facts.structure, _side(place), tuple(sorted(finding.parts)))
                weight = finding.confidence * self._limited(place)
                spans = {finding.span, *(made[region].spans if region in made else ())}
                made[region] = Constraint(
                    self.target.name, region, ABSENT, ABSENT, weight=weight, spans=tuple(sorted(spans))
                )
        return list(made.values())

    def _defer_absences(self, occupied: set[Slot]) -> None:
        for finding in self.absences:
            if slots_of(finding, self.facts) & occupied:
                self._defer("an absence beside lesions of the same organ")

    def _region(self, slots: Sequence[Slot]) -> Region:
        return Region(self.facts.structure, _side(frozenset(slots)))

    def _limited(self, slots: Iterable[Slot]) -> float:
        return LIMITED_WEIGHT if self.facts.limited & set(slots) else 1.0

    def _defer(self, reason: str) -> None:
        self.deferred.append(Deferred(self.study_id, self.target.name, reason))


def _side(slots: Iterable[Slot]) -> Slot:
    only = set(slots)
    return only.pop() if len(only) == 1 else None


def _distinct(findings: Iterable[Finding]) -> list[Finding]:
    """Each finding once: readers may repeat one of the same sentence word for word."""
    return list({finding.model_dump_json(): finding for finding in findings}.values())
