"""Lengths of whole organs: those that a report states, and what only looks like one."""

import numpy as np
import pytest

from dictamen.interval import Interval
from dictamen.reports.rules import read_report
from dictamen.supervision.stated_sizes import extents_mm, length_ratio, stated_lengths


@pytest.mark.parametrize(
    ("text", "label", "want"),
    [
        ("The spleen measures 13.5 cm in length.", "spleen", (135, 135)),
        ("Spleen: Normal, 10.5 cm craniocaudal.", "spleen", (105, 105)),
        ("The spleen is enlarged, up to 15 cm in span.", "spleen", (0, 150)),
        ("The right kidney measures 11.2 cm. The left kidney measures 9.8 cm.", "kidney_left", (98, 98)),
        ("The spleen measures 13 x 5 x 4 cm.", "spleen", (130, 130)),
        ("There is a 2.3 cm cyst in the spleen, measuring up to 2.5 cm.", "spleen", None),
        ("The spleen previously measured 13.5 cm in length.", "spleen", None),
        ("The kidneys measure 11 and 12 cm in length.", "kidney_left", None),
        ("The spleen is normal. The liver measures 18 cm in length.", "spleen", None),
        ("The spleen is normal in size.", "spleen", None),
        ("An accessory spleen of 30 mm in size is observed.", "spleen", None),
        ("A stone measuring 22 mm in the left kidney.", "kidney_left", None),
        ("The prostate measures 52 x 40 mm in the axial plane.", "prostate", None),
        ("The liver measures 14 cm in the midclavicular line.", "liver", None),
        ("The spleen is enlarged, measuring 14 cm in craniocaudal dimension.", "spleen", (140, 140)),
    ],
)
def test_stated_lengths(text: str, label: str, want: tuple[float, float] | None) -> None:
    found = stated_lengths(text, read_report(text, "s"), label)
    assert [(one.length_mm.lo, one.length_mm.hi) for one in found] == ([want] if want else [])


def test_extents_of_a_slanted_bar() -> None:
    mask = np.zeros((40, 3, 40), dtype=bool)
    for step in range(30):
        mask[5 + step, :, 5 + step] = True
    extents = extents_mm(mask, (1.0, 1.0, 1.0))
    assert extents.lo == 30
    assert extents.hi == pytest.approx(29 * 2**0.5 + 2**0.5, abs=1e-6)


def test_only_what_the_readers_error_cannot_explain_counts() -> None:
    assert length_ratio(Interval.exact(100), Interval(96, 114)) == 1
    assert length_ratio(Interval.exact(100), Interval(120, 150)) == 1.2
    assert length_ratio(Interval.exact(100), Interval(60, 80)) == 0.8
    assert length_ratio(Interval(0, 100), Interval(10, 12)) == 1
