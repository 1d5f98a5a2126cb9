from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dictamen.interval import Interval
from dictamen.reports.measurements import Measurement, find_measurements, find_slices


def find(text: str) -> list[Measurement]:
    return find_measurements(text, find_slices(text))


def values(text: str) -> list[tuple[float, ...]]:
    return [m.values_mm for m in find(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 mm", [(3.0,)]),
        ("3.2 cm", [(32.0,)]),
        ("1.6 x 2.1 cm", [(21.0, 16.0)]),
        ("16x9mm", [(16.0, 9.0)]),
        ("4.4 x 2.5 x 3.4 cm", [(44.0, 34.0, 25.0)]),
        ("1.6 cm by 9 mm", [(16.0, 9.0)]),
        (".7 cm", [(7.0,)]),
        ("24x13.5 mm", [(24.0, 13.5)]),
        ("a 5 mm and 7 mm nodule", [(5.0,), (7.0,)]),
        ("two, 5 and 7 mm", [(5.0,), (7.0,)]),
        ("Thirteen millimeter", [(13.0,)]),
        ("8-mm", [(8.0,)]),
        ("10-cm long", [(100.0,)]),
        ("3,5 cm", [(35.0,)]),
    ],
)
def test_forms(text: str, expected: list[tuple[float, ...]]) -> None:
    assert values(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "(12:94)", "5/12/2021", "30 to 70 HU", "100 mL", "18 gauge", "5 mm slices", "3 mm thick",
        "Im 64, Se 302", "120 mmHg",
        "9 cm/s", "3 cm3", "segment 4", "2 nodules", "1900 mm", "0 mm",
    ],
)  # fmt: skip
def test_other_numbers_are_no_sizes(text: str) -> None:
    assert values(text) == []


@pytest.mark.parametrize(
    ("text", "qualifier", "range_mm"),
    [
        ("2-13 mm", "range", Interval(2, 13)),
        ("3 to 6 mm", "range", Interval(3, 6)),
        ("sub-5 mm", "max", Interval(0, 5)),
        ("less than 1 cm", "max", Interval(0, 10)),
        ("up to 6 mm", "max", Interval(0, 6)),
        (">2 cm", "min", Interval(20)),
        ("approximately 4 cm", "approx", None),
        ("4 cm", None, None),
    ],
)
def test_qualifiers(text: str, qualifier: str | None, range_mm: Interval | None) -> None:
    (measurement,) = find(text)
    assert (measurement.qualifier, measurement.range_mm) == (qualifier, range_mm)


@given(
    st.lists(st.integers(1, 390), min_size=1, max_size=3),
    st.sampled_from(["mm", " mm", " millimeters"]),
    st.sampled_from(["x", " x ", " X ", "×", " by "]),
    st.sampled_from(["", "a ", "measuring ", "lesion of ("]),
)
def test_written_sizes_come_back(axes: list[int], unit: str, times: str, before: str) -> None:
    text = f"{before}{times.join(map(str, axes))}{unit} in the liver"
    (measurement,) = find(text)
    assert measurement.values_mm == tuple(sorted(map(float, axes), reverse=True))
    assert text[measurement.start : measurement.end].startswith(str(axes[0]))


@given(st.floats(0.1, 39), st.booleans())
def test_centimetres_and_millimetres_agree(centimetres: float, spaced: bool) -> None:
    value = round(centimetres, 1)
    space = " " if spaced else ""
    assert values(f"{value:.1f}{space}cm") == values(f"{value * 10:.0f}{space}mm")
