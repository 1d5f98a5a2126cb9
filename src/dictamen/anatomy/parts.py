"""Names of organ parts as plain text: "superior pole" is "upper pole", "segment VI" is "segment 6"."""

from __future__ import annotations

import re

from dictamen.anatomy.vocabulary import load
from dictamen.anatomy.words import normalise

_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii")
_SEGMENT = re.compile(r"(?<![a-z0-9])(?:([1-8])|(viii|vii|vi|iv|v|iii|ii|i))\s?([ab](?![a-z]))?(?![a-z0-9])")
_SAME_WORD = {
    "superior": "upper",
    "cranial": "upper",
    "inferior": "lower",
    "caudal": "lower",
    "middle": "mid",
    "interpolar": "mid",
    "midpole": "mid",
}
_LEVELS = {"upper": "upper", "proximal": "upper", "mid": "mid", "lower": "lower", "distal": "lower"}
_THIRDS = {word: f"{level} third" for word, level in _LEVELS.items()}
_POLES = {word: f"{level} pole" for word, level in _LEVELS.items()}
_LOBES = {"right": "right lobe", "left": "left lobe"}
_DECIDING: dict[str, dict[str, str]] = {
    "kidney": _POLES,
    "spleen": _POLES,
    "esophagus": _THIRDS,
    "rectum": _THIRDS,
    "lung": {
        "lingula": "lingula",
        "lingular": "lingula",
        "apex": "apex",
        "apical": "apex",
        "apice": "apex",
        "base": "base",
        "basal": "base",
        "basilar": "base",
        "bibasilar": "base",
        "upper": "upper lobe",
        "lower": "lower lobe",
    },
    "liver": {
        "caudate": "caudate lobe",
        "quadrate": "segment 4",
        "dome": "dome",
        "subdiaphragmatic": "dome",
        "subphrenic": "dome",
        **_LOBES,
    },
    "pancreas": {
        "uncinate": "uncinate process",
        **{part: part for part in ("head", "neck", "body", "tail")},
    },
    "thyroid_gland": {**_LOBES, "isthmus": "isthmus"},
}
"""Whole organ -> the word that decides, after spelling was made equal -> the plain name of the part."""
_NOUNS = {"lung": "lobe", "liver": "lobe", "kidney": "pole", "spleen": "pole", "esophagus": "third", "rectum": "third"}
"""The word right before this noun decides over others: "superior segment of the lower lobe" is in the lower lobe."""
_LOBE_WORDS = {"upper": "upper lobe", "mid": "middle lobe", "lower": "lower lobe"}
"""Words before "lobe" of a lung; "mid" alone is a zone of the lung, not the middle lobe."""
_SUPERIOR_SEGMENT = ["upper", "segment"]
"""The superior segment of a lung is the top of its lower lobe."""


def canonical_part(text: str, structure: str) -> str:
    """The plain name of a part of a whole organ; words that name no known part come back lower-cased.

    Args:
        text: as dictated: "superior pole", "segment VI", "seg. 4a", "left lower lobe", "uncinate", "interpolar region".
        structure: vocabulary id of the organ; a side or a part of it ("kidney_left") is taken as its whole.

    Raises:
        InputError: unknown structure id.
    """
    whole, _ = load().whole(structure)
    if whole == "liver" and (segment := _liver_segment(text)):
        return segment
    if whole == "rib" and (number := re.search(r"\d+", text)):
        return f"rib {int(number[0])}"
    words = [_SAME_WORD.get(word, word) for word in normalise(text).split()]
    return _by_noun(words, whole) or _by_vocabulary(text, whole) or _by_word(words, whole) or _plain(text)


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace("_", " ").split())


def _liver_segment(text: str) -> str | None:
    found = _SEGMENT.search(text.casefold())
    if found is None:
        return None
    number = int(found[1]) if found[1] else _ROMAN.index(found[2]) + 1
    return f"segment {number}{(found[3] or '') if number == 4 else ''}"


def _by_noun(words: list[str], whole: str) -> str | None:
    noun = _NOUNS.get(whole)
    if noun not in words or words.index(noun) == 0:
        return None
    before = words[words.index(noun) - 1]
    return _LOBE_WORDS.get(before) if whole == "lung" else _DECIDING[whole].get(before)


def _by_vocabulary(text: str, whole: str) -> str | None:
    """A part of the organ's own list, or the part that a structure within the organ is."""
    vocabulary = load()
    known = {normalise(part): part for part in vocabulary[whole].parts}
    if (key := normalise(text)) in known:
        return known[key]
    found = vocabulary.find(text)
    return found.part if found is not None and whole in vocabulary.ancestors(found.id) else None


def _by_word(words: list[str], whole: str) -> str | None:
    if whole == "lung" and any(words[at : at + 2] == _SUPERIOR_SEGMENT for at in range(len(words))):
        return "lower lobe"
    forms = _DECIDING.get(whole, {})
    return next((form for word, form in forms.items() if word in words), None)
