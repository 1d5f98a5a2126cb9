"""Words of a report with their offsets in the original text; everything later refers to them by index."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+(?:['’][a-z]+)?")
_JOINED = frozenset([" ", "-", "\n", "  ", "–", "\t", "\r\n", " \n", "\n ", " - "])
"""What may stand between two words of one term: "ground glass", "ground-glass", a soft line break."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Words of a text.

    Args:
        text: the original text.
        words: lower-case words.
        starts, ends: offsets of each word, `text[start:end]`.
    """

    text: str
    words: list[str]
    starts: list[int]
    ends: list[int]

    def at(self, offset: int) -> int:
        """Index of the first word that starts at or after `offset`."""
        return bisect_left(self.starts, offset)

    def joined(self, index: int) -> bool:
        """Whether only a space, hyphen or line break stands between the word and the one before."""
        return self.text[self.ends[index - 1] : self.starts[index]] in _JOINED


_SIDES = {"r": "right", "rt": "right", "rigth": "right", "l": "left", "lt": "left", "letf": "left"}
"""Short and misspelled words for a side."""
_LETTER_IS_NO_SIDE = re.compile(r"\.?/|\.? ?-?(?:spine|\d{1,2}\b(?!\s?(?:mm|cm|x|×)))", re.IGNORECASE)
"""Behind an "L" or "R" that is no side: "R/O", "L spine", "L 5"."""


def tokenize(text: str) -> Tokens:
    """Split `text` into words; sides are spelled out ("R", "lt" -> "right", "left"); one linear pass."""
    spans = [match.span() for match in _WORD.finditer(text)]
    if not spans:
        return Tokens(text, [], [], [])
    words = "\n".join(_WORD.findall(text)).lower().split("\n")
    starts, ends = zip(*spans, strict=True)
    if not _SIDES.keys().isdisjoint(words):
        _spell_out_sides(text, words, starts, ends)
    return Tokens(text, words, list(starts), list(ends))


def _spell_out_sides(text: str, words: list[str], starts: tuple[int, ...], ends: tuple[int, ...]) -> None:
    for index, word in enumerate(words):
        if word in _SIDES and (len(word) > 1 or _is_side(text, words, index, starts[index], ends[index])):
            words[index] = _SIDES[word]


def _is_side(text: str, words: list[str], index: int, start: int, end: int) -> bool:
    """Whether a single letter stands for a side: a capital behind no number ("5 L") and before none ("L 5")."""
    if not text[start].isupper() or (index and words[index - 1].isdigit() and text[start - 1] == " "):
        return False
    return _LETTER_IS_NO_SIDE.match(text, end) is None
