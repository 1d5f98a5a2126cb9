"""Headings and what their text is about: history is skipped, an impression repeats, an organ gives context."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple

from dictamen.reports.lexicon import Lexicon
from dictamen.reports.mentions import find_mentions
from dictamen.reports.tokens import Tokens, tokenize

Role = Literal["skip", "findings", "impression"]

_MAY_PRECEDE = re.compile(r"[\n.!?:](?:(?<=[\n.!?])|(?<=[A-Z]:) )(?=[ \t]{0,8}[A-ZÄÖÜ#\d*•–\-])")
"""What a heading stands behind; found first, since trying a heading at each character would take longest of all."""
_HEADING = re.compile(
    r"[ \t]{0,8}(?:#{1,6} ?)?(?:\d{1,2}[.)] ?|[•–\-*] {0,3})?\*{0,2}"
    r"(?P<name>[A-ZÄÖÜ][A-Za-zÄÖÜäöüß/&,() \-]{2,58}?)"
    r"(?:\*{0,2} {0,2}:\*{0,2}| {0,2}\.{3,60}|\*{2}[ \t]{0,4}(?=\n|$)|[ \t]{0,4}(?=\n|$))"
)
_LIST_INTRODUCTION = re.compile(r"example|includ|follow|target|largest|measur|respectively", re.IGNORECASE)
_DEFAULT_ORGANS = ("lymph_node", "lung", "bone", "chest_wall")
"""Which organ of a heading with two ("Lungs and pleura") is the default for its text."""
_MOST_ORGANS = 2
"""A heading with more organs is about none of them."""
_LABEL_WORDS = 4
"""Longest label such as "Metastatic disease:" before the sentence that it announces."""
_LONG_SKIPPED = 700
"""Characters; a "technique" longer than this often holds the whole report."""
_REPORT_HEADING = re.compile(r"finding|report|result|observation|addend|description|ct\b", re.IGNORECASE)
"""Headings that end an impression; others below it ("Abdomen:") belong to it."""
_REPORTED = re.compile(
    r"\b(?:there (?:is|are)|was observed|were observed|is seen|are seen|demonstrates?|unremarkable|shows?|unchanged"
    r"|without|normal|\d\s?[cm]m)\b",
    re.IGNORECASE,
)
_REPORTING, _REPORTING_PARAGRAPH = 3, 2
"""Phrases of findings that make a text a report; behind an empty line."""
_EMPTY_LINE = re.compile(r"\n[ \t\r]{0,20}\n")


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands over a part of the report, and what it says of it; `name` is "" before the first.

    `lists_lesions`: a place with a size below it is a lesion ("Further lytic foci: T12 (8 mm)", "Nodes: hilar 9 mm").
    `side` and `parts` (name, organs that have it) are those that the heading gives: "Gastric fundus:", "Left kidney:".
    """

    name: str
    role: Role
    organs: tuple[str, ...] = ()
    side: Literal["left", "right"] | None = None
    parts: tuple[tuple[str, frozenset[str]], ...] = ()
    lists_lesions: bool = False

    @property
    def organ(self) -> str | None:
        """The organ that a statement without one is about; None where the heading names several."""
        if len(set(self.organs)) > _MOST_ORGANS:
            return None
        return next(
            (organ for organ in _DEFAULT_ORGANS if organ in self.organs), self.organs[0] if self.organs else None
        )


class Section(NamedTuple):
    """A part of the report: text[start:end], under a heading."""

    heading: Heading
    start: int
    end: int


def find_sections(text: str, lexicon: Lexicon) -> list[Section]:
    """Sections in order; together with the headings they cover the text."""
    headings = [(match, *kind) for match in _headings(text) if (kind := _classify(text, match, lexicon)) is not None]
    first = headings[0][0].start() if headings else len(text)
    named = any(match["name"].lower().startswith("finding") for match, _, _ in headings)  # before it: why and how
    sections = [Section(Heading("", "skip" if named else "findings"), 0, first)] if first else []
    concluding = False
    for number, (match, role, organs) in enumerate(headings):
        end = headings[number + 1][0].start() if number + 1 < len(headings) else len(text)
        if role == "findings" and concluding and not _REPORT_HEADING.match(match["name"]):
            role = "impression"
        concluding = role == "impression"
        if role == "skip" and _holds_findings(text, match.end(), end):
            role = "findings"
        side, parts = _place(match["name"], lexicon)
        lists = bool(organs) and ("lymph_node" in organs or _organs(match["name"], lexicon)[1])
        if role == "skip" and not named and (line := _end_of_skipped(text, match.end(), end)):
            sections.append(Section(Heading(match["name"].strip(), role), match.end(), line))
            sections.append(Section(Heading("", "findings"), line, end))
            continue
        heading = Heading(match["name"].strip(), role, organs, side, parts, lists)
        sections.append(Section(heading, match.end(), end))
    return sections


def _headings(text: str) -> Iterator[re.Match[str]]:
    """What has the form of a heading, in order, none within another."""
    end = 0
    for start in chain((0,), (place.end() for place in _MAY_PRECEDE.finditer(text))):
        if start >= end and _may_be_heading(text, start) and (match := _HEADING.match(text, start)) is not None:
            yield match
            end = match.end()


_LONGEST_HEADING = 100
"""Characters, numbering and asterisks included."""


def _may_be_heading(text: str, start: int) -> bool:
    """Whether a colon, line break, asterisk, leader or the end comes soon: much faster than trying the pattern."""
    stop = start + _LONGEST_HEADING
    return stop >= len(text) or any(text.find(mark, start, stop) >= 0 for mark in (":", "\n", "*", "..."))


def _holds_findings(text: str, start: int, end: int) -> bool:
    return end - start > _LONG_SKIPPED and len(_REPORTED.findall(text, start, end)) >= _REPORTING


def _end_of_skipped(text: str, start: int, end: int) -> int | None:
    """End of what a skipped heading is about where the report itself follows without a heading of its own."""
    paragraph = _EMPTY_LINE.search(text, start, end)
    if (
        paragraph
        and text[start : paragraph.start()].strip()
        and len(_REPORTED.findall(text, paragraph.end(), end)) >= _REPORTING_PARAGRAPH
    ):
        return paragraph.start()
    line = text.find("\n", start, end)
    if line < 0 or not text[start:line].strip():
        return None
    return line if len(_REPORTED.findall(text, line, end)) >= _REPORTING else None


def _classify(text: str, match: re.Match[str], lexicon: Lexicon) -> tuple[Role, tuple[str, ...]] | None:
    """Role and organs of a heading, or None where it is ordinary text that ends with a colon or a line break."""
    name = match["name"].strip()
    behind = match[0][match.end("name") - match.start() :]
    has_colon = ":" in behind or "..." in behind or "**" in match[0]
    if not has_colon and not (name.isupper() or _alone(text, match)):
        return None
    tokens = tokenize(name, lexicon.meanings)
    first = int(tokens.words[:1] in (["left"], ["right"]))  # "Left neck:"
    length, terms = lexicon.headings.longest(tokens, first) if tokens.words[first:] and lexicon.headings else (0, ())
    roles = (
        {term.value for term in terms} if tokens.words and length >= lexicon.longest(tokens, 0)[0] - first else set()
    )
    whole = first + length == len(tokens.words)
    organs, lesion = _organs(name, lexicon)
    titled = lesion and name.isupper() and not has_colon  # "NEW LESIONS" on a line of its own
    if not has_colon and not titled and not whole and not ("findings" in roles and name.isupper()):
        return None
    if "skip" in roles:
        return "skip", ()
    if "impression" in roles:
        return "impression", ()
    if "diagnosis" in roles:
        within = whole and not name.isupper() and not _alone(text, match)
        return None if within else ("impression", ())
    if _LIST_INTRODUCTION.search(name):
        return None
    if lesion and not titled and not _text_follows(text, match.end()):
        return None
    measured = has_colon and re.match(r"\s{0,2}\d", text[match.end() : match.end() + 4]) is not None
    if measured and not roles and not (_is_organ(tokens, lexicon) and _GOES_ON.match(text, match.end())):
        return None
    labels = lesion and has_colon and len(tokens.words) <= _LABEL_WORDS
    if organs or roles or name.isupper() or labels:
        return "findings", organs
    return None


_GOES_ON = re.compile(r"[^\n.]{0,80}(?:\d\.\d[^\n.]{0,80})?\. ?\S")
"""Behind a heading, on its line: more than one sentence."""


def _is_organ(tokens: Tokens, lexicon: Lexicon) -> bool:
    """Whether the words are an organ's name and no more: "Liver: 16 cm. Two cysts ..."."""
    length, terms = lexicon.longest(tokens, 0) if tokens.words else (0, ())
    named = all(term.category == "organ" or term.attributes.get("node") for term in terms)
    return named and length == len(tokens.words) > 0


def _alone(text: str, match: re.Match[str]) -> bool:
    before = text[: match.start("name")].rstrip(" \t")
    return not before or before.endswith("\n")


def _text_follows(text: str, offset: int) -> bool:
    return re.match(r"[ \t]{1,4}[A-Z]", text[offset : offset + 5]) is not None


def _place(
    name: str, lexicon: Lexicon
) -> tuple[Literal["left", "right"] | None, tuple[tuple[str, frozenset[str]], ...]]:
    """Side and parts that a heading names."""
    tokens = tokenize(name, lexicon.meanings)
    mentions = find_mentions(tokens, lexicon)
    parts = tuple(
        (str(mention.term.attributes["name"]), frozenset(mention.term.attributes["organs"]))
        for mention in mentions
        if mention.category == "part" and not mention.term.attributes.get("as_written")
    )
    words = set(tokens.words) | {str(mention.term.attributes.get("side")) for mention in mentions}
    if "left" in words:
        return (None if "right" in words else "left"), parts
    return ("right" if "right" in words else None), parts


def _organs(name: str, lexicon: Lexicon) -> tuple[tuple[str, ...], bool]:
    """Organs that a heading names, and whether it names a lesion."""
    organs: list[str] = []
    lesion = False
    for mention in find_mentions(tokenize(name, lexicon.meanings), lexicon):
        if mention.category == "organ":
            organs.append(mention.value)
        elif mention.category == "part" and "implies" in mention.term.attributes:
            organs.append(str(mention.term.attributes["implies"]))
        elif mention.category == "lesion" and mention.value == "node":
            organs.append("lymph_node")
        elif mention.category == "lesion":
            lesion = True
    return tuple(dict.fromkeys(organs)), lesion
