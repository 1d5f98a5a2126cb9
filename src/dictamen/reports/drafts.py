"""Findings in the making: they change while sentences are read and mentions merged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from dictamen.interval import Interval
from dictamen.reports.measurements import Measurement
from dictamen.reports.schema import (
    Attenuation,
    Enhancement,
    Existence,
    Finding,
    Kind,
    Side,
    SizeQualifier,
    SliceReference,
    Span,
    Trend,
)

KIND_RANK: dict[Kind, int] = {"uncertain": 0, "tumour": 1, "benign": 2, "cyst": 2, "malignant": 3, "metastasis": 3}
"""Of two names for one lesion the more specific one is kept."""


CONFIDENCE = {
    "sentence": 0.98,
    "heading": 0.96,
    "list": 0.95,
    "own_name": 0.93,
    "topic": 0.85,
    "earlier_lesion": 0.67,
    "next_sentence": 0.67,
    "conflict": 0.6,
}
"""How its organ was found -> (right + 1) / (findings + 2), right being organ and size, on the reports that
benchmarks/reports/bench_labelled.py lists by rule and on 31 real ones. They shaped the rules: others do worse.
"earlier_lesion" and "next_sentence" rest on one finding each; a conflict is trusted little, by convention."""
POSSIBLE = 0.5
"""Of lesions that a report itself doubts."""


class Place(NamedTuple):
    """Where in the organ: side, and parts by name."""

    side: Side | None = None
    parts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.side is not None or bool(self.parts)


@dataclass(slots=True)
class Draft:
    """One lesion or group as read from one sentence, before merging.

    `heads_list`: it only opens a list of its members ("Liver metastases:"). `regions`: the parts of the body that its
    nodal stations lie in. `antecedent`: the earlier draft that the sentence goes on about.
    """

    structure: str
    kind: Kind
    place: Place
    count: Interval
    span: Span
    sentence: Span
    section: str
    impression: bool
    plural: bool = False
    definite: bool = False
    indefinite: bool = False
    measurement: Measurement | None = None
    prior_diameters_mm: tuple[float, ...] = ()
    qualifier: SizeQualifier | None = None
    trend: Trend | None = None
    attenuation: Attenuation | None = None
    enhancement: Enhancement | None = None
    existence: Existence = "present"
    kind_certainty: Literal["certain", "probable", "possible"] = "certain"
    temporal: Literal["current", "prior"] = "current"
    short_axis: bool = False
    slices: list[SliceReference] = field(default_factory=list)
    regions: frozenset[str] = frozenset()
    antecedent: Draft | None = None
    mentions: list[Span] = field(default_factory=list)
    group: Draft | None = None
    heads_list: bool = False
    rules: tuple[str, ...] = ()

    def move(self, offset: int) -> None:
        """Let the spans, so far within a sentence that begins at `offset`, count from the start of the report."""
        self.span = (self.span[0] + offset, self.span[1] + offset)
        self.sentence = (self.sentence[0] + offset, self.sentence[1] + offset)

    def copy(self) -> Draft:
        """A draft that changes apart from this one."""
        return replace(self, slices=[*self.slices], mentions=[*self.mentions])

    @property
    def diameters_mm(self) -> tuple[float, ...]:
        """Current size, largest first; empty where unknown."""
        return self.measurement.values_mm if self.measurement else ()

    def adopt_kind(self, other: Draft) -> None:
        """Take the more specific kind of two names of one lesion."""
        if KIND_RANK[other.kind] > KIND_RANK[self.kind]:
            self.kind, self.kind_certainty = other.kind, other.kind_certainty

    @property
    def confidence(self) -> float:
        """Share of findings read by the weakest of these rules that were right; halved where existence is doubted."""
        known = min((CONFIDENCE[rule] for rule in self.rules if rule in CONFIDENCE), default=CONFIDENCE["sentence"])
        return known * (POSSIBLE if self.existence == "possible" else 1.0)

    def finding(self, study_id: str, *, group: int | None = None) -> Finding:
        """The finished finding; `group` is the index of the finding that it is an example of."""
        measurement = self.measurement
        qualifier = measurement.qualifier if measurement and measurement.qualifier else self.qualifier
        if measurement and qualifier is None:
            qualifier = "exact"
        return Finding(
            study_id=study_id,
            kind=self.kind,
            structure=self.structure,
            side=self.place.side,
            parts=self.place.parts,
            count=self.count,
            diameters_mm=self.diameters_mm,
            size_qualifier=qualifier,
            size_range_mm=measurement.range_mm if measurement else None,
            prior_diameters_mm=self.prior_diameters_mm,
            trend=self.trend,
            attenuation=self.attenuation,
            enhancement=self.enhancement,
            existence=self.existence,
            kind_certainty=self.kind_certainty,
            temporal=self.temporal,
            slices=tuple(dict.fromkeys(self.slices)),
            short_axis=self.short_axis,
            span=self.span,
            section=self.section or None,
            mentions=tuple(dict.fromkeys(self.mentions)),
            group=group,
            rules=self.rules,
            confidence=round(self.confidence, 3),
        )
