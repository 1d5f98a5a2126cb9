"""Words of a report with their offsets in the original text; everything later refers to them by index."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

_WORD = re.compile(r"([^\W_]+(?:['’][a-z]+)?)")
_ASCII_WORD = re.compile(r"([a-z0-9]+(?:'[a-z]+)?)")
"""The same for most reports, in two thirds of the time."""
JOINED = frozenset([" ", "-", ".", "\n", "  ", "–", "\t", "\r\n", " \n", "\n ", " - ", "/"])
ABBREVIATED = ". "
"""What stands between two letters of one term: "Z. n.", "o. B."."""
"""What may stand between two words of one term: "ground glass", "ground-glass", a soft line break."""


class Tokens(NamedTuple):
    """Words of a text.

    Args:
        text: the original text.
        words: lower-case words.
        starts, ends: offsets of each word, `text[start:end]`.
        translated: some words are not those of the text but what they are read as.
    """

    text: str
    words: list[str]
    starts: list[int]
    ends: list[int]
    translated: bool = False

    def at(self, offset: int) -> int:
        """Index of the first word that starts at or after `offset`."""
        return bisect_left(self.starts, offset)

    def read_as(self, start: int, end: int) -> str:
        """text[start:end] with each word as it is read; `start` and `end` are not within words."""
        pieces, offset = [], start
        for index in range(self.at(start), self.at(end)):
            pieces += [self.text[offset : self.starts[index]], self.words[index]]
            offset = self.ends[index]
        return "".join([*pieces, self.text[offset:end]])

    def joined(self, index: int) -> bool:
        """Whether only a space, hyphen or line break stands between the word and the one before."""
        return self.text[self.ends[index - 1] : self.starts[index]] in JOINED


_LETTER_IS_NO_SIDE = re.compile(r"\.?/|\.? ?-?(?:spine|\d{1,2}\b(?!\s?(?:mm|cm|x|×)))", re.IGNORECASE)
"""Behind an "L" or "R" that is no side: "R/O", "L spine", "L 5"."""
_NONE: Mapping[str, str] = {}


def tokenize(text: str, meanings: Mapping[str, str] = _NONE) -> Tokens:
    """Split `text` into words; one linear pass.

    Args:
        text: any text.
        meanings: words to be read as others: "lt" as "left", "und" as "and" (`Lexicon.meanings`).
    """
    lower = text.lower()
    if len(lower) != len(text):  # a letter whose small form is two
        lower = "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in text)
    pieces = (_ASCII_WORD if lower.isascii() else _WORD).split(lower)
    offsets = list(accumulate(map(len, pieces)))
    words, starts, ends = pieces[1::2], offsets[0:-1:2], offsets[1::2]
    translated = not meanings.keys().isdisjoint(words)
    if translated:
        for index, word in enumerate(words):
            if word in meanings and (len(word) > 1 or _is_side(text, words, index, starts[index], ends[index])):
                words[index] = meanings[word]
    return Tokens(text, words, starts, ends, translated)


def _is_side(text: str, words: list[str], index: int, start: int, end: int) -> bool:
    """Whether a single letter stands for a side: a capital behind no number ("5 L") and before none ("L 5")."""
    if not text[start].isupper() or (index and words[index - 1].isdigit() and text[start - 1] == " "):
        return False
    return _LETTER_IS_NO_SIDE.match(text, end) is None
