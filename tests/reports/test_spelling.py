import pytest

from dictamen.reports.lexicon import load
from dictamen.reports.rules import read_report
from dictamen.reports.spelling import Typos
from dictamen.reports.tokens import tokenize


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("leison", "lesion"),
        ("lesoin", "lesion"),
        ("lesiion", "lesion"),
        ("lesin", "lesion"),
        ("lexion", "lesion"),
        ("legionn", None),
        ("version", None),
        ("lesion2", None),
        ("mesion", None),
        ("l" * 500, None),
    ],
)
def test_one_slip_and_no_more(written: str, meant: str | None) -> None:
    assert Typos(["lesion"]).corrected(written) == meant


def test_no_word_of_the_lexicon_is_taken_for_another() -> None:
    """ "Rectus" and "rectum", "peroneal" and "perineal": what is known is never corrected."""
    text = "The rectus muscle, the ureter and the urethra, perineal and peroneal region, hepatis."
    assert not read_report(text, "S1").findings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("R kidney, L adrenal", ["right", "left"]),
        ("Rt. kidney, lt adrenal", ["right", "left"]),
        ("R - 12 mm cyst, L 31 mm cyst", ["right", "left"]),
        ("R/O mass, L spine, L 5, L-spine, 5 L of fluid, station 4 R, a 4 l jug", []),
    ],
)
def test_letters_for_sides(text: str, words: list[str]) -> None:
    assert [word for word in tokenize(text, load().meanings).words if word in ("left", "right")] == words


def test_a_damaged_report_is_read() -> None:
    text = "Liver: Multiple hypodense leisons, the largest in segement 5 mesuring 3,1 cm. L adernal nodul, 12mm."
    liver, adrenal = read_report(text, "S1").findings
    assert (liver.structure, liver.diameters_mm) == ("liver", (31.0,))
    assert (adrenal.structure, adrenal.side, adrenal.diameters_mm) == ("adrenal_gland", "left", (12.0,))
