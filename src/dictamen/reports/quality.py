"""Signs that a text is damaged: by OCR, by machine translation, by a wrong encoding; it is read all the same."""

from __future__ import annotations

import re
from itertools import islice
from operator import eq

from dictamen.reports.schema import Flag, Span
from dictamen.reports.tokens import Tokens

_DAMAGE = re.compile("[\x00-\x08\x0b\x0e-\x1f\ufffd\xc3â](?:(?<![\xc3â])|(?<=\xc3)[\x80-\xbf]|(?<=â)€)")
"""Characters that no report has: control characters, the replacement character, UTF-8 read as Latin-1."""
_ODD = re.compile(
    r"[,;:?#)(\d](?:"  # one leading set lets the engine skip ordinary letters
    r"(?<!\d)\s?[,;:?#)(]\s?[,;:?#)(]"  # a run of punctuation
    r"|(?<=[a-z]{2}\d)[a-z]{2,12}\b"  # a digit within a word
    r"|(?<=\d)\s?(?:mm|cm)\s(?:mm|cm)\b)",  # two units
    re.IGNORECASE,
)
MANY_ODD = 2
"""Odd places that make a text a damaged one; a single one is a slip of the pen."""


def noise(text: str, sentences: list[tuple[int, Tokens]]) -> Flag | None:
    """A flag where the text is damaged, at its first sign; linear in the length of the text.

    Args:
        text: the report.
        sentences: where each sentence begins, and its words.
    """
    damage = _DAMAGE.search(text)
    if damage is not None:
        span = damage.span()
    else:
        odd = _repeated(sentences) + [match.span() for match in islice(_ODD.finditer(text), MANY_ODD)]
        if len(odd) < MANY_ODD:
            return None
        span = min(odd)
    message = "The text is damaged (encoding, OCR or translation); sizes and organs may have been lost."
    return Flag(code="noise", message=message, span=span)


def _repeated(sentences: list[tuple[int, Tokens]]) -> list[Span]:
    """Words said three times in a row."""
    return [
        (begin + tokens.starts[i], begin + tokens.ends[i + 2])
        for begin, tokens in sentences
        if any(map(eq, tokens.words, tokens.words[1:]))  # before looking closer: fast
        for i, (a, b, c) in enumerate(zip(tokens.words, tokens.words[1:], tokens.words[2:], strict=False))
        if a == b == c and a.isalpha() and tokens.joined(i + 1) and tokens.joined(i + 2)
    ]
