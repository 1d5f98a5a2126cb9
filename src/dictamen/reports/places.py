"""Side and parts of an organ, from the words around a lesion."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from dictamen.reports.anchors import Anchor
from dictamen.reports.drafts import Place
from dictamen.reports.link import OrganMention
from dictamen.reports.measurements import Measurement
from dictamen.reports.mentions import Mention
from dictamen.reports.schema import Side
from dictamen.reports.statement import Statement

_ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6", "vii": "7", "viii": "8"}
_SEGMENT_NUMBER = r"(?:[1-8][ab]?|viii|vii|vi|iv[ab]?|v|iii|ii|i)\b"
_SEGMENTS = re.compile(
    rf"\b(?:segments?|segm?s?\.?|s)[\s.]{{0,2}}({_SEGMENT_NUMBER}(?:\s{{0,2}}(?:[-/,&]|and|or|to)\s{{0,2}}(?:segments?\s)?{_SEGMENT_NUMBER}){{0,5}})",
    re.IGNORECASE,
)
_ONE_SEGMENT = re.compile(_SEGMENT_NUMBER, re.IGNORECASE)
_SEGMENT_RANGE = re.compile(rf"({_SEGMENT_NUMBER})\s{{0,2}}(?:-|to)\s{{0,2}}({_SEGMENT_NUMBER})", re.IGNORECASE)
_RIB = re.compile(r"\b(\d{1,2})(?:st|nd|rd|th)\b", re.IGNORECASE)
_ORDINALS = {
    word: str(number + 1)
    for number, word in enumerate(
        (
            *("first", "second", "third", "fourth", "fifth", "sixth"),
            *("seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"),
        )
    )
}
_LEVEL = re.compile(r"\b([CTDL]\d{1,2}|S[1-5])\b")
_GERMAN_LEVEL = re.compile(r"\b([BHL])WK\s?(\d{1,2})\b")
_GERMAN_REGIONS = {"B": "T", "H": "C", "L": "L"}
"""Brust-, Hals-, Lendenwirbelkörper."""
_STATION = re.compile(r"\b(?:station|level)s?\s(\d{1,2}[RL]?)\b", re.IGNORECASE)
_BOTH = frozenset(["bilateral", "bilaterally", "both", "biapical", "bibasilar", "bibasal", "each"])
_SIDE_WORDS = 2
"""Words before a part in which its side stands."""
_AXES = (("upper", "lower", "mid", "middle"), ("anterior", "posterior"), ("head", "neck", "tail"))
"""Words that exclude each other; "body and tail" may both hold, so "body" is left out."""

_BEFORE_CHARACTERS, _AFTER_CHARACTERS = 75, 95
"""Reach of the tight window for the place of a lesion; the whole sentence is the second choice."""
_PLACE_ENDS = re.compile(
    r"[;(]|\bmeasur"
    r"|,(?! ?(?:right|left|upper|middle|lower|mid|in the|at the|segment|posterior|anterior|medial|lateral"
    r"|[CTDL]\d|S[1-5]\b|exophytic|located|arising|lying|involving))",
    re.IGNORECASE,
)


def find_place(statement: Statement, structure: str, start: int, end: int, focus: int) -> Place:
    """Place named in text[start:end] for an organ; `focus` is the offset that the place should be near to."""
    parts = _parts(statement, structure, start, end)
    names = [name for mention in parts for name in _named(mention)]
    names += _numbered(statement, structure, start, end)
    nearest = min((part.start for part in parts), key=lambda offset: abs(offset - focus), default=focus)
    side = _side(statement, structure, start, end, nearest)
    if side in ("left", "right") and len(parts) > 1 and _both_sided(statement, parts):
        side = "bilateral"
    implied = next((mention.term.attributes["side"] for mention in parts if "side" in mention.term.attributes), None)
    if side is None or (implied and len(parts) == 1):
        side = implied or side
    if structure == "liver" and any(name.startswith("segment") for name in names):
        names = [name for name in names if name.startswith("segment")]
    if structure == "liver" and names:
        side = None
    if side is not None and statement.lexicon.attribute("organ", structure, "halves", False):
        names.append("both sides" if side == "bilateral" else f"{side} side")
        side = None
    return Place(side, tuple(dict.fromkeys(names)))


def _named(part: Mention) -> list[str]:
    """Names of a part, the larger one first: a paratracheal node is a mediastinal one."""
    within = part.term.attributes.get("within")
    return [str(name) for name in (within, part.term.attributes["name"]) if name]


def _both_sided(statement: Statement, parts: list[Mention]) -> bool:
    """Whether parts of both sides are named: "left upper lobe and right lower lobe"."""
    words = statement.tokens.words
    before = {word for part in parts for word in words[max(0, part.first - _SIDE_WORDS) : part.first]}
    return {"left", "right"} <= before


def regions(statement: Statement) -> frozenset[str]:
    """Parts of the body that the nodal stations of a sentence lie in."""
    return frozenset(
        part.term.attributes["region"] for part in statement.of("part") if "region" in part.term.attributes
    )


def _parts(statement: Statement, structure: str, start: int, end: int) -> list[Mention]:
    return [
        part
        for part in statement.of("part")
        if start <= part.start < end
        and structure in part.term.attributes["organs"]
        and not part.term.attributes.get("as_written")
    ]


def _numbered(statement: Statement, structure: str, start: int, end: int) -> list[str]:
    window = statement.text[start:end]
    if structure == "liver":
        return [f"segment {number}" for number in liver_segments(window)]
    if structure == "bone":
        ribs = []
        if "rib" in window.lower():
            ribs = [f"rib {m[1]}" for m in _RIB.finditer(window)] + [
                f"rib {number}" for word, number in _ORDINALS.items() if word in window.lower()
            ]
        levels = [m[1].upper().replace("D", "T") for m in _LEVEL.finditer(window)]
        return ribs + levels + [_GERMAN_REGIONS[m[1]] + m[2] for m in _GERMAN_LEVEL.finditer(window)]
    if structure == "lymph_node":
        return [m[1].upper() for m in _STATION.finditer(window)]
    return []


def liver_segments(text: str) -> list[str]:
    """Couinaud segments named in `text`, as "6" or "4a", in order; ranges are filled."""
    found: list[str] = []
    for match in _SEGMENTS.finditer(text):
        listed = match[1]
        found += [_arabic(m[0]) for m in _ONE_SEGMENT.finditer(listed)]
        for pair in _SEGMENT_RANGE.finditer(listed):
            low, high = (int(_arabic(number)[0]) for number in pair.groups())
            if "to" in pair[0].lower():
                found += [str(number) for number in range(low, high + 1)]
    return list(dict.fromkeys(found))


def _arabic(number: str) -> str:
    lower = number.lower()
    stem = lower.rstrip("ab") if lower[:1] in "iv" else lower
    return _ROMAN.get(stem, stem) + lower[len(stem) :]


def _has_side(statement: Statement, structure: str) -> bool:
    attribute = statement.lexicon.attribute
    sided = attribute("organ", structure, "sided", False) or attribute("organ", structure, "halves", False)
    return sided or structure in ("lymph_node", "bone")


def _side(statement: Statement, structure: str, start: int, end: int, focus: int) -> Side | None:
    """Side named nearest to `focus`; both named apart from each other counts as the nearest one."""
    if not _has_side(statement, structure) and structure != "liver":
        return None
    tokens = statement.tokens
    first, last = tokens.at(start), tokens.at(end)
    hits: list[tuple[int, Literal["left", "right", "bilateral"]]] = []
    for index in range(first, last):
        word = tokens.words[index]
        if word in ("left", "right"):
            hits.append((tokens.starts[index], "left" if word == "left" else "right"))
        elif word in _BOTH:
            hits.append((tokens.starts[index], "bilateral"))
    if not hits:
        return None
    if any(side == "bilateral" for _, side in hits):
        return "bilateral"
    return min(hits, key=lambda hit: abs(hit[0] - focus))[1]


def lesion_place(
    statement: Statement,
    anchor: Anchor,
    structure: str,
    organ: OrganMention | None,
    neighbours: tuple[Anchor | None, Anchor | None],
) -> Place:
    """Place of a lesion: its own phrase, then its reach in the sentence, then the heading."""
    place = _said_place(statement, anchor, structure, organ, neighbours)
    section = statement.heading
    if section.organs and (structure not in section.organs or (organ is not None and not organ.part)):
        return place
    side = place.side or (section.side if _has_side(statement, structure) else None)
    parts = place.parts or tuple(name for name, organs in section.parts if structure in organs)
    return Place(side, parts)


def _said_place(
    statement: Statement,
    anchor: Anchor,
    structure: str,
    organ: OrganMention | None,
    neighbours: tuple[Anchor | None, Anchor | None],
) -> Place:
    before, after = neighbours
    start = max(_phrase_start(statement, before, anchor), anchor.start - _BEFORE_CHARACTERS)
    start = max(start, _exception_end(statement, anchor))
    end = min(statement.end, after.start if after else statement.end, anchor.end + _AFTER_CHARACTERS)
    stop = _PLACE_ENDS.search(statement.text, anchor.end, end)
    focus = organ.mention.start if organ else anchor.start
    comma = statement.text.find(",", anchor.end, end)
    if organ and 0 <= comma < focus:
        clause = find_place(statement, structure, anchor.end, comma, anchor.end)
        if clause.side:
            return clause
    place = find_place(statement, structure, start, stop.start() if stop else end, focus)
    if place.parts or (place.side and structure != "lung"):
        return place
    own = find_place(statement, structure, *_own_reach(statement, anchor, neighbours), focus)
    if own.parts and (place.side is None or place.side == own.side):
        return own
    if place or own:
        return place or own
    first = statement.of("lesion")[0]
    return find_place(statement, structure, 0, min(first.start, anchor.start), focus)


_PHRASE_BREAK = re.compile(r"[;,)]|\b(?:and|with|as well as|plus|unchanged|stable)\b", re.IGNORECASE)


def _phrase_start(statement: Statement, before: Anchor | None, anchor: Anchor) -> int:
    """Where the anchor's own phrase begins: behind what belongs to the lesion before."""
    if before is None:
        return 0
    breaks = list(_PHRASE_BREAK.finditer(statement.text, before.end, anchor.start))
    return breaks[-1].end() if breaks else before.end


def _own_reach(
    statement: Statement, anchor: Anchor, neighbours: tuple[Anchor | None, Anchor | None]
) -> tuple[int, int]:
    before, after = neighbours
    start = max(before.end if before else 0, _exception_end(statement, anchor))
    return start, after.start if after else statement.end


def _exception_end(statement: Statement, anchor: Anchor) -> int:
    """Where what is excepted begins: behind "both kidneys are normal, save for"; 0 without an exception."""
    return max((cue.end for cue in statement.of("exception") if cue.end <= anchor.start), default=0)


def enumerated_place(statement: Statement, structure: str, sizes: list[Measurement], number: int) -> Place:
    """Place of one of several sizes: "5 mm (right) and 3 mm (left)", "right lobe (5 mm), left lobe (7 mm)".

    Either all places stand behind their sizes or all before; what stands behind the last size tells which.
    """
    size = sizes[number]
    low = sizes[number - 1].end if number else max(0, size.start - _BEFORE_CHARACTERS)
    comma = max(statement.text.rfind(mark, low, size.start) for mark in ",;:")
    high = sizes[number + 1].start if number + 1 < len(sizes) else statement.end
    if (each := _respectively(statement, structure, sizes, number)) is not None:
        return each
    behind = len(sizes) > 1 and find_place(statement, structure, sizes[-1].end, statement.end, sizes[-1].end)
    if behind:
        return find_place(statement, structure, size.end, min(high, size.end + _AFTER_CHARACTERS), size.end)
    if len(sizes) > 1:
        near = comma >= 0 and find_place(statement, structure, comma, size.start, size.start)
        return near or find_place(statement, structure, low, size.start, size.start)
    return find_place(statement, structure, max(low, size.start - 40), min(high, size.end + 90), size.end)


def _respectively(statement: Statement, structure: str, sizes: list[Measurement], number: int) -> Place | None:
    """The place of one of as many sizes as places before them: "in the lingula and middle lobe ... respectively"."""
    parts = [part for part in statement.of("part") if part.end <= sizes[0].start]
    if "respectively" not in statement.tokens.words or len(parts) != len(sizes) or len(sizes) == 1:
        return None
    start = parts[number - 1].end if number else 0
    return find_place(statement, structure, start, parts[number].end, parts[number].start)


def compatible(a: Place, b: Place) -> bool:
    """Whether two places can be the same: nothing that one says excludes the other."""
    if a.side != b.side and {a.side, b.side} == {"left", "right"}:
        return False
    return not _exclude(a.parts, b.parts)


def _exclude(a: Iterable[str], b: Iterable[str]) -> bool:
    a_names, b_names = set(a), set(b)
    if not a_names or not b_names or a_names & b_names:
        return False
    a_numbers = {name for name in a_names if name[-1:].isdigit() or name[-2:-1].isdigit()}
    b_numbers = {name for name in b_names if name[-1:].isdigit() or name[-2:-1].isdigit()}
    if a_numbers and b_numbers:
        return not any(x.startswith(y) or y.startswith(x) for x in a_numbers for y in b_numbers)
    a_words, b_words = (
        {word for name in a_names for word in name.split()},
        {word for name in b_names for word in name.split()},
    )
    return any(
        (axis & a_words) and (axis & b_words) and not (axis & a_words & b_words)
        for axis in (frozenset(axis) for axis in _AXES)
    )


def joined(a: Place, b: Place) -> Place:
    """The more precise of two compatible places, axis by axis."""
    return Place(a.side or b.side, a.parts or b.parts)
