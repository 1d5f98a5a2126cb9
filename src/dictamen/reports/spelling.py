"""Slips of the pen in the words that matter most: one letter missing, too many, wrong, or two exchanged.

Only long words of a list (category "misspelled" of the lexicon) are recognised, and only with their first letter right:
"leison" is a lesion, "rectus" no rectum.
"""

from __future__ import annotations

from collections.abc import Iterable

MIN_LETTERS = 5
"""Shorter words have too many neighbours."""
MAX_LETTERS = 24
"""Longer words are not looked at; bounds the work on endless ones."""


class Typos:
    """Finds the word that a misspelled one stands for.

    Args:
        words: those that are recognised.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._words: dict[str, list[str]] = {}
        for word in dict.fromkeys(words):
            for form in _shortened(word):
                self._words.setdefault(form, []).append(word)

    def corrected(self, word: str) -> str | None:
        """The word meant, or None."""
        if not self._words or not MIN_LETTERS <= len(word) <= MAX_LETTERS or not word.isalpha():
            return None
        meant = (known for form in _shortened(word) for known in self._words.get(form, ()))
        return next((known for known in meant if known[0] == word[0] and _one_slip(word, known)), None)


def _shortened(word: str) -> list[str]:
    """The word, and the word without each of its letters: two words one slip apart share one of these."""
    return [word, *(word[:i] + word[i + 1 :] for i in range(len(word)))]


def _one_slip(a: str, b: str) -> bool:
    """Whether one letter is missing, added or another, or two neighbours are exchanged."""
    shorter = min(len(a), len(b))
    start = next((i for i in range(shorter) if a[i] != b[i]), shorter)
    left = shorter - start
    end = next((i for i in range(left) if a[-1 - i] != b[-1 - i]), left)
    x, y = a[start : len(a) - end], b[start : len(b) - end]
    return (len(x) <= 1 and len(y) <= 1) or (len(x) == 2 and x == y[::-1])
