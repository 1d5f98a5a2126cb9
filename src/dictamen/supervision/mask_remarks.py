"""Remarks on masks in plain words ("misses the upper pole", "leaks into the stomach"): side, part, score."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dictamen.anatomy.parts import canonical_part
from dictamen.anatomy.vocabulary import load
from dictamen.supervision.feedback import Direction

_UNDER = re.compile(
    r"\b(?:miss(?:es|ing|ed)|lacks?|lacking|leaves? out|omit(?:s|ted)?|incomplete|cut off|too (?:small|short)"
    r"|stops short|does(?: not|n't) (?:include|cover|reach)|under-?segment\w{0,4})\b",
    re.IGNORECASE,
)
_OVER = re.compile(
    r"\b(?:includes|including|leak(?:s|age|ing)?|spills?|bleeds|extends? (?:in)?to|reaches into"
    r"|too (?:large|big|long|much)|over-?segment\w{0,4})\b",
    re.IGNORECASE,
)
_SLIGHT = re.compile(r"\b(?:slight(?:ly)?|minor|minimal(?:ly)?|thin|tiny|small part|a little)\b", re.IGNORECASE)
_GREAT = re.compile(r"\b(?:most|large(?: part)?|half|grossly|completely|entire(?:ly)?|whole|much)\b", re.IGNORECASE)
SLIGHT, PLAIN, GREAT = 4, 3, 2
"""Scores of a slight, an unqualified and a great error."""


@dataclass(frozen=True)
class Remark:
    """What a remark says.

    Attributes:
        direction: "over", "under", or "mixed" where it says both.
        part: plain name of the part it speaks of ("upper pole"); None for the whole structure.
        score: 2 to 4.
    """

    direction: Direction
    part: str | None
    score: int


def read_remark(text: str, label: str, *, parts: tuple[str, ...] = ()) -> Remark | None:
    """Read one remark on the mask of `label`; None where it names no error.

    Args:
        parts: plain names that count as parts, of `region_scheme.part_names`.
    """
    under, over = bool(_UNDER.search(text)), bool(_OVER.search(text))
    if not under and not over:
        return None
    whole = load().whole(label)[0] if label in load() else label
    named = canonical_part(text, whole)
    slight, great = _SLIGHT.search(text), _GREAT.search(re.sub(r"too (?:large|much)", "", text, flags=re.IGNORECASE))
    return Remark(
        direction="mixed" if under and over else "under" if under else "over",
        part=named if named in parts else None,
        score=SLIGHT if slight else GREAT if great else PLAIN,
    )
