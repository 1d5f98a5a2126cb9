"""Which organs a text names at all: enough for a caption, which lists what an image shows and finds nothing in it."""

from __future__ import annotations

from dictamen.reports.lexicon import Lexicon, load
from dictamen.reports.mentions import find_mentions
from dictamen.reports.tokens import tokenize


def named_organs(text: str, *, lexicon: Lexicon | None = None) -> frozenset[str]:
    """Vocabulary ids of the whole organs that `text` names, in whatever context ("the kidneys are absent" as well)."""
    words = lexicon or load()
    return frozenset(
        mention.value for mention in find_mentions(tokenize(text, words.meanings), words) if mention.category == "organ"
    )
