"""Organs that a sentence calls normal, limited or removed."""

from __future__ import annotations

from typing import Literal, cast

from dictamen.reports.link import OrganMention, in_list
from dictamen.reports.mentions import Mention
from dictamen.reports.organ_states import OrganStatement
from dictamen.reports.statement import Statement

_AFTER_WORDS = 8
"""Words behind "normal" in which its organ may stand: "Unremarkable appearance of the urinary bladder"."""


def normal_statements(statement: Statement, mentioned: list[OrganMention]) -> list[OrganStatement]:
    """Organs said to be normal as a whole; a normal size, course or calibre alone says nothing on lesions."""
    cues = statement.of("normal", "clear", "again")
    if not cues or statement.heading.role == "impression":
        return []
    organs = [organ for organ in mentioned if not organ.near and not organ.part]
    limited = bool(statement.of("limited"))
    found: list[OrganStatement] = []
    for cue in cues:
        for organ in _subjects(statement, cue, organs):
            if not statement.lexicon.attribute("organ", organ.structure, "compartment", False):
                found.append(cleared(statement, organ.structure, organ, limited=limited))
        if cue.first == 0 and not organs:
            heading = statement.heading.organs
            found += [
                cleared(statement, structure, None, limited=limited)
                for structure in heading
                if structure != "chest_wall"
                and not statement.lexicon.attribute("organ", structure, "compartment", False)
            ]
    return found


def _subjects(statement: Statement, cue: Mention, organs: list[OrganMention]) -> list[OrganMention]:
    before = [organ for organ in organs if organ.mention.end <= cue.start]
    start = _clause_start(statement, cue)
    before = [organ for organ in before if organ.mention.start >= start]
    if before:
        blocked = any(lesion.start >= start and lesion.end <= cue.start for lesion in statement.of("lesion"))
        about_other = [d for d in statement.of("distractor") if before[-1].mention.end <= d.start < cue.start]
        if about_other:
            return []
        return _last_clause(statement, cue, before) if blocked else before
    other = [d for d in statement.of("distractor") if start <= d.start < cue.start]
    found: list[OrganMention] = []
    for organ in organs:
        near = 0 <= organ.mention.first - cue.last <= _AFTER_WORDS
        listed = bool(found) and in_list(statement.between(found[-1].mention.end, organ.mention.start))
        if (near or listed) and not other and _plain_between(statement, cue, organ):
            found.append(organ)
    return found


def _last_clause(statement: Statement, cue: Mention, before: list[OrganMention]) -> list[OrganMention]:
    """Organs of the cue's own clause, behind one with a lesion: "a cyst on the left, right ovary normal"."""
    comma = statement.text.rfind(",", 0, before[-1].mention.start)
    inside = any(comma <= lesion.start < cue.start for lesion in statement.of("lesion"))
    return [] if inside or comma < 0 else [o for o in before if o.mention.start > comma]


def _plain_between(statement: Statement, cue: Mention, organ: OrganMention) -> bool:
    low, high = cue.end, organ.mention.start
    inside = [*statement.of("lesion"), *statement.of("distractor"), *statement.of("negation", "pre")]
    return ";" not in statement.text[low:high] and not any(low <= mention.start < high for mention in inside)


def _clause_start(statement: Statement, cue: Mention) -> int:
    start = 0
    for end in statement.of("negation", "terminator"):
        if end.end <= cue.start and statement.text[end.start : end.end].lower() in (
            "but",
            "however",
            "although",
            "while",
            "whereas",
        ):
            start = max(start, end.end)
    semicolon = statement.text.rfind(";", start, cue.start)
    return max(start, semicolon)


def cleared(
    statement: Statement, structure: str, organ: OrganMention | None, *, limited: bool = False
) -> OrganStatement:
    """ "Normal" or "no lesion" of an organ, on one side where one is named with it."""
    sided = statement.lexicon.attribute("organ", structure, "sided", False)
    side = _side(statement, organ) if organ and sided else None
    if sided and organ is None and structure in statement.heading.organs:
        side = statement.heading.side
    return OrganStatement(structure, side, limited)


def _side(statement: Statement, organ: OrganMention) -> Literal["left", "right"] | None:
    """The side right before a singular organ word."""
    mention = organ.mention
    if mention.term.plural:
        return None
    words = [statement.word(index) for index in range(mention.first - 2, mention.first)]
    sides = [word for word in words if word in ("left", "right")]
    return cast("Literal['left', 'right']", sides[-1]) if sides and "both" not in words else None


def removed_statements(statement: Statement, mentioned: list[OrganMention]) -> list[OrganStatement]:
    """Organs that were taken out: "status post cholecystectomy", "the gallbladder has been resected"."""
    found = []
    for mention in statement.of("removed"):
        sided = statement.lexicon.attribute("organ", mention.value, "sided", False)
        side = _before(statement, mention) if sided else None
        if not sided or side is not None or statement.word(mention.first - 1) in ("total", "bilateral"):
            found.append(OrganStatement(mention.value, side))
    for cue in statement.of("absent"):
        for organ in mentioned:
            gap = cue.first - organ.mention.last
            compartment = statement.lexicon.attribute("organ", organ.structure, "compartment", False)
            if (
                0 <= gap <= 2
                and not organ.part
                and not compartment
                and organ.structure not in ("lung", "bone", "liver", "colon", "brain", "esophagus", "stomach")
            ):
                found.append(cleared(statement, organ.structure, organ))
    return found


def _before(statement: Statement, mention: Mention) -> Literal["left", "right"] | None:
    words = [statement.word(index) for index in range(mention.first - 3, mention.first)]
    sides = [word for word in words if word in ("left", "right")]
    return cast("Literal['left', 'right']", sides[-1]) if sides else None
