"""Sizes in a report: every way of writing them, in millimetres, with what was said about their exactness.

Series and image numbers, dates, ratios, Hounsfield units, volumes, doses and gauges are not sizes.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Literal, NamedTuple

from dictamen.interval import Interval
from dictamen.reports.schema import SizeQualifier, SliceReference

MM_PER_CM = 10.0
MAX_DIAMETER_MM = 400.0
"""Larger than this is a slip or another quantity (a table position, a volume)."""

_NUMBER = r"(?:\d{1,4}(?:[.,]\d{1,2})?|\.\d{1,2})"
_UNIT = r"(?:mm|cm|millimet(?:er|re)s?|milimet(?:er|re)s?|centimet(?:er|re)s?)"
_TIMES = r"\s{0,2}(?:x|×|\*|by)\s{0,2}"
_TO = r"\s{0,2}(?:-|–|to)\s{0,2}"
_SIZE = re.compile(
    rf"(?<![\w.:/,])(?P<axes>{_NUMBER}[\s-]{{0,2}}(?:{_UNIT})?(?:{_TIMES}{_NUMBER}[\s-]{{0,2}}(?:{_UNIT})?){{0,2}})"
    rf"(?:(?P<join>{_TO}|\s{{0,2}}(?:and|or|,|&)\s{{0,2}})(?P<second>{_NUMBER})[\s-]{{0,2}}(?P<unit>{_UNIT}))?(?![\w/]|\d)",
    re.IGNORECASE,
)
_NUMBER_RUN = re.compile(r"[.\d][\w.:/,]*")
"""Where a size may begin: at the start of what looks like one number, date, ratio."""
_AXIS = re.compile(rf"({_NUMBER})[\s-]{{0,2}}({_UNIT})?", re.IGNORECASE)
NUMBER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
"""Spelled numbers, each at its own index."""
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SPELLED_UNIT = re.compile(rf"[ -](?<=[a-z][ -])({_UNIT})\b", re.IGNORECASE)
_SPELLED = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(_TENS)})(?:[ -](?P<ones>{'|'.join(NUMBER_WORDS[1:10])}))?"
    rf"|(?P<word>{'|'.join(NUMBER_WORDS)}))$",
    re.IGNORECASE,
)
_LONGEST_NUMBER = len("seventy-three")
_NOT_A_SIZE_AFTER = re.compile(
    r"\s{0,2}-?(?:(?:thick|slices?|sections?|spiral|helical|collimat\w{0,5}|axial (?:images|slices|sections)|gauge"
    r"|above the (?:anal|dentate)|away|from the (?!prior|previous|last)|(?:proximal|distal|cranial|caudal) to"
    r"|intervals?|reconstruct\w{0,6}|coronal|increments?|of (?:contrast|saline))\b|/|\^|²|³|hg\b)",
    re.IGNORECASE,
)
_BELOW = re.compile(
    r"(?:sub|<|≤|less than|smaller than|under|below|up to|not exceeding|at most|no larger than|not larger than)"
    r"[\s-]{0,2}(?:approximately )?$",
    re.IGNORECASE,
)
_ABOVE = re.compile(r"(?:>|≥|at least|more than|greater than|larger than|over|exceeding)\s{0,2}$", re.IGNORECASE)
_ABOUT = re.compile(
    r"(?:approximately|about|roughly|nearly|around|approx\.?|circa|ca\.?|almost|~|estimated(?: at)?)\s{0,2}$",
    re.IGNORECASE,
)
_CHANGED_FROM = re.compile(
    r"(?:increas|decreas|reduc|enlarg|shr[aiu]nk|gr[eo]w|regress|progress|chang)\w{0,4}"
    r" (?:in (?:size|diameter) )?from (?:a )?$",
    re.IGNORECASE,
)
"""Before two sizes of which the first one is an old one: "increased from 2 to 3 cm"."""
_NUMBERED = re.compile(r"\b(?:segments?|seg\.?|levels?|stations?|zone|images?|series|[bhl]wk)\s{1,2}$", re.IGNORECASE)
"""Words before a number that is a name, not a size: "in segment 6, 11 mm"."""
_CUE_WINDOW = 28
"""Characters before a size in which "up to", "about" ... are looked for; longer than any of them."""

_PARENTHESIS, _RATIO = re.compile(r"\("), re.compile(r"\d:\d")
_IMAGE = re.compile(r"[iI][mM][a-zA-Z]{0,4}\.?\s?#?\s?\d")
_SERIES_IMAGE = (
    (
        _PARENTHESIS,
        re.compile(
            r"\(\s?(?:im(?:age|a)?s?\.?|s|se|ser(?:ies)?\.?)?\s?#?(?P<series>\d{1,4})\s?[:;-]\s?(?P<image>\d{1,4})(?:[^()]{0,40})\)",
            re.IGNORECASE,
        ),
    ),
    (_RATIO, re.compile(r"(?:on |, )(?P<series>\d{1,3}):(?P<image>\d{1,4})\b")),
    (
        _IMAGE,
        re.compile(
            r"\bse(?:ries)?\.?\s?#?(?P<series>\d{1,4})[,;/ ]{0,3}(?:and )?im(?:a?ges?|\.)?\s?#?(?P<image>\d{1,4})",
            re.IGNORECASE,
        ),
    ),
    (
        _IMAGE,
        re.compile(
            r"\bim(?:ages?|g|\.)?\s?#?(?P<image>\d{1,4})\s?(?:of|on|,|;|/)?\s?(?:in )?"
            r"se(?:ries)?\.?\s?#?(?P<series>\d{1,4})",
            re.IGNORECASE,
        ),
    ),
    (_IMAGE, re.compile(r"\bimages?\s?#?\s?(?P<image>\d{1,4})\b", re.IGNORECASE)),
    (_IMAGE, re.compile(r"\(ima\s(?P<image>\d{1,4})\)", re.IGNORECASE)),
)
"""(what a text without such a reference lacks, found fast; the reference)"""
_DIGIT = re.compile(r"\d")
_SIGNS = (_PARENTHESIS, _RATIO, _IMAGE)


class Measurement(NamedTuple):
    """One size as dictated.

    Args:
        start, end: offsets in the original text.
        values_mm: one to three axes, largest first.
        qualifier: None where nothing was said (exact).
        range_mm: [smallest, largest] of a range or a limit, else None.
    """

    start: int
    end: int
    values_mm: tuple[float, ...]
    qualifier: SizeQualifier | None = None
    range_mm: Interval | None = None


class SliceMention(NamedTuple):
    """A reference to an image, and where it stands."""

    start: int
    end: int
    reference: SliceReference


def find_slices(text: str) -> list[SliceMention]:
    """References such as "(12:94)", "Im 64, Se 302", "image #12"; ordered by place, none inside another."""
    if not _DIGIT.search(text):
        return []
    likely = {sign: sign.search(text) is not None for sign in _SIGNS}
    matches = [
        (match.start(), rank, match)
        for rank, (sign, pattern) in enumerate(_SERIES_IMAGE)
        if likely[sign]
        for match in pattern.finditer(text)
    ]
    found: list[SliceMention] = []
    end = 0
    for start, _, match in sorted(matches, key=lambda item: item[:2]):
        if start >= end:
            groups = match.groupdict()
            series = int(groups["series"]) if groups.get("series") else None
            end = match.end()
            found.append(SliceMention(start, end, SliceReference(series=series, image=int(groups["image"]))))
    return found


def find_measurements(text: str, slices: list[SliceMention]) -> list[Measurement]:
    """All sizes in millimetres, in order; those inside a slice reference are none."""
    starts = [slice_.start for slice_ in slices]
    found = [
        measurement
        for match in _sizes(text)
        if (size := _outside(text, slices, starts, match)) is not None
        for measurement in _from_match(text, size)
    ]
    for unit in _SPELLED_UNIT.finditer(text):
        word = _SPELLED.search(text, max(0, unit.start() - _LONGEST_NUMBER - 1), unit.start())
        if word is not None:
            value = _spelled(word) * (MM_PER_CM if unit[1][0] in "cC" else 1.0)
            found.append(_qualified(text, word.start(), unit.end(), (value,)))
    return sorted((m for m in found if _is_size(text, m)), key=lambda m: m.start)


def _spelled(number: re.Match[str]) -> int:
    """Up to ninety-nine."""
    if number["word"]:
        return NUMBER_WORDS.index(number["word"].lower())
    ones = NUMBER_WORDS.index(number["ones"].lower()) if number["ones"] else 0
    return 10 * (2 + _TENS.index(number["tens"].lower())) + ones


def _sizes(text: str) -> Iterator[re.Match[str]]:
    """What has the form of a size, in order, none within another."""
    end = 0
    for run in _NUMBER_RUN.finditer(text):
        start = run.start()
        if start >= end and (match := _SIZE.match(text, start)) is not None:
            yield match
            end = match.end()


def _outside(text: str, slices: list[SliceMention], starts: list[int], match: re.Match[str]) -> re.Match[str] | None:
    """The size without a slice reference that it begins with ("image 77, 1.5 cm"); None where nothing is left."""
    index = bisect_left(starts, match.end()) - 1
    if index < 0 or slices[index].end <= match.start():
        return match
    run = _NUMBER_RUN.search(text, slices[index].end, match.end())
    return _SIZE.match(text, run.start()) if run is not None else None


def _is_size(text: str, measurement: Measurement) -> bool:
    return 0 < measurement.values_mm[0] <= MAX_DIAMETER_MM and not _NOT_A_SIZE_AFTER.match(
        text, measurement.end, measurement.end + 24
    )


def _from_match(text: str, match: re.Match[str]) -> Iterator[Measurement]:
    start, axes_end = match.start("axes"), match.end("axes")
    axes = _AXIS.findall(match["axes"])
    own_units = [unit for _, unit in axes if unit]
    joined, second = match["join"], match["second"]
    if (
        second
        and not joined.strip(" \t\n").startswith(("-", "–", "to"))
        and _NUMBERED.search(text, max(0, start - 12), start)
    ):
        yield _qualified(text, match.start("second"), match.end(), (_mm(second, match["unit"]),))
        return
    unit = own_units[-1] if own_units else match["unit"] if joined and len(axes) == 1 else None
    if unit is None:
        if second and len(axes) > 1:  # "3 x 4 to 5 cm": one unit for all
            unit = match["unit"]
        else:
            return
    values = tuple(sorted((_mm(number, own or unit) for number, own in axes), reverse=True))
    if not second:
        yield _qualified(text, start, axes_end, values)
        return
    other = _mm(second, match["unit"])
    is_range = re.search(r"-|–|to", joined) is not None and len(axes) == 1
    is_range = is_range and not (
        joined.strip() == "to" and _CHANGED_FROM.search(text, max(0, start - _CUE_WINDOW), start)
    )
    if is_range and values[0] < other:
        yield Measurement(start, match.end(), (other,), "range", Interval(values[0], other))
        return
    yield _qualified(text, start, axes_end, values)
    yield _qualified(text, match.start("second"), match.end(), (other,))


def _mm(number: str, unit: str) -> float:
    return round(float(number.replace(",", ".")) * (MM_PER_CM if unit.lower().startswith("c") else 1.0), 2)


def _qualified(text: str, start: int, end: int, values_mm: tuple[float, ...]) -> Measurement:
    end = start + len(text[start:end].rstrip(" -"))
    before = text[max(0, start - _CUE_WINDOW) : start]
    size = Measurement(start, end, values_mm)
    if _BELOW.search(before):
        return qualified(size, "max")
    if _ABOVE.search(before):
        return qualified(size, "min")
    return qualified(size, "approx") if _ABOUT.search(before) else size


def qualified(size: Measurement, qualifier: Literal["max", "min", "approx"]) -> Measurement:
    """The size as an upper or lower limit, or as an approximate one."""
    largest = size.values_mm[0]
    limits = {"max": Interval(0.0, largest), "min": Interval(largest), "approx": None}
    return size._replace(qualifier=qualifier, range_mm=limits[qualifier])
