"""What runs on from sentence to sentence: the lesion just named, the organ a text is about, lists."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from dictamen.reports import describe
from dictamen.reports.anchors import Anchor, kind_of
from dictamen.reports.drafts import Draft, Place
from dictamen.reports.link import OrganMention
from dictamen.reports.mentions import find_mentions
from dictamen.reports.sections import Section
from dictamen.reports.statement import Statement
from dictamen.reports.tokens import tokenize


@dataclass(slots=True)
class Context:
    """What earlier sentences leave behind for later ones."""

    last: Draft | None = None
    topic: str | None = None
    topic_age: int = 0
    listing: Draft | None = None
    section: Section | None = None
    distractor_last: bool = False
    unplaced: Draft | None = None


class ContextError(Exception):
    """How a sentence is read depends on what stands before it."""


class Unknown(Context):
    """What stands before a sentence that is read by itself, outside of lists; who asks for it gets `ContextError`."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("last", "topic", "distractor_last"):
            raise ContextError
        return super().__getattribute__(name)


def opens_with_anaphor(statement: Statement) -> bool:
    return any(cue.first <= 2 for cue in statement.of("anaphor", "it"))


def continues_last(statement: Statement, anchor: Anchor, context: Context) -> bool:
    """Whether the sentence is about the lesion before: "It was evaluated as metastasis", "Nodules have increased"."""
    if _names_largest(statement, anchor):
        return True
    if statement.measurements:
        return False
    if _is_question(statement):
        return True
    hedges = statement.of("hedge", "kind")
    hedged = any(hedge.end <= anchor.start for hedge in hedges)
    opens = hedged and any(hedge.first < _HEDGE_OPENS and hedge.end <= anchor.start for hedge in hedges)
    closes = anchor.first <= _HEDGE_OPENS and any(
        0 <= hedge.first - anchor.last <= 1 and statement.last - hedge.last <= 1 for hedge in hedges
    )
    if (opens or closes) and not _names_place(statement, context):
        return True
    if opens_with_anaphor(statement) and (hedged or anchor.definite):
        return True
    if statement.of("part") or statement.impression:
        return False
    bare = anchor.plural and anchor.first == 0 and statement.word(anchor.last) not in _PREPOSITIONS
    return bare or (anchor.definite and anchor.first <= 1)


def _names_place(statement: Statement, context: Context) -> bool:
    """Whether the sentence names a part, or an organ other than that of the lesion before."""
    organs = statement.of("organ")
    if statement.of("part") or not organs:
        return bool(statement.of("part"))
    return context.last is None or any(organ.value != context.last.structure for organ in organs)


def _names_largest(statement: Statement, anchor: Anchor) -> bool:
    """Whether the sentence begins with the largest lesion of a group: "The largest nodule measures 9 mm"."""
    if anchor.plural or anchor.first > _LARGEST_WORDS:
        return False
    return any(cue.end <= anchor.start for cue in statement.of("group", "largest"))


def complete(statement: Statement, context: Context, made: Draft) -> None:
    """Let a sentence about the lesion before complete it."""
    last = context.last
    if last is None or (made.measurement and (last.measurement or not last.plural)):
        return
    made.antecedent = last
    if made.kind_certainty == "certain" and any(hedge.end <= made.span[0] for hedge in statement.of("hedge", "kind")):
        made.kind_certainty = "probable"
    if made.measurement:
        qualifier = made.measurement.qualifier or "max"
        last.measurement = made.measurement._replace(qualifier=qualifier)
        last.slices += made.slices


_OTHER_SIDE: dict[str, Literal["left", "right"]] = {"left": "right", "right": "left"}


_TOLD_BY_LAST = frozenset(["same", "ipsilateral", "contralateral", "similar"])


def adopt_from_last(statement: Statement, made: list[Draft], context: Context) -> None:
    """Places told by the lesion before: "in the same lobe", "the contralateral adrenal"; "similar" tells the kind."""
    words = statement.tokens.words
    if _TOLD_BY_LAST.isdisjoint(words) or (last := context.last) is None:
        return
    for draft in made:
        if "same" in words and not draft.place and draft.structure == last.structure:
            draft.place = last.place
        told = [
            word for word in words[: statement.tokens.at(draft.span[1])] if word in ("ipsilateral", "contralateral")
        ]
        side = last.place.side
        if told and draft.place.side is None and (side == "left" or side == "right"):
            draft.place = draft.place._replace(side=side if told[-1] == "ipsilateral" else _OTHER_SIDE[side])
        if "similar" in words and draft.kind == "uncertain" and draft.structure == last.structure:
            draft.kind, draft.kind_certainty = last.kind, "probable"


_LARGEST_WORDS = 5
"""Words from the start of a sentence to its lesion in "The largest of the hepatic lesions"."""
_PREPOSITIONS = frozenset(["", "in", "of", "at", "within", "on", "with", "along", "measuring", "up"])
_HEDGE_OPENS = 2
"""Words before the hedge of a sentence that only names a kind: "Primary consideration is of an adenoma"."""
_QUESTION_WORDS = 4
"""Longest question that stands alone: "Metastasis?"."""


def _is_question(statement: Statement) -> bool:
    return statement.last <= _QUESTION_WORDS and statement.text.rstrip().endswith("?")


_REFERRING = frozenset(["described", "these", "those", "some", "most", "all", "aforementioned"])
"""Words before "lesions" that point back to what the sentence before spoke of."""


def means_distractor(statement: Statement, anchor: Anchor, context: Context) -> bool:
    """Whether "the described lesions" are the opacities of the sentence before, which are none."""
    if anchor.kind != "uncertain" or statement.measurements:
        return False
    words = {statement.word(index) for index in range(anchor.first - 2, anchor.first)}
    refers = not words.isdisjoint(_REFERRING)
    if not (refers or "the" in words) or not context.distractor_last:
        return False
    return refers or context.last is None or context.last.structure != context.topic


def listed_as_node(statement: Statement, anchor: Anchor, context: Context) -> bool:
    """Whether "lymph nodes" explains items of a list of lung nodules: "perifissural 6 mm, most likely lymph nodes"."""
    if context.listing is None or context.listing.structure != "lung" or statement.of("part"):
        return False
    if not any(hedge.end <= anchor.start for hedge in statement.of("hedge", "kind")):
        return False
    anchor.kind, anchor.kind_certainty = "benign", "probable"
    return True


_ORIGIN = re.compile(r"ar(?:ise|ises|ose|ising)|originat|stem|belong|cent(?:er|re)", re.IGNORECASE)


def origin(statement: Statement, organs: list[OrganMention]) -> OrganMention | None:
    """The organ that "It appears to arise from the right ovary" names."""
    for cue in statement.of("relation", "in"):
        if _ORIGIN.match(statement.text, cue.start):
            behind = [organ for organ in organs if organ.mention.start >= cue.end]
            return behind[0] if behind else None
    return None


def refers_to_lesion(statement: Statement) -> bool:
    """Whether the sentence goes on about the lesion before: "It measures", "The largest", "Measures", "previously"."""
    opening = 3
    cues = [*statement.of("anaphor"), *statement.of("group", "largest"), *statement.of("time", "prior_pre")]
    measures = statement.word(0).startswith("measur")
    words = statement.tokens.words[:opening]
    sided = (words[:1] in (["the"], ["on"]) and "right" in words) or "left" in words
    return measures or sided or any(cue.first < opening for cue in cues)


def item_structure(statement: Statement, mentioned: list[OrganMention]) -> str:
    """Organ of an item of a list: named, or a nodal station ("Axillary left: 68 x 40 mm")."""
    stations = [part for part in statement.of("part") if part.term.attributes["organs"] == ["lymph_node"]]
    if stations:
        return "lymph_node"
    organs = [organ for organ in mentioned if not organ.near]
    return organs[0].structure if organs else ""


def unlocated(statement: Statement) -> Draft:
    """Stand for the items of a list whose heading names no organ: "Target lesions:"."""
    span = (0, statement.end)
    return Draft("", "uncertain", Place(), describe.MANY, span, span, statement.heading.name, statement.impression)


def listed_by_heading(statement: Statement) -> Draft:
    """Stand for the items below a heading that names lesions or nodes."""
    tokens = tokenize(statement.heading.name, statement.lexicon.meanings)
    named = [mention for mention in find_mentions(tokens, statement.lexicon) if mention.category == "lesion"]
    kind = kind_of(named[-1]) if named else "uncertain"
    return replace(unlocated(statement), structure=statement.heading.organ or "", kind=kind)


def heads_list(statement: Statement) -> bool:
    """Whether the sentence only heads a list: "Liver metastases:", but not "Multiple ones, such as:"."""
    counted = statement.of("count", "many") or statement.of("group", "example")
    return statement.text.rstrip().endswith(":") and not counted and "includ" not in statement.text


def opens_list(statement: Statement) -> bool:
    """Whether the sentence announces a list of lesions: "for example:"."""
    return statement.text.rstrip().endswith((":", "for example", "including", "follows", "example", "example,")) or any(
        statement.last - cue.last == 0 for cue in statement.of("group", "example")
    )
