"""One sentence in itself, with everything found in it: what the later stages read, the same wherever it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dictamen.reports.lexicon import Lexicon
from dictamen.reports.measurements import Measurement, SliceMention, find_measurements, find_slices, qualified
from dictamen.reports.mentions import Mention, find_mentions
from dictamen.reports.sections import Heading
from dictamen.reports.tokens import Tokens, tokenize

_NONE: list[Mention] = []
"""Shared by all statements without a mention of a category; never changed."""


@dataclass(slots=True)
class Statement:
    """A sentence, its words, mentions by category, sizes and slice references; never changed.

    All offsets are within the sentence, all indices within its words.

    Args:
        heading, impression: what it stands under, and whether it concludes.
        end, last: how many characters and words it has.
    """

    text: str
    heading: Heading
    impression: bool
    lexicon: Lexicon
    tokens: Tokens
    mentions: dict[str, list[Mention]]
    measurements: list[Measurement]
    slices: list[SliceMention]
    end: int
    last: int

    def of(self, category: str, *values: str) -> list[Mention]:
        """Mentions of a category, optionally only some values, in order."""
        mentions = self.mentions.get(category, _NONE)
        if not values or not mentions:
            return mentions
        return [mention for mention in mentions if mention.term.value in values]

    def between(self, start: int, end: int) -> str:
        """Text from offset `start` to `end`, each word as it is read."""
        return self.tokens.read_as(start, end) if self.tokens.translated else self.text[start:end]

    def commas(self, start: int, end: int) -> int:
        """Commas in text[start:end]."""
        return self.text.count(",", start, end)

    def breaks(self, start: int, end: int) -> int:
        """Semicolons and colons in text[start:end]; a colon inside a slice reference is none."""
        count = self.text.count(";", start, end) + self.text.count(":", start, end)
        if count:
            count -= sum(start <= slice_.start and slice_.end <= end for slice_ in self.slices)
        return max(count, 0)

    def word(self, index: int) -> str:
        """Lower-case word, or "" outside the sentence."""
        return self.tokens.words[index] if 0 <= index < self.last else ""


_LIMITS: tuple[Literal["max", "min", "approx"], ...] = ("max", "min", "approx")
_TO_SIZE = 2
"""Characters between a word on the exactness of a size and the size."""


def _limited(size: Measurement, mentions: dict[str, list[Mention]]) -> Measurement:
    """The size with what words of the lexicon say on its exactness; `measurements` knows the English ones."""
    if size.qualifier is not None:
        return size
    for name in _LIMITS:
        said = [mention for mention in mentions.get("size", _NONE) if mention.term.value == name]
        if any(0 <= size.start - mention.end <= _TO_SIZE for mention in said):
            return qualified(size, name)
    return size


def find_statement(text: str, heading: Heading, impression: bool, lexicon: Lexicon) -> Statement:
    """The sentence with all that it says, found in one pass each."""
    tokens = tokenize(text, lexicon.meanings)
    mentions: dict[str, list[Mention]] = {}
    for mention in find_mentions(tokens, lexicon):
        category = mention.term.category
        if category in mentions:
            mentions[category].append(mention)
        else:
            mentions[category] = [mention]
    slices = find_slices(text)
    sizes = find_measurements(text, slices)
    if tokens.translated:
        sizes = [_limited(size, mentions) for size in sizes]
    return Statement(text, heading, impression, lexicon, tokens, mentions, sizes, slices, len(text), len(tokens.words))
