"""The rule reader: offline, deterministic, linear in the length of the report.

sections -> sentences -> mentions, sizes, slices -> for each sentence anchors, scope, attachment -> drafts -> merge ->
organ states.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dictamen.reports.discourse import Context, listed_by_heading, opens_list, origin, unlocated
from dictamen.reports.drafts import Draft
from dictamen.reports.extract import read_anchors
from dictamen.reports.lexicon import Lexicon, load
from dictamen.reports.link import OrganMention, organ_mentions
from dictamen.reports.measurements import find_measurements, find_slices
from dictamen.reports.merge import merge
from dictamen.reports.normality import cleared, normal_statements, removed_statements
from dictamen.reports.organ_states import OrganStatement, clear_statements, organ_states
from dictamen.reports.places import find_place
from dictamen.reports.quality import noise
from dictamen.reports.schema import Finding, Flag, ReportFindings
from dictamen.reports.sections import find_sections
from dictamen.reports.sentences import split_sentences
from dictamen.reports.statement import Statement, statements
from dictamen.reports.tokens import Tokens, tokenize

MAX_FINDINGS = 500
"""Mentions of lesions in one report; with more it is no report, and reading ends: merging costs the square of them."""
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
    tokens = tokenize(text, words.meanings)
    if (damaged := noise(tokens)) is not None:
        reading.flags.append(damaged)
    context = Context()
    for statement in statements_of(tokens, words):
        _read_statement(statement, context, reading)
        if len(reading.drafts) > MAX_FINDINGS:
            message = f"Only the first {MAX_FINDINGS} lesions were read, and nothing behind them."
            reading.flags.append(Flag(code="too_many", message=message))
            break
    _place_earlier(None, [], context, reading)
    drafts, conflicts = merge(reading.drafts[:MAX_FINDINGS])
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


def _findings(drafts: list[Draft], study_id: str) -> tuple[Finding, ...]:
    place = {id(draft): index for index, draft in enumerate(drafts)}
    groups = [place.get(id(draft.group)) if draft.group is not None else None for draft in drafts]
    return tuple(
        draft.finding(study_id, group=group if group != index else None)
        for index, (draft, group) in enumerate(zip(drafts, groups, strict=True))
    )


def statements_of(tokens: Tokens, lexicon: Lexicon) -> list[Statement]:
    """The sentences of a report, each with everything found in it."""
    text = tokens.text
    slices = find_slices(text)
    sentences = split_sentences(text, find_sections(text, lexicon), lexicon)
    return list(statements(tokens, lexicon, sentences, find_measurements(text, slices), slices))


_PLACES, _NORMAL, _REMOVED = ("organ", "part"), ("normal", "clear", "again"), ("removed", "absent")
"""Categories without which a sentence names no place, calls nothing normal, removes nothing."""


def _read_statement(statement: Statement, context: Context, reading: _Reading) -> None:
    if statement.sentence.section.start != context.section_start:
        context.section_start = statement.sentence.section.start
        context.topic = None
        organ = statement.sentence.section.organ
        if organ is not None and context.last is not None and context.last.structure != organ:
            context.last = None
        context.listing = listed_by_heading(statement) if statement.sentence.section.lists_lesions else None
    said = statement.mentions.keys()  # what is not said need not be looked for: most sentences say little
    organs = organ_mentions(statement) if not said.isdisjoint(_PLACES) else []
    _place_earlier(statement, organs, context, reading)
    if not said.isdisjoint(_NORMAL):
        reading.clear += normal_statements(statement, organs)
    if not said.isdisjoint(_REMOVED):
        reading.removed += removed_statements(statement, organs)
    drafts: list[Draft] = []
    if "lesion" in said or statement.measurements:
        drafts, denied = read_anchors(statement, organs, context)
        limited = "limited" in said
        reading.clear += [
            cleared(statement, structure, organ, limited=limited) for structure, organ in denied.structures
        ]
        reading.drafts += drafts
    _remember(statement, organs, context, drafts)


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
    draft.place = find_place(
        statement, organ.structure, statement.sentence.start, statement.sentence.end, organ.mention.start
    )
    reading.drafts.append(draft)
    context.last = draft


def _remember(statement: Statement, organs: list[OrganMention], context: Context, drafts: list[Draft]) -> None:
    """Keep what the next sentence may refer to."""
    current = [draft for draft in drafts if draft.temporal == "current"]
    if current:
        context.last = current[-1]
    if drafts or statement.of("distractor"):
        context.distractor_last = not drafts
    named = next((organ for organ in organs if not organ.near), None)
    if named:
        context.topic, context.topic_age = named.structure, 0
    else:
        context.topic_age += 1
        if context.topic_age > TOPIC_SENTENCES or statement.of("distractor"):
            context.topic = None
    if statement.of("lesion") and opens_list(statement):
        context.listing = current[-1] if current else unlocated(statement)
    elif not statement.measurements:
        context.listing = None
