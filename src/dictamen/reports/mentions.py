"""Find every word of the lexicon in a report, in one pass; longest term first, so that terms never overlap."""

from __future__ import annotations

from typing import NamedTuple

from dictamen.reports.lexicon import Lexicon, Term
from dictamen.reports.tokens import Tokens


class Mention(NamedTuple):
    """A term of the lexicon at a place; a tuple, since a report has a hundred of them.

    Args:
        term: what it means; a phrase with several meanings gives several mentions.
        start, end: offsets in the original text.
        first, last: words [first, last).
    """

    term: Term
    start: int
    end: int
    first: int
    last: int

    @property
    def category(self) -> str:
        """Category of the term."""
        return self.term.category

    @property
    def value(self) -> str:
        """Value of the term within its category."""
        return self.term.value


def find_mentions(tokens: Tokens, lexicon: Lexicon) -> list[Mention]:
    """All mentions in order of their place; linear in the number of words."""
    starts, ends = tokens.starts, tokens.ends
    longest = lexicon.longest
    mentions = []
    last = 0
    for index in lexicon.candidates(tokens.words):
        if index < last:
            continue
        length, terms = longest(tokens, index)
        if length:
            last = index + length
            end = ends[last - 1]
            for term in terms:
                mentions.append(Mention(term, starts[index], end, index, last))
    return mentions
