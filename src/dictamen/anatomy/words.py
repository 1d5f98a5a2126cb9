"""Words of anatomy made comparable: case, punctuation, plural, British and American spelling, sides."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

SIDES: dict[str, Literal["left", "right"]] = {"left": "left", "right": "right", "l": "left", "r": "right"}
"""Words for a side after `normalise`; "L" and "R" only count when they stand alone."""
FILLERS = frozenset({"the", "of", "a", "an", "in"})
"""Words that carry no meaning in the name of a structure."""

_IRREGULAR = {
    "vertebrae": "vertebra",
    "adnexae": "adnexa",
    "pleurae": "pleura",
    "costae": "costa",
    "axillae": "axilla",
    "aortae": "aorta",
    "bronchi": "bronchus",
    "testes": "testis",
    "metastases": "metastasis",
    "pelves": "pelvis",
    "calyces": "calyx",
    "calices": "calyx",
    "femora": "femur",
    "pancreata": "pancreas",
    "aortas": "aorta",
    "axillas": "axilla",
    "scapulas": "scapula",
}
"""Plurals that don't follow the rules of `_singular`, and those in -as that are no "pancreas"."""
_NO_PLURAL = ("ss", "us", "is", "as")
"""Endings of singular words: uterus, testis, pancreas."""
_SPELLING = (
    ("oesoph", "esoph"),
    ("oedem", "edem"),
    ("coeliac", "celiac"),
    ("caec", "cec"),
    ("haem", "hem"),
    ("tumour", "tumor"),
)
"""British -> American, within words."""


@lru_cache(maxsize=8192)
def normalise(term: str) -> str:
    """One comparable form of a name: "Lungs, upper-lobe of" and "lung upper lobe" are the same."""
    words = re.findall(r"[^\W_]+", term.casefold())
    return " ".join(_singular(american(word)) for word in words if word not in FILLERS)


def split_side(key: str) -> tuple[str, Literal["left", "right"] | None]:
    """The words of a normalised name without its side, and the side; None without one or with both."""
    words = key.split()
    sides = {SIDES[word] for word in words if word in SIDES}
    rest = " ".join(word for word in words if word not in SIDES)
    return (rest, sides.pop()) if len(sides) == 1 else (key, None)


def american(word: str) -> str:
    """The American spelling of a word: "oesophageal" -> "esophageal"."""
    for british, american in _SPELLING:
        word = word.replace(british, american)
    return word


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 3 or not word.endswith("s") or word.endswith(_NO_PLURAL):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1]
