"""Sizes of whole organs in a report ("spleen 13.5 cm in length"), against which a mask's extent can be held."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dictamen.anatomy.boxes import BoolArray
from dictamen.anatomy.slab_regions import long_axis
from dictamen.anatomy.vocabulary import load
from dictamen.interval import Interval
from dictamen.reports.measurements import find_measurements, find_slices
from dictamen.reports.schema import ReportFindings

_LENGTH = re.compile(
    r"\b(?:length|long|cranio-?caudal(?:ly)?|CC|span|height|measur\w{0,4}|in size|pole[- ]to[- ]pole|bipolar"
    r"|enlarged)\b",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"\b(?:previously|prior|compared|formerly|was"  # another study
    r"|lesions?|mass(?:es)?|nod\w{1,5}|cysts?|stones?|calcul\w{1,3}|foc\w{1,3}|tumou?rs?|collections?|appearances?|arising"
    r"|accessory|veins?|arter\w{1,3}|ureter\w{0,3}|ducts?|vessels?|aneurysm\w{0,3}|diverticul\w{1,3}"  # another thing
    r"|axial plane|transverse|anteroposterior|AP|width|thickness)\b",  # another direction
    re.IGNORECASE,
)
NOT_ALONG_THE_MASK = frozenset({"liver"})
"""Its length is taken in the midclavicular line, which is no extent of the mask."""
LEAST_MM = 20.0
"""No organ whose length is dictated is shorter."""
_END = re.compile(r"[.;]\s|\n")
READER_ERROR, READER_SLACK_MM = 0.1, 5.0
"""A dictated length and the mask's own differ by so much without either being wrong: 5.6 mm on average for tumours."""


@dataclass(frozen=True)
class StatedLength:
    """What a report says of an organ's length, mm, and where."""

    length_mm: Interval
    span: tuple[int, int]


def stated_lengths(text: str, found: ReportFindings, label: str) -> list[StatedLength]:
    """Lengths that the report gives for the structure `label` itself, not for a lesion in it.

    A sentence counts that names the structure (and, for a label of one side, this side alone), has a word for length
    and one size that belongs to no finding; what speaks of an earlier study, of a lesion, a vessel or a width is not.
    """
    words = load()
    if label not in words:
        return []
    whole, side = words.whole(label)
    if whole in NOT_ALONG_THE_MASK:
        return []
    names = "|".join(re.escape(name) for name in sorted({words[whole].name, *words[whole].synonyms}, key=len)[::-1])
    named = re.compile(rf"\b(?:{names})s?\b", re.IGNORECASE)
    sizes = find_measurements(text, find_slices(text))
    stated = []
    for start, end in _sentences(text):
        sentence = text[start:end]
        inside = [size for size in sizes if start <= size.start and size.end <= end]
        sides = {word for word in ("left", "right") if re.search(rf"\b{word}\b", sentence, re.IGNORECASE)}
        if len(inside) != 1 or not named.search(sentence) or not _LENGTH.search(sentence) or _OTHER.search(sentence):
            continue
        if sides != ({side} if side else set()) or any(_overlap(f.span, (start, end)) for f in found.findings):
            continue
        (size,) = inside
        largest = size.values_mm[0]
        if largest < LEAST_MM:
            continue
        length = size.range_mm or Interval(
            0.0 if size.qualifier == "max" else largest, float("inf") if size.qualifier == "min" else largest
        )
        stated.append(StatedLength(length, (size.start, size.end)))
    return stated


def extents_mm(mask: BoolArray, spacing_mm: tuple[float, float, float]) -> Interval:
    """[smaller, larger] of a mask's height and its length along its own axis: a dictated length may be either."""
    points = np.argwhere(mask) * np.asarray(spacing_mm)
    centre, axis = long_axis(mask, spacing_mm)
    along = float(np.ptp((points - centre) @ axis) + np.abs(axis) @ np.asarray(spacing_mm))
    height = float(np.ptp(points[:, 2]) + spacing_mm[2])
    return Interval(min(along, height), max(along, height))


def length_ratio(stated: Interval, extents: Interval) -> float:
    """Mask length over stated length where the reader's error can't explain the difference; else 1."""
    longest = stated.hi * (1 + READER_ERROR) + READER_SLACK_MM
    shortest = stated.lo * (1 - READER_ERROR) - READER_SLACK_MM
    if extents.lo > longest:
        return extents.lo / stated.hi
    if extents.hi < shortest:
        return extents.hi / stated.lo
    return 1.0


def _sentences(text: str) -> list[tuple[int, int]]:
    edges = [0, *(match.end() for match in _END.finditer(text)), len(text)]
    return [(start, end) for start, end in pairwise(edges) if end > start]


def _overlap(first: tuple[int, int], second: tuple[int, int]) -> bool:
    return first[0] < second[1] and second[0] < first[1]
