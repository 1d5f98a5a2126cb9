"""The rule reader: offline, deterministic, linear in the length of the report.

sections -> sentences -> mentions, sizes, slices -> for each sentence anchors, scope, attachment -> drafts -> merge ->
organ states.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from dictamen.reports.alone import Alone, read_alone
from dictamen.reports.discourse import Context, heads_list, listed_by_heading, opens_list, origin, unlocated
from dictamen.reports.drafts import Draft
from dictamen.reports.extract import read_anchors
from dictamen.reports.lexicon import Lexicon, load
from dictamen.reports.link import OrganMention, organ_mentions
from dictamen.reports.merge import merge
from dictamen.reports.normality import cleared, normal_statements, removed_statements
from dictamen.reports.organ_states import OrganStatement, clear_statements, organ_states
from dictamen.reports.places import find_place
from dictamen.reports.quality import noise
from dictamen.reports.schema import Finding, Flag, ReportFindings
from dictamen.reports.sections import Heading, find_sections
from dictamen.reports.sentences import Sentence, split_sentences
from dictamen.reports.statement import Statement, find_statement

MAX_MENTIONS = 1000
"""Lesion words and sizes in one report; with more it is none, and reading ends: merging costs their square."""
REMEMBERED = 8192
"""Sentences of earlier reports that are remembered (some 30 MB): the half of all sentences are said again."""
TOPIC_SENTENCES = 1
"""Sentences without an organ after which a text is no longer about the last one."""


@dataclass(slots=True)
class _Reading:
    """What has been gathered so far."""

    drafts: list[Draft] = field(default_factory=list)
    clear: list[OrganStatement] = field(default_factory=list)
    removed: list[OrganStatement] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)


def read_report(text: str, study_id: str, *, lexicon: Lexicon | None = None) -> ReportFindings:
    """Findings of one report, with spans into `text`.

    Args:
        text: the report as written; any length, any characters.
        study_id: carried into every finding.
        lexicon: built-in terms if None; `lexicon.load(overlay)` for a site's own.
    """
    words = lexicon or load()
    reading = _Reading()
    if not text.strip():
        reading.flags.append(Flag(code="empty", message="The report has no text."))
    sentences = sentences_of(text, words)
    if (damaged := noise(text, [(sentence.start, said.statement.tokens) for sentence, said in sentences])) is not None:
        reading.flags.append(damaged)
    context, mentions = Context(), 0
    for sentence, said in sentences:
        _read_sentence(sentence, said, context, reading)
        mentions += len(said.statement.of("lesion")) + len(said.statement.measurements)
        if mentions > MAX_MENTIONS:
            message = f"Only the first {MAX_MENTIONS} lesions and sizes were read, and nothing behind them."
            reading.flags.append(Flag(code="too_many", message=message))
            break
    _place_earlier(None, [], context, reading)
    drafts, conflicts = merge(_without_list_heads(reading.drafts))
    clear = clear_statements(reading.clear, reading.removed, drafts)
    removed = list({statement.key: statement for statement in reading.removed}.values())
    return ReportFindings(
        study_id=study_id,
        findings=_findings(drafts, study_id),
        clear_structures=tuple(sorted(statement.key for statement in clear)),
        removed_structures=tuple(sorted(statement.key for statement in removed)),
        organ_states=organ_states(clear, removed, drafts, words),
        flags=(*reading.flags, *conflicts),
        lexicon_hash=words.hash,
    )


def _without_list_heads(drafts: list[Draft]) -> list[Draft]:
    """Without the plural that only opens a list whose items were read: they are all that it speaks of."""
    listed = {id(draft.group) for draft in drafts if draft.group is not None}
    heads = {id(draft) for draft in drafts if draft.heads_list and id(draft) in listed}
    for draft in drafts:
        if id(draft.group) in heads:
            draft.group = None
    return [draft for draft in drafts if id(draft) not in heads]


def _findings(drafts: list[Draft], study_id: str) -> tuple[Finding, ...]:
    place = {id(draft): index for index, draft in enumerate(drafts)}
    groups = [place.get(id(draft.group)) if draft.group is not None else None for draft in drafts]
    return tuple(
        draft.finding(study_id, group=group if group != index else None)
        for index, (draft, group) in enumerate(zip(drafts, groups, strict=True))
    )


class Said(NamedTuple):
    """What a sentence says wherever it stands; reports repeat theirs, so that it is remembered.

    `about`: the organ that it leaves as topic. `distractor`: it names what looks like a lesion and is none. `lists`:
    it announces a list of lesions.
    """

    statement: Statement
    organs: list[OrganMention]
    normal: list[OrganStatement]
    removed: list[OrganStatement]
    alone: Alone | None
    about: str | None
    distractor: bool
    lists: bool


_PLACES, _NORMAL, _REMOVED = ("organ", "part"), ("normal", "clear", "again"), ("removed", "absent")
"""Categories without which a sentence names no place, calls nothing normal, removes nothing."""


@lru_cache(maxsize=REMEMBERED)
def said_by(text: str, heading: Heading, impression: bool, lexicon: Lexicon) -> Said:
    """What the sentence `text` says under a heading; offsets count from its start."""
    statement = find_statement(text, heading, impression, lexicon)
    said = statement.mentions.keys()  # what is not said need not be looked for: most sentences say little
    organs = organ_mentions(statement) if not said.isdisjoint(_PLACES) else []
    normal = normal_statements(statement, organs) if not said.isdisjoint(_NORMAL) else []
    removed = removed_statements(statement, organs) if not said.isdisjoint(_REMOVED) else []
    alone = read_alone(statement, organs) if "lesion" in said or statement.measurements else None
    about = next((organ.structure for organ in organs if not organ.near), None)
    lists = "lesion" in said and opens_list(statement)
    return Said(statement, organs, normal, removed, alone, about, "distractor" in said, lists)


def sentences_of(text: str, lexicon: Lexicon) -> list[tuple[Sentence, Said]]:
    """The sentences of a report, in order, each with what it says."""
    return [
        (sentence, said_by(text[sentence.start : sentence.end], sentence.section.heading, sentence.impression, lexicon))
        for sentence in split_sentences(text, find_sections(text, lexicon), lexicon)
    ]


def _read_sentence(sentence: Sentence, said: Said, context: Context, reading: _Reading) -> None:
    statement, organs = said.statement, said.organs
    if sentence.section is not context.section:
        context.section = sentence.section
        context.topic = None
        organ = statement.heading.organ
        if organ is not None and context.last is not None and context.last.structure != organ:
            context.last = None
        context.listing = listed_by_heading(statement) if statement.heading.lists_lesions else None
    _place_earlier(statement, organs, context, reading)
    clear = said.normal
    drafts: list[Draft] = []
    if "lesion" in statement.mentions or statement.measurements:
        if said.alone is not None and context.listing is None:
            denied = said.alone.denied
            drafts, context.unplaced = said.alone.copies(sentence.start)
        else:
            drafts, denied = read_anchors(statement, organs, context)
            for draft in (*drafts, *filter(None, [context.unplaced])):
                draft.move(sentence.start)
        limited = "limited" in statement.mentions
        clear = clear + [cleared(statement, name, organ, limited=limited) for name, organ in denied.structures]
    span = (sentence.start, sentence.end)
    reading.clear += [state._replace(span=span) for state in clear]
    reading.removed += [state._replace(span=span) for state in said.removed]
    reading.drafts += drafts
    _remember(said, context, drafts)


def _place_earlier(
    statement: Statement | None, organs: list[OrganMention], context: Context, reading: _Reading
) -> None:
    """Give a lesion of the sentence before the organ that it is said to arise from, or flag it."""
    draft, context.unplaced = context.unplaced, None
    if draft is None:
        return
    organ = origin(statement, organs) if statement is not None else None
    if organ is None or statement is None:
        message = "A lesion with a size has no organ that the reader could find; it is left out."
        reading.flags.append(Flag(code="no_organ", message=message, span=draft.span))
        return
    draft.structure, draft.rules = organ.structure, ("next_sentence",)
    draft.place = find_place(statement, organ.structure, 0, statement.end, organ.mention.start)
    reading.drafts.append(draft)
    context.last = draft


def _remember(said: Said, context: Context, drafts: list[Draft]) -> None:
    """Keep what the next sentence may refer to."""
    current = [draft for draft in drafts if draft.temporal == "current"]
    if current:
        context.last = current[-1]
    if drafts or said.distractor:
        context.distractor_last = not drafts
    if said.about is not None:
        context.topic, context.topic_age = said.about, 0
    else:
        context.topic_age += 1
        if context.topic_age > TOPIC_SENTENCES or said.distractor:
            context.topic = None
    if said.lists:
        context.listing = current[-1] if current else unlocated(said.statement)
        context.listing.heads_list = heads_list(said.statement)
    elif not said.statement.measurements:
        context.listing = None
