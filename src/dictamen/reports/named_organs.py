"""Which organs a text names at all: enough for a caption, which lists what an image shows and finds nothing in it."""

from __future__ import annotations

from dictamen.reports.lexicon import Lexicon, load
from dictamen.reports.mentions import Mention, find_mentions
from dictamen.reports.tokens import Tokens, tokenize

SIDES = ("left", "right")
_BOTH = ("both", "bilateral")
_BESIDE = frozenset({*SIDES, *_BOTH, "and", "or"})
"""Words that stand between a side and its organ: "the right and the left kidney", "the left or right lung"."""
_ARTICLE = "the"


def named_organs(text: str, *, lexicon: Lexicon | None = None) -> frozenset[str]:
    """Whole organs that `text` names, in whatever context ("the kidneys are absent" as well).

    Returns:
        Vocabulary ids, "kidney"; and, of an organ of two sides, those that are named: "kidney:left" for "left kidney",
        both for "kidneys", neither for "kidney".
    """
    words = lexicon or load()
    tokens = tokenize(text, words.meanings)
    found: set[str] = set()
    for mention in find_mentions(tokens, words):
        if mention.category == "organ":
            found.add(mention.value)
            if words.attribute("organ", mention.value, "sided", False):
                found |= {f"{mention.value}:{side}" for side in _sides(tokens, mention)}
    return frozenset(found)


def _sides(tokens: Tokens, mention: Mention) -> frozenset[str]:
    """Sides of the words right before an organ; both of several organs of which none is named."""
    before, index = set[str](), mention.first - 1
    while index >= 0 and (tokens.words[index] in _BESIDE or (before and tokens.words[index] == _ARTICLE)):
        before.add(tokens.words[index])
        index -= 1
    named = before & set(SIDES)
    if named:
        return frozenset(named)
    return frozenset(SIDES if mention.term.plural or before & set(_BOTH) else ())
