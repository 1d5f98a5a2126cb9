"""Other ways to write a name, drawn at random: what an encoder of names is to read alike.

Word order, articles, side words, plural, British spelling, numerals, initials, typing errors, and the general words of
anatomy that stand for each other (`_PAIRS`). Words of single organs ("renal" for "kidney") come from the knowledge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random

_PAIRS = (
    ("upper", "superior"),
    ("lower", "inferior"),
    ("front", "anterior", "ventral"),
    ("back", "posterior", "dorsal"),
    ("inner", "medial"),
    ("outer", "lateral"),
    ("middle", "mid"),
    ("greater", "major"),
    ("lesser", "minor"),
    ("cancer", "carcinoma"),
    ("tumour", "tumor", "neoplasm", "mass"),
    ("stone", "calculus"),
    ("node", "lymph node"),
    ("hilum", "hilus"),
    ("apex", "tip"),
    ("muscle", "musculus"),
    ("artery", "arteria"),
    ("vein", "vena"),
    ("disc", "disk"),
)
"""General words that stand for each other within a longer name."""
EQUIVALENT: Mapping[str, tuple[str, ...]] = {
    word: tuple(other for other in group if other != word) for group in _PAIRS for word in group
}
_KINDS = frozenset({"process", "muscle", "bone", "gland"})
"""Last words that say what a thing is, and are often left out."""
_ADJECTIVES = (
    ("ium", ("ial",)),
    ("um", ("al",)),
    ("us", ("al", "ar", "ic")),
    ("a", ("al", "ar", "ic")),
    ("is", ("al", "ar", "ic")),
    ("nx", ("ngeal",)),
    ("yx", ("yceal",)),
    ("ix", ("iceal",)),
    ("or", ("oral",)),
)
"""Endings of nouns -> endings of their adjectives."""
_BRITISH = (("esoph", "oesoph"), ("edem", "oedem"), ("celiac", "coeliac"), ("cec", "caec"), ("hem", "haem"))
_ROMAN = {"1": "I", "2": "II", "3": "III", "4": "IV", "5": "V", "6": "VI", "7": "VII", "8": "VIII"}
_ARABIC = {roman: digit for digit, roman in _ROMAN.items()}
_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)
_OF = re.compile(r"^(.+?) of (?:the )?(.+)$")
FEWEST_INITIALS = 3
"""Words of a name that is called by its initials: SMV; two letters would mean anything."""
SHORTEST_MISSPELT = 5
"""Letters of a word in which one may be wrong and the word still be known."""


def vary(name: str, draw: Random, *, equivalent: Mapping[str, Sequence[str]] = EQUIVALENT) -> str:
    """`name` written in another way; sometimes as it is."""
    steps: tuple[tuple[float, Callable[[str, Random], str]], ...] = (
        (0.4, lambda text, draw: _replace_words(text, draw, equivalent)),
        (0.2, _leave_out_the_kind),
        (0.15, _make_adjective),
        (0.4, _reorder),
        (0.4, _move_side),
        (0.15, _spell_british),
        (0.2, _pluralise),
        (0.3, _other_numerals),
        (0.15, _add_article),
        (0.1, _initials),
        (0.12, _misspell),
    )
    for chance, step in steps:
        if draw.random() < chance:
            name = step(name, draw)
    return name


def _replace_words(text: str, draw: Random, equivalent: Mapping[str, Sequence[str]]) -> str:
    words = text.split()
    if len(words) < 2:  # alone it would be another thing's name
        return text
    return " ".join(
        draw.choice(equivalent[word.lower()]) if word.lower() in equivalent and draw.random() < 0.7 else word
        for word in words
    )


def _leave_out_the_kind(text: str, draw: Random) -> str:
    """ "coracoid process" -> "coracoid"; what else would then have this name is for the caller to know."""
    first, _, last = text.rpartition(" ")
    return first if first and last in _KINDS else text


def _make_adjective(text: str, draw: Random) -> str:
    """ "sternum" -> "sternal", "ulna" -> "ulnar", "calyx" -> "calyceal"; only of names of one word."""
    ends = [(end, new) for end, new in _ADJECTIVES if text.endswith(end)]
    if " " in text or not ends or len(text) < SHORTEST_MISSPELT - 1:
        return text
    end, new = ends[0]
    return text.removesuffix(end) + draw.choice(new)


def _reorder(text: str, draw: Random) -> str:
    """ "head of the pancreas" -> "pancreas head", "renal cortex" -> "cortex of the renal"."""
    if found := _OF.match(text):
        return f"{found[2]} {found[1]}"
    words = text.split()
    if not 2 <= len(words) <= 4 or words[0].lower() in ("left", "right"):
        return text
    return f"{words[-1]} of {draw.choice(('the ', ''))}{' '.join(words[:-1])}"


def _move_side(text: str, draw: Random) -> str:
    sides = _SIDE.findall(text)
    if len(sides) != 1:
        return text
    side, rest = sides[0].lower(), " ".join(_SIDE.sub(" ", text).split())
    first = side[0]
    ways = (
        f"{side} {rest}",
        f"{rest} {side}",
        f"{rest}, {side}",
        f"{side}-sided {rest}",
        f"{first} {rest}",
        f"{rest} ({first})",
        f"{first.upper()} {rest}",
        f"{rest} on the {side}",
    )
    return draw.choice(ways)


def _spell_british(text: str, draw: Random) -> str:
    for american, british in _BRITISH:
        text = re.sub(rf"\b{american}", british, text)
    return text


def _pluralise(text: str, draw: Random) -> str:
    if not text[-1].isalpha() or text.endswith(("s", "x", "al", "ic", "ar", "left", "right")):
        return text
    return text[:-1] + "ies" if text.endswith(("ry", "ty")) else text + "s"


def _other_numerals(text: str, draw: Random) -> str:
    return " ".join(_ROMAN.get(word) or _ARABIC.get(word) or word for word in text.split())


def _add_article(text: str, draw: Random) -> str:
    return f"the {text}"


def _initials(text: str, draw: Random) -> str:
    words = [word for word in re.findall(r"[A-Za-z]+", text) if word not in ("of", "the", "and")]
    return "".join(word[0] for word in words).upper() if len(words) >= FEWEST_INITIALS else text


def _misspell(text: str, draw: Random) -> str:
    """A letter left out, doubled, or exchanged with the next, never the first of a word."""
    places = [
        at
        for word in re.finditer(rf"[a-z]{{{SHORTEST_MISSPELT},}}", text)
        for at in range(word.start() + 1, word.end() - 1)
    ]
    if not places:
        return text
    at = draw.choice(places)
    return draw.choice(
        (text[:at] + text[at + 1 :], text[: at + 1] + text[at:], text[:at] + text[at + 1] + text[at] + text[at + 2 :])
    )
