"""Signs that a text is damaged: by OCR, by machine translation, by a wrong encoding; it is read all the same."""

from __future__ import annotations

import re

from dictamen.reports.schema import Flag

_DAMAGE = re.compile("[\x00-\x08\x0b\x0e-\x1f\ufffd]|\xc3[\x80-\xbf]|â€")
"""Characters that no report has: control characters, the replacement character, UTF-8 read as Latin-1."""
_ODD = re.compile(
    r"\b([^\W\d_]{1,20})(?:\s{1,3}\1\b){2}"  # a word three times
    r"|[,;:?#)(]\s?[,;:?#)(]\s?[,;:?#)(]"  # a run of punctuation
    r"|\b[a-z]{2,12}\d[a-z]{2,12}\b"  # a digit within a word
    r"|\d\s?(?:mm|cm)\s(?:mm|cm)\b",  # two units
    re.IGNORECASE,
)
MANY_ODD = 2
"""Odd places that make a text a damaged one; a single one is a slip of the pen."""


def noise(text: str) -> Flag | None:
    """A flag where the text is damaged, at its first sign; linear in the length of the text."""
    damage = _DAMAGE.search(text)
    if damage is None:
        odd = []
        for match in _ODD.finditer(text):
            odd.append(match.span())
            if len(odd) == MANY_ODD:
                break
        if len(odd) < MANY_ODD:
            return None
        span = odd[0]
    else:
        span = damage.span()
    message = "The text is damaged (encoding, OCR or translation); sizes and organs may have been lost."
    return Flag(code="noise", message=message, span=span)
