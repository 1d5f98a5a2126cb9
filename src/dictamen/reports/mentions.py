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


def find_mentions(tokens: Tokens, lexicon: Lexicon, first: int = 0, last: int | None = None) -> list[Mention]:
    """All mentions among words [first, last) in order of their place; linear in the number of words."""
    starts, ends, new = tokens.starts, tokens.ends, tuple.__new__
    found = lexicon.find(tokens, first, len(tokens.words) if last is None else last)
    return [
        new(Mention, (term, starts[begin], ends[stop - 1], begin, stop))  # half the time of Mention(...)
        for begin, stop, terms in found
        for term in terms
    ]
