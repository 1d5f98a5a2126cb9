"""What people say about regions of a mask, and about findings of a report: records that are only ever added."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

Direction = Literal["over", "under", "mixed", "none"]
Origin = Literal["person", "simulated", "report", "comparison"]
Verdict = Literal["confirmed", "corrected", "rejected"]
PERFECT = 5
"""The best score: nothing to change."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _identifier() -> str:
    return uuid.uuid4().hex


Text = Annotated[str, Field(min_length=1, max_length=200)]


class _Record(BaseModel):
    """What every record has.

    Attributes:
        record_id: unique, so that importing a file twice adds nothing.
        rater: a name or pseudonym that the site chose.
        seconds: time that the rater spent on it.
        created: UTC, ISO 8601.
        undoes: `record_id` of an earlier record that this one takes back; such a record says nothing else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    record_id: str = Field(default_factory=_identifier, min_length=1, max_length=64)
    study_id: Text
    rater: Text
    seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    created: str = Field(default_factory=_now, max_length=40)
    undoes: str | None = None


class RegionAnswer(_Record):
    """One rater's answer on one region of one version of a mask.

    Attributes:
        label: structure id or lesion label of the mask.
        mask_sha256: of the mask that was seen (`refinement.masks`); a refined mask is another mask.
        scheme: `RegionScheme.to_text()`.
        region: number in the region map, from 1.
        score: 1 (wrong) to 5 (perfect); None where skipped.
        direction: what is wrong: "over" (too much), "under" (too little), "mixed"; "none" exactly with score 5.
        skipped: the rater could not or would not say.
        gold: the region was one with a known answer.
        origin: who answered.
    """

    label: Text
    mask_sha256: str = Field(min_length=1, max_length=64)
    scheme: str = Field(min_length=1, max_length=500)
    region: int = Field(ge=1, le=255)
    score: int | None = Field(default=None, ge=1, le=PERFECT)
    direction: Direction | None = None
    skipped: bool = False
    gold: bool = False
    origin: Origin = "person"

    @model_validator(mode="after")
    def _consistent(self) -> RegionAnswer:
        if self.undoes or self.skipped:
            if self.score is not None or self.direction is not None:
                raise ValueError("a skipped or undoing record has neither score nor direction")
        elif self.score is None or self.direction is None:
            raise ValueError("an answer has a score and a direction, or is skipped")
        elif (self.score == PERFECT) != (self.direction == "none"):
            raise ValueError(f'direction is "none" exactly when the score is {PERFECT}')
        return self

    @property
    def place(self) -> tuple[str, str, str, str, int]:
        """(study, label, mask, scheme, region): what was answered about."""
        return self.study_id, self.label, self.mask_sha256, self.scheme, self.region


class FindingVerdict(_Record):
    """One rater's verdict on one finding that was read from a report.

    Attributes:
        span: of the finding in the report; with `structure` it says which finding is meant.
        structure: as it was read.
        verdict: "corrected" comes with at least one of the following fields.
        kind, corrected_structure, side, diameters_mm: what is right.
    """

    span: Annotated[tuple[int, int], BeforeValidator(tuple), PlainSerializer(lambda span: list(span), return_type=list)]
    structure: Text
    verdict: Verdict | None = None
    kind: Literal["cyst", "tumour", "metastasis", "benign", "malignant", "uncertain"] | None = None
    corrected_structure: Text | None = None
    side: Literal["left", "right", "bilateral"] | None = None
    diameters_mm: tuple[Annotated[float, Field(gt=0, le=500)], ...] | None = Field(default=None, max_length=3)

    @model_validator(mode="after")
    def _consistent(self) -> FindingVerdict:
        changes = (self.kind, self.corrected_structure, self.side, self.diameters_mm)
        changed = any(value is not None for value in changes)
        if self.undoes:
            if self.verdict is not None or changed:
                raise ValueError("an undoing record says nothing else")
        elif self.verdict is None:
            raise ValueError("a verdict is needed")
        elif (self.verdict == "corrected") != changed:
            raise ValueError('exactly the verdict "corrected" comes with corrected fields')
        return self

    @property
    def place(self) -> tuple[str, int, int, str]:
        """(study, start, end, structure): the finding that is meant."""
        return self.study_id, *self.span, self.structure


PRIORITY: tuple[Origin, ...] = ("person", "simulated", "report", "comparison")
"""Who is believed where several speak of the same mask."""


def most_trusted(answers: Iterable[RegionAnswer]) -> list[RegionAnswer]:
    """Of each mask, the answers of the most trusted origin alone: a person saw the mask, a report did not."""
    kept = list(answers)
    best: dict[tuple[str, str, str], int] = {}
    for answer in kept:
        rank = PRIORITY.index(answer.origin)
        best[answer.place[:3]] = min(rank, best.get(answer.place[:3], rank))
    return [answer for answer in kept if PRIORITY.index(answer.origin) == best[answer.place[:3]]]


def known_first(answers: Iterable[RegionAnswer]) -> list[RegionAnswer]:
    """Of each gold region, the known answer alone."""
    kept = list(answers)
    known = {answer.place for answer in kept if answer.gold and answer.score}
    return [answer for answer in kept if answer.gold or answer.place not in known]


RecordType = TypeVar("RecordType", RegionAnswer, FindingVerdict)


def current_answers(records: Iterable[RegionAnswer]) -> list[RegionAnswer]:
    """The latest answer of each rater on each place that was not taken back, in the order of the records."""
    return _current(records)


def current_verdicts(records: Iterable[FindingVerdict]) -> list[FindingVerdict]:
    """The latest verdict of each rater on each finding that was not taken back, in the order of the records."""
    return _current(records)


def _current(records: Iterable[RecordType]) -> list[RecordType]:
    kept = list(records)
    undone = {record.undoes for record in kept if record.undoes}
    latest = {
        (record.rater, record.place): record for record in kept if not record.undoes and record.record_id not in undone
    }
    chosen = {record.record_id for record in latest.values()}
    return [record for record in kept if record.record_id in chosen]
