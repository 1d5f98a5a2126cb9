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


def tokenize(text: str) -> Tokens:
    """Split `text` into words; one linear pass."""
    spans = [match.span() for match in _WORD.finditer(text)]
    if not spans:
        return Tokens(text, [], [], [])
    words = "\n".join(_WORD.findall(text)).lower().split("\n")
    starts, ends = zip(*spans, strict=True)
    return Tokens(text, words, list(starts), list(ends))
