"""What is said about a lesion beside its place and size: how many, how dense, which slice."""

from __future__ import annotations

import re
from typing import cast

from dictamen.interval import Interval
from dictamen.reports.anchors import Anchor
from dictamen.reports.link import is_third_axis
from dictamen.reports.measurements import NUMBER_WORDS, Measurement
from dictamen.reports.schema import Attenuation, Enhancement, SizeQualifier, SliceReference
from dictamen.reports.statement import Statement

_NUMBERS = {word: number for number, word in enumerate(NUMBER_WORDS)}
_COUNT_WORDS = 8
"""Words before a noun in which its number is looked for."""
_MAX_COUNT = 30
"""Larger numbers before a noun are years, images or sizes."""
_ADJECTIVE_WORDS = 7
_AFTER_WORDS = 9
_SLICE_REACH = 70
"""Characters behind a lesion or its size in which its slice reference stands."""
_AT_LEAST = re.compile(r"\bat least\s{0,2}$", re.IGNORECASE)
_UNCOUNTABLE = re.compile(r"metastas[ie]s|adenopathy|disease|carcinomatosis|lap\b", re.IGNORECASE)
MANY = Interval(2)
"""A plural, or "multiple": two or more."""


def count(statement: Statement, anchor: Anchor, floor: int) -> Interval:
    """How many lesions the noun phrase speaks of; `floor` is the first word that belongs to it."""
    first = max(floor, anchor.first - _COUNT_WORDS)
    noun = statement.text[anchor.start : anchor.end]
    many = any(first <= cue.first < anchor.first for cue in statement.of("count", "many", "both"))
    if not anchor.plural:
        return MANY if many and _UNCOUNTABLE.search(noun) else Interval.exact(1)
    for index in range(anchor.first - 1, first - 1, -1):
        number = _number(statement, index)
        if number is not None:
            start = statement.tokens.starts[index]
            at_least = _AT_LEAST.search(statement.text, max(0, start - 12), start)
            return Interval(number) if at_least else Interval.exact(number)
    return MANY


def counted(statement: Statement, size: Measurement) -> Interval:
    """How many lesions one size of a list stands for: "two measuring 14 mm"; one unless a number says otherwise."""
    first = statement.tokens.at(size.start)
    if first >= 2 and statement.word(first - 1).startswith("measur") and not _names_segment(statement, first - 2):
        return Interval.exact(_number(statement, first - 2) or 1)
    return Interval.exact(1)


_SEGMENT_LIST = re.compile(r"\bseg\w{0,6}\.?(?: ?(?:\d|and|,|-|/|[iv]{1,4})){1,6}$", re.IGNORECASE)


def _names_segment(statement: Statement, index: int) -> bool:
    """Whether the number is the last of "segments 2 and 7"."""
    end = statement.tokens.ends[index] if index >= 0 else 0
    return _SEGMENT_LIST.search(statement.text, max(0, end - 30), end) is not None


def _number(statement: Statement, index: int) -> int | None:
    word = statement.word(index)
    number = _NUMBERS.get(word)
    if number is None and word.isdigit():
        number = int(word)
    if number is None or not 1 < number <= _MAX_COUNT:
        return None
    start, end = statement.tokens.starts[index], statement.tokens.ends[index]
    if any(size.start <= start < size.end for size in statement.measurements):
        return None
    if any(slice_.start <= start < slice_.end for slice_ in statement.slices):
        return None
    return None if statement.text[end : end + 1] in (".", "/", ":", "-", ")") else number


def attenuation(statement: Statement, anchor: Anchor, floor: int, ceiling: int) -> Attenuation | None:
    """Density, from the adjectives of the noun phrase or a few words behind it."""
    found = _nearest(statement, "attenuation", anchor, floor, ceiling) or anchor.mention.term.attributes.get(
        "attenuation"
    )
    return cast("Attenuation | None", found)


def enhancement(statement: Statement, anchor: Anchor, floor: int, ceiling: int) -> Enhancement | None:
    """Uptake of contrast agent."""
    return cast("Enhancement | None", _nearest(statement, "enhancement", anchor, floor, ceiling))


def _nearest(statement: Statement, category: str, anchor: Anchor, floor: int, ceiling: int) -> str | None:
    near = []
    for cue in statement.of(category):
        if max(floor, anchor.first - _ADJECTIVE_WORDS) <= cue.first < anchor.last:
            near.append((abs(anchor.first - cue.last), cue.value))
        elif anchor.last <= cue.first < min(ceiling, anchor.last + _AFTER_WORDS):
            near.append((cue.first - anchor.last + 1, cue.value))
    return min(near)[1] if near else None


def stated_size(statement: Statement, anchor: Anchor, floor: int) -> SizeQualifier | None:
    """ "Tiny", "subcentimetre", "large" where no number is given."""
    for cue in statement.of("size", "subcentimetre", "tiny", "large"):
        if max(floor, anchor.first - _ADJECTIVE_WORDS) <= cue.first < anchor.first:
            return cast(SizeQualifier, cue.value)
    return None


def slice_reference(statement: Statement, offset: int, limit: int) -> list[SliceReference]:
    """The slice reference that stands next behind `offset`, before `limit`."""
    for slice_ in statement.slices:
        if offset - 1 <= slice_.start < min(offset + _SLICE_REACH, limit):
            return [slice_.reference]
    return []


def with_third_axis(statement: Statement, sizes: list[Measurement]) -> list[Measurement]:
    """Join "57 x 46 mm" and "a craniocaudal length of 88 mm" to one size of three axes."""
    joined: list[Measurement] = []
    for size in sizes:
        last = joined[-1] if joined else None
        if last and is_third_axis(statement, last, size):
            values = tuple(sorted((*last.values_mm, *size.values_mm), reverse=True))
            joined[-1] = Measurement(last.start, size.end, values, last.qualifier, last.range_mm)
        else:
            joined.append(size)
    return joined


def is_largest(statement: Statement, size: Measurement) -> bool:
    """Whether the size is said to be that of the largest of a group."""
    return any(0 <= size.start - cue.end <= 70 for cue in statement.of("group", "largest"))


def is_short_axis(statement: Statement, size: Measurement) -> bool:
    """Whether the size is a short axis."""
    return any(-28 <= size.start - cue.end <= 50 for cue in statement.of("axis", "short"))
