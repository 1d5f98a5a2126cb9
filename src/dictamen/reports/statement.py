"""One sentence with everything found in it: what the later stages read."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dictamen.reports.lexicon import Lexicon
from dictamen.reports.measurements import Measurement, SliceMention, qualified
from dictamen.reports.mentions import Mention
from dictamen.reports.sentences import Sentence
from dictamen.reports.tokens import Tokens

_NONE: list[Mention] = []
"""Shared by all statements without a mention of a category; never changed."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence, its words, mentions by category, sizes and slice references."""

    text: str
    tokens: Tokens
    lexicon: Lexicon
    sentence: Sentence
    first: int
    last: int
    by_term: dict[str | tuple[str, str], list[Mention]]
    measurements: list[Measurement]
    slices: list[SliceMention]

    def of(self, category: str, *values: str) -> list[Mention]:
        """Mentions of a category, optionally only some values, in order."""
        mentions = self.by_term.get(category, _NONE)
        if not values or not mentions:
            return mentions
        if len(values) == 1:
            return self.by_term.get((category, values[0]), _NONE)
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
        return self.tokens.words[index] if self.first <= index < self.last else ""


_LIMITS: tuple[Literal["max", "min", "approx"], ...] = ("max", "min", "approx")
_TO_SIZE = 2
"""Characters between a word on the exactness of a size and the size."""


def _limited(size: Measurement, by_term: dict[str | tuple[str, str], list[Mention]]) -> Measurement:
    """The size with what words of the lexicon say on its exactness; `measurements` knows the English ones."""
    if size.qualifier is not None:
        return size
    for name in _LIMITS:
        if any(0 <= size.start - mention.end <= _TO_SIZE for mention in by_term.get(("size", name), _NONE)):
            return qualified(size, name)
    return size


def statements(
    text: str,
    tokens: Tokens,
    lexicon: Lexicon,
    sentences: list[Sentence],
    mentions: list[Mention],
    measurements: list[Measurement],
    slices: list[SliceMention],
) -> Iterator[Statement]:
    """Distribute what was found in the whole text over its sentences."""
    mention_starts = [mention.start for mention in mentions]
    measurement_starts = [measurement.start for measurement in measurements]
    slice_starts = [slice_.start for slice_ in slices]
    for sentence in sentences:
        start, end = sentence.start, sentence.end
        by_term: dict[str | tuple[str, str], list[Mention]] = {}
        for mention in mentions[bisect_left(mention_starts, start) : bisect_left(mention_starts, end)]:
            term = mention.term
            by_term.setdefault(term.category, []).append(mention)
            by_term.setdefault(term.key, []).append(mention)
        sizes = measurements[bisect_left(measurement_starts, start) : bisect_left(measurement_starts, end)]
        yield Statement(
            text,
            tokens,
            lexicon,
            sentence,
            tokens.at(start),
            tokens.at(end),
            by_term,
            [_limited(size, by_term) for size in sizes] if tokens.translated else sizes,
            slices[bisect_left(slice_starts, start) : bisect_left(slice_starts, end)],
        )
