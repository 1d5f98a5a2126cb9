"""What a report says, as data: findings, the state of each organ, flags.

A finding never repeats report text: it refers to it by `span`, offsets into the original text.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from dictamen.interval import Interval

SCHEMA_VERSION = 2
"""2: rules, mentions and group of a finding; count, size, side and confidence of an organ state."""

Kind = Literal["cyst", "tumour", "metastasis", "benign", "malignant", "uncertain"]
Side = Literal["left", "right", "bilateral"]
Existence = Literal["present", "possible", "absent"]
SizeQualifier = Literal["exact", "approx", "max", "min", "range", "subcentimetre", "tiny", "large"]
Attenuation = Literal["hypo", "iso", "hyper", "mixed", "fat", "calcified"]
Enhancement = Literal["none", "hypo", "hyper", "rim", "heterogeneous"]
Trend = Literal["new", "stable", "increased", "decreased", "resolved"]
OrganStatus = Literal["lesion_free", "lesions_complete", "lesions_incomplete", "not_mentioned", "removed"]

Span = tuple[int, int]
IntervalField = Annotated[
    Interval,
    BeforeValidator(lambda value: value if isinstance(value, Interval) else Interval.from_json(value)),
    PlainSerializer(lambda interval: interval.to_json(), return_type=list),
    WithJsonSchema(
        {
            "type": "array",
            "description": "[lo, hi], closed; null is an open end.",
            "items": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]},
            "minItems": 2,
            "maxItems": 2,
        }
    ),
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class SliceReference(_Frozen):
    """Where the radiologist looked: series and image number as dictated."""

    series: int | None = None
    image: int


class Finding(_Frozen):
    """One focal lesion, or one group of lesions, that a report speaks of.

    `structure` is the vocabulary id of the whole organ (kidney, lung, lymph_node, soft_tissue ...), `parts` are plain
    part names within it ("upper pole", "segment 6", "head", "upper lobe"). Sizes are in millimetres, largest first,
    as dictated (a radiologist's diameters, not a mask's). `span` is where it was read, `mentions` are further places
    that speak of it; `group` is the index, in the report's findings, of the group that it is an example of; `rules` are
    the names of the rules that decided where it is and what was merged into it.
    """

    study_id: str
    kind: Kind
    structure: str
    side: Side | None = None
    parts: tuple[str, ...] = ()
    count: IntervalField = Interval.exact(1)
    diameters_mm: tuple[float, ...] = Field(default=(), max_length=3)
    size_qualifier: SizeQualifier | None = None
    size_range_mm: IntervalField | None = None
    prior_diameters_mm: tuple[float, ...] = ()
    trend: Trend | None = None
    attenuation: Attenuation | None = None
    enhancement: Enhancement | None = None
    existence: Existence = "present"
    kind_certainty: Literal["certain", "probable", "possible"] = "certain"
    temporal: Literal["current", "prior"] = "current"
    slices: tuple[SliceReference, ...] = ()
    short_axis: bool = False
    span: Span
    mentions: tuple[Span, ...] = ()
    group: int | None = Field(default=None, ge=0)
    section: str | None = None
    reader: str = "rules"
    rules: tuple[str, ...] = ()
    confidence: float = Field(default=1.0, ge=0, le=1)


class OrganState(_Frozen):
    """What the whole report says about one organ (and side): the completeness that supervision needs.

    `lesions_complete`: each lesion is there for sure, counted and sized. `count` is how many lesions there are in all,
    `largest_mm` the largest diameter stated, `side_known` whether each lesion of a paired organ has its side (true for
    other organs), `limited` that the organ was not seen well. `confidence` is that of the least certain finding.
    """

    structure: str
    side: Literal["left", "right"] | None = None
    status: OrganStatus
    count: IntervalField | None = None
    largest_mm: float | None = None
    side_known: bool = True
    limited: bool = False
    confidence: float = Field(default=1.0, ge=0, le=1)
    span: Span | None = None


class Flag(_Frozen):
    """Something a person should look at; the reader did not guess."""

    code: str
    message: str
    span: Span | None = None


class ReportFindings(_Frozen):
    """All that was read from one report; one line of the findings jsonl.

    `clear_structures` and `removed_structures` hold vocabulary ids, with ":left" or ":right" where one side is meant.
    """

    study_id: str
    findings: tuple[Finding, ...] = ()
    clear_structures: tuple[str, ...] = ()
    removed_structures: tuple[str, ...] = ()
    organ_states: tuple[OrganState, ...] = ()
    flags: tuple[Flag, ...] = ()
    reader: str = "rules"
    lexicon_hash: str = ""
    schema_version: int = SCHEMA_VERSION

    def state(self, structure: str, side: Literal["left", "right"] | None = None) -> OrganState:
        """The state of an organ, on one side where the report gives one; `not_mentioned` where it says nothing."""
        for wanted in (side, None):
            for state in self.organ_states:
                if (state.structure, state.side) == (structure, wanted):
                    return state
        return OrganState(structure=structure, side=side, status="not_mentioned")


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one line of a findings file, as in docs/findings.schema.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **ReportFindings.model_json_schema(mode="serialization"),
    }


if __name__ == "__main__":
    import json
    import sys

    json.dump(json_schema(), sys.stdout, indent=2)
    sys.stdout.write("\n")
