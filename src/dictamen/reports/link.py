"""Attachment: which organ a lesion word belongs to, and which size belongs to which word.

Every candidate has a cost in words of distance, with penalties for what stands between; the cheapest wins. Sizes may
also go to distractors (an artery, an effusion, a slice thickness, the organ itself): what has a size and is no lesion.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from dictamen.reports.anchors import Anchor
from dictamen.reports.measurements import Measurement
from dictamen.reports.mentions import Mention
from dictamen.reports.statement import Statement

_LEFT_CLOSE = 0.6
"""Cost of a word between an organ and the lesion right behind it: "hepatic hypodense lesion"."""
_CLOSE_WORDS = 3
_LEFT_FAR = 1.1
_RIGHT = 0.9
_IN_WORDS = 5
"""Words between a lesion and the place that it is directly said to be in; a place then counts like an organ."""
_IN_ORGAN = -1.5
"""Reward of "in the", "of the" before an organ behind the lesion."""
_COMMA_LEFT, _COMMA_RIGHT = 2.2, 1.3
_BREAK = 6.0
_ANCHOR_BETWEEN = 7.0
_HEADING = -3.0
"""Reward of the organ that the heading names."""
_MAX_COST = 33.0
"""Words; farther organs have nothing to do with the lesion."""
_NEAR_WORDS = 5
"""Words between "adjacent to" and the organ."""
_ONE_PHRASE_WORDS = 3


class OrganMention(NamedTuple):
    """An organ named in a sentence; `near` where the words say that something is beside it."""

    structure: str
    mention: Mention
    near: bool
    part: bool = False


def organ_mentions(statement: Statement) -> list[OrganMention]:
    """Organs of a sentence in order, those that a part implies ("upper lobe") included."""
    found = [OrganMention(m.value, m, _is_near(statement, m)) for m in statement.of("organ")]
    for part in statement.of("part"):
        implied = part.term.attributes.get("implies")
        if implied and not any(o.mention.start <= part.start < o.mention.end for o in found) and not _told(part, found):
            found.append(OrganMention(implied, part, _is_near(statement, part), part=True))
    found.sort(key=lambda organ: (organ.mention.start, organ.part))
    for index in range(1, len(found)):
        before, organ = found[index - 1], found[index]
        if (
            before.near
            and not organ.near
            and _JOINED.fullmatch(statement.between(before.mention.end, organ.mention.start))
        ):
            found[index] = OrganMention(organ.structure, organ.mention, True, organ.part)
    return found


def _told(part: Mention, organs: list[OrganMention]) -> bool:
    """Whether an organ named before has such a part: "the spleen contains a cyst at its lower pole"."""
    before = [organ for organ in organs if organ.mention.end <= part.start and not organ.part and not organ.near]
    return bool(before) and before[-1].structure in part.term.attributes["organs"]


_JOINED = re.compile(
    r",?\s{0,2}(?:and|or|,)\s{1,2}(?:(?:the|to|into|left|right|both|adjacent|psoas|iliopsoas)\s{1,2}){0,3}",
    re.IGNORECASE,
)
"""Between two organs of one list of neighbours: "infiltrating the terminal ileum and the right psoas muscle"."""


_COORDINATED = re.compile(
    r"(?:[\s,/&]|\b(?:and|or|nor|the|left|right|both|bilateral|in|of|visualized|visualised|surrounding|within)\b){1,12}",
    re.IGNORECASE,
)


_COORDINATOR = re.compile(r"[,/&]|\b(?:and|or|nor|both)\b", re.IGNORECASE)


def in_list(gap: str) -> bool:
    """Whether two organs with this text between them belong to one list."""
    return _COORDINATED.fullmatch(gap) is not None and _COORDINATOR.search(gap) is not None


def _is_near(statement: Statement, organ: Mention) -> bool:
    for cue in statement.of("relation", "near"):
        if 0 <= organ.first - cue.last <= _NEAR_WORDS:
            gap = statement.between(cue.end, organ.start)
            between = [
                x for x in (*statement.of("organ"), *statement.of("relation", "in")) if cue.end <= x.start < organ.start
            ]
            if "," not in gap and ";" not in gap and not between:
                return True
    return False


def choose_organ(
    statement: Statement, anchor: Anchor, organs: list[OrganMention], anchors: list[Anchor]
) -> OrganMention | None:
    """The organ that the lesion lies in, by the sentence's own words; None where it names none."""
    heading = statement.heading.organ
    best: tuple[float, OrganMention] | None = None
    for organ in organs:
        if organ.near or organ.structure == "lymph_node":
            continue
        if heading is not None and organ.structure != heading and _of_another(anchor, organ, anchors):
            continue
        cost = _organ_cost(statement, anchor, organ, anchors)
        if organ.structure == heading:
            cost += _HEADING
        if cost < _MAX_COST and (best is None or cost < best[0]):
            best = (cost, organ)
    if best is None:
        return None
    chosen = best[1]
    if heading == "lung" and chosen.structure in ("pleura", "mediastinum", "bronchus"):
        return OrganMention("lung", chosen.mention, False)
    return chosen


def _organ_cost(statement: Statement, anchor: Anchor, organ: OrganMention, anchors: list[Anchor]) -> float:
    mention = organ.mention
    cost = float(statement.lexicon.attribute("organ", organ.structure, "weight", 0.0))
    if mention.last <= anchor.first:
        words = anchor.first - mention.last
        commas = statement.commas(mention.end, anchor.start)
        close = words <= _CLOSE_WORDS and not commas
        cost += words * (_LEFT_CLOSE if close else _LEFT_FAR) + _COMMA_LEFT * commas
        cost += _BREAK * statement.breaks(mention.end, anchor.start)
        between = [other for other in anchors if mention.end <= other.start < anchor.start]
        return cost + _ANCHOR_BETWEEN * 0.5 * bool(between and not _shared_phrase(statement, between[0], anchor))
    if mention.first >= anchor.last:
        words = mention.first - anchor.last
        cost += words * _RIGHT + _COMMA_RIGHT * statement.commas(anchor.end, mention.start)
        cost += _BREAK * statement.breaks(anchor.end, mention.start)
        if any(0 <= mention.first - cue.last <= _ONE_PHRASE_WORDS for cue in statement.of("relation", "in")):
            cost += _IN_ORGAN
            if words <= _IN_WORDS:
                cost -= float(statement.lexicon.attribute("organ", organ.structure, "weight", 0.0))
        between = [other for other in anchors if anchor.end <= other.start < mention.start]
        return cost + _ANCHOR_BETWEEN * (bool(between) + _of_another(anchor, organ, anchors))
    return cost


def _of_another(anchor: Anchor, organ: OrganMention, anchors: list[Anchor]) -> bool:
    """Whether the organ is an adjective of a later lesion: "a 5 mm nodule, with a mesenteric mass"."""
    return any(
        0 <= other.first - organ.mention.last <= 1 and other.start > anchor.start and organ.mention.start > anchor.end
        for other in anchors
    )


def _shared_phrase(statement: Statement, a: Anchor, b: Anchor) -> bool:
    return b.first - a.last <= _ONE_PHRASE_WORDS


_NEW_PHRASE = re.compile(
    r";|\b(?:and|with|containing|contains)"
    r" (?:a|an|there|another|one|two|three|four|several|multiple|many|numerous|at least)\b",
    re.IGNORECASE,
)
_NEW_PHRASE_COST = 10.0
_SIZE_COMMA = 3.0
_COMMA_BEHIND = 6.0
"""Cost of a comma behind a size: "tumour, 3.1 cm, with encasement of the artery"."""
_SIZE_BEFORE = 0.8
"""A size before its noun ("5 mm nodule") is nearer than one behind."""
_MEASURED = 25.0
"""Cost of a word behind a size that already has a subject ("measuring 2 cm, with arterial enhancement")."""
_VERB_WORDS = 3
_GAP = 400
"""Characters between a size and a word that are looked at; a word farther away is too dear anyway."""
_DISTRACTOR_HANDICAP = 0.3
_OWN_SIZE_WORDS = 2
"""Words between an organ and its own size: "Uterus: bulky, 14 x 8 cm, with several fibroids"."""


def link_sizes(statement: Statement, anchors: list[Anchor]) -> tuple[dict[int, list[Measurement]], list[Measurement]]:
    """Sizes by index of the anchor that they belong to, and those that no lesion word competes for.

    A size that a distractor wins is in neither.
    """
    uptake = {cue.start for cue in statement.of("enhancement")}  # never measured
    rivals = [cue for cue in statement.of("distractor") if cue.start not in uptake]
    rivals += _measured_organs(statement, anchors)
    linked: dict[int, list[Measurement]] = {}
    loose: list[Measurement] = []
    last: Measurement | None = None
    for size in statement.measurements:
        if last is not None and is_third_axis(statement, last, size):
            linked[next(index for index, sizes in linked.items() if last in sizes)].append(size)
            continue
        last = None
        if _has_own_size(statement, size, anchors):
            continue
        costs = [(_size_cost(statement, size, anchor.start, anchor.end), index) for index, anchor in enumerate(anchors)]
        rival = min(
            (
                _size_cost(statement, size, r.start, r.end)
                + _DISTRACTOR_HANDICAP
                + _COMPONENT * (_is_component(statement, r, size, anchors) or _names_axis(statement, size))
                for r in rivals
            ),
            default=None,
        )
        if costs and (rival is None or min(costs)[0] <= rival):
            linked.setdefault(min(costs)[1], []).append(size)
            last = size if len(size.values_mm) == 2 else None
        elif rival is None:
            loose.append(size)
    return linked, loose


_THIRD_AXIS_REACH = 110
"""Characters between two in-plane axes and the third."""
_AXIS_NAME_REACH = 28
"""Characters behind a size in which its axis is named: "4 cm in length"."""


def is_third_axis(statement: Statement, last: Measurement, size: Measurement) -> bool:
    """Whether `size` is the third axis of `last`: "57 x 46 mm and a craniocaudal length of 88 mm"."""
    if len(last.values_mm) != 2 or len(size.values_mm) != 1 or size.start - last.end > _THIRD_AXIS_REACH:
        return False
    return any(last.end <= cue.start < size.end + _AXIS_NAME_REACH for cue in statement.of("axis", "third"))


_COMPONENT = 9.0
"""Cost of a distractor that is a part of a lesion: "lesion with calcifications, 3.7 x 1.8 cm"."""
_WITH_WORDS = 3


def _is_component(statement: Statement, rival: Mention, size: Measurement, anchors: list[Anchor]) -> bool:
    if rival.end > size.start or "," not in statement.text[rival.end : size.start]:
        return False
    words = statement.tokens.words[max(0, rival.first - _WITH_WORDS) : rival.first]
    return bool({"with", "containing", "showing"} & set(words)) and any(anchor.end <= rival.start for anchor in anchors)


def _names_axis(statement: Statement, size: Measurement) -> bool:
    """Whether "a craniocaudal extent of" stands right before the size: that of a lesion, if there is one."""
    return any(
        0 <= size.start - cue.end <= _AXIS_TO_SIZE and statement.text[cue.end : size.start].strip() in ("", "of", "is")
        for cue in statement.of("axis", "third")
    )


_AXIS_TO_SIZE = 6
"""Characters between an axis and its size."""


def _has_own_size(statement: Statement, size: Measurement, anchors: list[Anchor]) -> bool:
    """Whether a size at the start is that of the organ of the heading or subject, before a lesion of it is named."""
    first = statement.tokens.at(size.start)
    following = next((anchor for anchor in anchors if anchor.start >= size.end), None)
    if following is None or any(anchor.start < size.start for anchor in anchors):
        return False
    if statement.word(first - 1) in ("a", "an"):  # "LUNGS: A 7 mm and a 5 mm nodule"
        return False
    if not _NEW_PHRASE.search(statement.between(size.end, following.start)):
        return False
    if statement.heading.organ is not None and first <= _OWN_SIZE_WORDS:
        return True
    return any(organ.first <= 1 and 0 <= first - organ.last <= _OWN_SIZE_WORDS for organ in statement.of("organ"))


def _measured_organs(statement: Statement, anchors: list[Anchor]) -> list[Mention]:
    """Organs that are themselves measured: "the liver measures 17 cm"."""
    measured = []
    for verb in statement.of("presence", "seen"):
        if not statement.text[verb.start : verb.end].lower().startswith("measur"):
            continue
        for organ in statement.of("organ"):
            lesion_before = any(anchor.start < verb.start for anchor in anchors)
            if 0 <= verb.first - organ.last <= 2 and not lesion_before and organ.value != "lymph_node":
                measured.append(organ)
    return measured


def _has_subject(statement: Statement, size: Measurement) -> bool:
    """Whether "measuring" stands before the size: what is measured is then to its left."""
    first = statement.tokens.at(size.start)
    return any(word.startswith("measur") for word in statement.tokens.words[max(0, first - _VERB_WORDS) : first])


def _size_cost(statement: Statement, size: Measurement, start: int, end: int) -> float:
    tokens = statement.tokens
    before = start >= size.end
    if before:
        low, high = size.end, start
        cost = max(0, tokens.at(high) - tokens.at(low)) * _SIZE_BEFORE + _MEASURED * _has_subject(statement, size)
    else:
        low, high = end, size.start
        cost = float(max(0, tokens.at(high) - tokens.at(low)))
    if high <= low:
        return cost
    gap = statement.between(low, min(high, low + _GAP))
    cost += (_COMMA_BEHIND if before else _SIZE_COMMA) * gap.count(",")
    if _NEW_PHRASE.search(gap):
        cost += _NEW_PHRASE_COST
    return cost
