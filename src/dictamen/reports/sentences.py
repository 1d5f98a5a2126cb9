"""Sentences with offsets into the original text: prose, lists, quoted bullets, impressions without punctuation."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import NamedTuple

from dictamen.reports.lexicon import Lexicon
from dictamen.reports.sections import Section

_BOUNDARY = re.compile(
    r"[.!?\n•▪\"](?:"  # one leading set lets the engine skip ordinary letters
    r"(?<=[.!?])[\"')\]]{0,2}\s{1,20}(?=[\"'(\[]{0,2}[A-ZÄÖÜ0-9*•\-–\"])"  # full stop
    r"|(?<=\n)[ \t\r\n]{0,40}(?=\S)"  # line break
    r"|(?<=[•▪])\s{0,4}"  # bullet
    r"|(?<=[a-z)\d]\.)(?=[A-Z][a-z])"  # missing space
    r"|(?<=\")\s{0,4}(?=[A-Z0-9\"])"  # quoted bullet
    r"|(?<=[.?]\"))"
)
_WORD = re.compile(r"[^\W_]")
_ABBREVIATION = re.compile(
    r"(?:\b(?:dr|mr|mrs|vs|approx|ca|no|fig|e\.g|i\.e|st|im|se|img|resp|max|min|incl|seg|b)|(?:^|\s)[A-Z])\.$",
    re.IGNORECASE,
)
_NUMBERING = re.compile(r"\s{0,4}(?:\d{1,2}[.)]|[-*–])?\s{0,4}$")
_LONGEST_NUMBERING, _SEVEN = 11, 7
"""Letters of a numbering, and letters that no abbreviation has."""
_CONTINUES = re.compile(r"(?:[a-z(,]|\d{1,3}(?:\.\d+)?\s?(?:mm|cm)\b)")
_ITEM = re.compile(r"[a-h]\) |[a-z][a-z ]{2,24} [-–] ")
"""What an item of a list begins with though it is in small letters: "b) ", "spleen - "."""
_LINE_WORD = re.compile(r"\S{1,40}")
_FULL, _NARROWEST, _WIDEST = 0.7, 50, 80
"""Share of the longest line from which a line is full; characters of the narrowest text; of a line at most."""
_OPEN_WORDS = frozenset(
    [
        *("the", "of", "in", "and", "with", "a", "an", "to", "for", "at", "is", "are", "on", "or", "from", "by"),
        *("without", "no", "along", "within", "right", "left", "than", "as"),
    ]
)
"""Words that end no sentence."""
_OPEN_REACH = 12
"""Characters before a line break in which its last word is looked for."""
_CAPITAL_START = re.compile(r" (?<=[a-z0-9)?] )(?=[A-Z][a-z]{2}|No )")
MAX_SENTENCE = 1000
"""Characters; real sentences are shorter by far, and a sentence costs the square of its length."""
_RUN_ON = 3
"""Capitalised words inside a sentence that make it a list without punctuation."""
_DICTATED = 200
"""Characters without punctuation that are more than one sentence."""
_PUNCTUATION = re.compile(r"[,;:](?=\s)|[.!?](?!\d)")
_CLAUSE_START = re.compile(
    r" (?=(?:the (?:(?!the |there |no )[a-z]+ ){1,5}"
    r"(?:is|are|was|were|shows?|demonstrates?|has|have|appears?|contains?)\b"
    r"|there (?:is|are)\b|no (?:[a-z]+ ){1,4}(?:is |are )?(?:seen|identified|noted|present|lesion|mass)\b"
    r"|impression |findings |conclusion ))"
)
"""What a clause of such dictation begins with."""
_CONCLUDES = re.compile(r"\s{0,3}(?:impression|conclusion)\b", re.IGNORECASE)
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|been|seen|observed|noted|measures?|shows?|detected|there|demonstrates?|evaluated|contains?|appears?)\b",
    re.IGNORECASE,
)
_MIN_RESTATED = 2
"""Verbless sentences at the end that make an impression without a heading."""


class Sentence(NamedTuple):
    """text[start:end] in a section; `impression` is set also where only the form tells it."""

    start: int
    end: int
    section: Section
    impression: bool = False


_BULLETS = ('"', "“", "•")


def split_sentences(text: str, sections: list[Section], lexicon: Lexicon) -> list[Sentence]:
    """Sentences of all sections that are not skipped."""
    sentences: list[Sentence] = []
    width = min(max(map(len, text.split("\n"))), _WIDEST)
    for section in sections:
        if section.heading.role == "skip":
            continue
        spans = _split(text, section.start, section.end, width, lexicon.abbreviations)
        if not lexicon.capitalised_nouns:
            spans = _run_on(text, _unpunctuated(text, spans))
        if section.heading.lists_lesions:
            spans = [piece for span in spans for piece in _items(text, *span)]
        impression = section.heading.role == "impression"
        sentences += [Sentence(start, end, section, impression) for start, end in spans]
    return _implicit_impression(text, sentences)


def _split(text: str, start: int, end: int, width: int, abbreviations: frozenset[str]) -> list[tuple[int, int]]:
    spans = []
    begin = start
    for match in _BOUNDARY.finditer(text, start, end):
        stop = match.start() + (match[0][0] in ".!?")
        if "\n" in match[0]:
            if _is_soft_break(text, match, begin, width):
                continue
        elif _is_abbreviation(text, begin, stop, abbreviations):
            continue
        if stop - begin <= _LONGEST_NUMBERING and _NUMBERING.fullmatch(text, begin, stop):
            continue
        spans.append((begin, stop))
        begin = match.end()
    spans.append((begin, end))
    if any(last - first > MAX_SENTENCE for first, last in spans):
        spans = [piece for span in spans for piece in _pieces(*span)]
    return [span for span in spans if _WORD.search(text, *span)]


def _is_abbreviation(text: str, begin: int, stop: int, abbreviations: frozenset[str]) -> bool:
    """Whether the full stop before `stop` ends an abbreviation; none has seven letters."""
    before = text[max(begin, stop - 8) : stop - 1]
    if len(before) == _SEVEN and before.isalpha():
        return False
    if _ABBREVIATION.search(text, max(begin, stop - 8), stop):
        return True
    return bool(abbreviations) and text[max(begin, stop - 12) : stop - 1].rpartition(" ")[2].lower() in abbreviations


def _items(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The items of a list with semicolons, behind the first size: "left hilar 28 mm; right axilla, up to 21 mm"."""
    if (size := _SIZED.search(text, start, end)) is None:
        return [(start, end)]
    return list(pairwise([start, *(mark.end() for mark in _SEMICOLON.finditer(text, size.start(), end)), end]))


_SIZED, _SEMICOLON = re.compile(r"\d ?[cm]m\b"), re.compile(r"; ?")


def _pieces(start: int, end: int) -> list[tuple[int, int]]:
    """Cut what is too long to be a sentence, so that the work for one stays bounded."""
    return [(first, min(first + MAX_SENTENCE, end)) for first in range(start, end, MAX_SENTENCE)]


def _is_soft_break(text: str, match: re.Match[str], begin: int, width: int) -> bool:
    """Whether a line break only wraps a line."""
    if _ITEM.match(text, match.end()):
        return False
    if match[0].count("\n") > 1 and not text[match.end() : match.end() + 1].islower():
        return False
    if text[begin : match.start()].rstrip(" \t\r")[-1:] in (".", ":", ";"):
        return False
    before = text[max(begin, match.start() - _OPEN_REACH) : match.start()].rstrip()
    if before.endswith(",") or before[before.rfind(" ") + 1 :].lstrip('("').lower() in _OPEN_WORDS:
        return True
    if width < _NARROWEST:
        return False
    line = match.start() - text.rfind("\n", max(0, match.start() - _WIDEST), match.start())
    following = _LINE_WORD.match(text, match.end())
    if line + len(following[0] if following else "") < _FULL * width:  # the next word had found room: an item of a list
        return False
    return _CONTINUES.match(text, match.end()) is not None


def _unpunctuated(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Split dictation without any punctuation where a new clause begins."""
    pieces: list[tuple[int, int]] = []
    for start, end in spans:
        if end - start < _DICTATED or _PUNCTUATION.search(text, start, end):
            pieces.append((start, end))
            continue
        starts = [match.end() for match in _CLAUSE_START.finditer(text, start, end)]
        pieces += [piece for piece in pairwise([start, *starts, end]) if piece[0] < piece[1]]
    return pieces


def _run_on(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Split each list that lost its punctuation before each capitalised word."""
    if not spans:
        return spans
    capitals = [match.end() for match in _CAPITAL_START.finditer(text, spans[0][0], spans[-1][1])]
    if len(capitals) < _RUN_ON:
        return spans
    pieces: list[tuple[int, int]] = []
    for start, end in spans:
        starts = capitals[bisect_right(capitals, start) : bisect_left(capitals, end)]
        pieces += pairwise([start, *starts, end]) if len(starts) >= _RUN_ON else [(start, end)]
    return pieces


def _implicit_impression(text: str, sentences: list[Sentence]) -> list[Sentence]:
    """Mark the restating end of a report that has no heading for it."""
    if any(sentence.impression for sentence in sentences) or len(sentences) < 2 * _MIN_RESTATED:
        return sentences
    middle = len(sentences) // 3
    quoted = [
        i
        for i, s in enumerate(sentences)
        if i > middle and (_opens_quote(text, s) or _CONCLUDES.match(text, s.start, s.end))
    ]
    first = quoted[0] if quoted else len(sentences) - _verbless_tail(text, sentences)
    if first <= middle:
        return sentences
    return sentences[:first] + [s._replace(impression=True) for s in sentences[first:]]


def _opens_quote(text: str, sentence: Sentence) -> bool:
    before = text[max(0, sentence.start - 3) : sentence.start + 2]
    return any(mark in before for mark in _BULLETS)


def _verbless_tail(text: str, sentences: list[Sentence]) -> int:
    count = 0
    for sentence in reversed(sentences):
        if sentence.section.heading.name or _VERB.search(text, sentence.start, sentence.end):
            break
        count += 1
    return count if count >= _MIN_RESTATED else 0
