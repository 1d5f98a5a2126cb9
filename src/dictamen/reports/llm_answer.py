"""What a language model is asked about a report, and what of its answer stands up to the text.

The model sees numbered sentences and returns, for each lesion, a sentence number, words quoted from it, and the size as
written; units are converted here. Whatever can't be found again in the text is refused, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dictamen.interval import Interval
from dictamen.reports.anchors import find_anchors
from dictamen.reports.drafts import CONFIDENCE
from dictamen.reports.lexicon import Lexicon
from dictamen.reports.link import organ_mentions
from dictamen.reports.llm_server import AnswerError, parsed
from dictamen.reports.measurements import Measurement, find_measurements, find_slices
from dictamen.reports.schema import Finding, Kind, Side
from dictamen.reports.scope import assertion, is_prior
from dictamen.reports.sentences import Sentence
from dictamen.reports.statement import Statement

ReadSentences = list[tuple[Sentence, Statement]]
"""The sentences of a report in order: where each stands, and what it says."""
PROMPT_VERSION = "1"
"""Part of the cache's key; counts up with every change of the prompt."""
CONTEXT = 2
"""Sentences before the quoted one in which its organ may be named."""
_TASK = """You read a radiology report whose sentences are numbered. List every focal lesion (cyst, nodule, mass,
tumour, metastasis, enlarged lymph node ...) that it states, once each.
Rules: `sentence` is the number of the sentence; `evidence` is copied from that sentence, letter by letter, with the
size if it has one; `size` is the size as written there, with its unit, or ""; `temporal` is "prior" for what an earlier
examination showed. Do not list what is denied, organs' own sizes, vessels, effusions or stones. Organs: {organs}.
Answer with JSON only, by this schema: {schema}"""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lesion(_Strict):
    """One lesion as the model says it."""

    sentence: int
    evidence: str = Field(min_length=3)
    organ: str
    side: Side | None = None
    parts: tuple[str, ...] = ()
    count: int | None = Field(default=1, ge=1, le=1000)
    size: str = ""
    kind: Kind = "uncertain"
    existence: Literal["present", "possible"] = "present"
    temporal: Literal["current", "prior"] = "current"


class Answer(_Strict):
    """The whole answer."""

    lesions: tuple[Lesion, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A lesion that does not stand up to the text: `reason` is sentence, evidence, number, organ, prior or denied."""

    reason: str


def messages(report: ReadSentences, lexicon: Lexicon) -> list[dict[str, str]]:
    """The question on one report."""
    numbered = "\n".join(f"[{number}] {_words(s)}" for number, (_, s) in enumerate(report, start=1))
    task = _TASK.format(organs=", ".join(lexicon.values("organ")), schema=Answer.model_json_schema())
    return [{"role": "system", "content": task}, {"role": "user", "content": numbered}]


def understood(content: str) -> Answer:
    """The answer as data.

    Raises:
        AnswerError: no JSON, or of another shape; names the fields, never their content.
    """
    try:
        return Answer.model_validate(parsed(content))
    except ValidationError as error:
        fields = {".".join(str(part) for part in e["loc"]) for e in error.errors(include_input=False)}
        raise AnswerError(f"the answer has a wrong shape at {', '.join(sorted(fields)[:5])}") from None


def verified(lesion: Lesion, report: ReadSentences, *, study_id: str, model: str) -> Finding | Refused:
    """The finding that the lesion stands for, or why it is refused."""
    if not 1 <= lesion.sentence <= len(report):
        return Refused("sentence")
    sentence, statement = report[lesion.sentence - 1]
    span = _span(statement, lesion.evidence)
    if span is None:
        return Refused("evidence")
    size = _size(statement, lesion, span)
    if isinstance(size, Refused):
        return size
    near = [before for _, before in report[max(0, lesion.sentence - 1 - CONTEXT) : lesion.sentence]]
    if not _names_organ(lesion.organ, near):
        return Refused("organ")
    if lesion.temporal == "current" and size is not None and is_prior(statement, size):
        return Refused("prior")
    if _denied(statement, span):
        return Refused("denied")
    return Finding(
        study_id=study_id,
        kind=lesion.kind,
        structure=lesion.organ,
        side=lesion.side,
        parts=lesion.parts,
        count=Interval(2) if lesion.count is None else Interval.exact(lesion.count),
        diameters_mm=size.values_mm if size else (),
        size_qualifier=(size.qualifier or "exact") if size else None,
        size_range_mm=size.range_mm if size else None,
        existence=lesion.existence,
        temporal=lesion.temporal,
        span=(sentence.start + span[0], sentence.start + span[1]),
        section=statement.heading.name or None,
        reader=model,
        rules=("verified",),
        confidence=CONFIDENCE["topic"],
    )


def _words(statement: Statement) -> str:
    return " ".join(statement.text.split())


def _span(statement: Statement, evidence: str) -> tuple[int, int] | None:
    """Where the quoted words stand in the sentence; only white space and capitals may differ."""
    wanted = "".join(evidence.lower().split())
    kept = [
        (offset, letter)
        for offset, character in enumerate(statement.text)
        for letter in character.lower()
        if not letter.isspace()
    ]
    found = "".join(letter for _, letter in kept).find(wanted)
    if found < 0 or not wanted:
        return None
    return kept[found][0], kept[found + len(wanted) - 1][0] + 1


def _size(statement: Statement, lesion: Lesion, span: tuple[int, int]) -> Measurement | Refused | None:
    """The measurement of the text that the size is; a size with another number or unit is refused."""
    if not lesion.size.strip():
        return None
    claimed = find_measurements(lesion.size, find_slices(lesion.size))
    inside = [size for size in statement.measurements if span[0] <= size.start and size.end <= span[1]]
    for size in inside:
        if claimed and claimed[0].values_mm == size.values_mm:
            return size
    return Refused("number")


def _names_organ(organ: str, near: list[Statement]) -> bool:
    """Whether the sentences or their headings name the organ, or a lesion or part that only it has."""
    for statement in near:
        named = {mention.structure for mention in organ_mentions(statement)}
        named |= {mention.value for mention in (*statement.of("lesion_organ"), *statement.of("lesion_organ_last"))}
        named |= {"lymph_node"} if any(anchor.node for anchor in find_anchors(statement)) else set()
        named |= set(statement.heading.organs)
        named |= {
            part.term.attributes["organs"][0]
            for part in statement.of("part")
            if len(part.term.attributes["organs"]) == 1
        }
        if organ in named:
            return True
    return False


def _denied(statement: Statement, span: tuple[int, int]) -> bool:
    """Whether every lesion word that the quoted words hold is denied or resolved."""
    anchors = find_anchors(statement)
    inside = [anchor for anchor in anchors if span[0] <= anchor.start < span[1]]
    return bool(inside) and all(assertion(statement, anchor, anchors).denied for anchor in inside)


def yes_or_no(description: str, context: list[Statement]) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """A question on one finding with the sentences around it, and the schema of its answer."""
    shown = " ".join(_words(statement) for statement in context)
    ask = f"Report: {shown}\nDoes this report say that there is now: {description}? Answer with JSON."
    schema = {
        "type": "object",
        "properties": {"yes": {"type": "boolean"}},
        "required": ["yes"],
        "additionalProperties": False,
    }
    return [{"role": "user", "content": f'{ask} {{"yes": true}} or {{"yes": false}}.'}], schema
