from __future__ import annotations

import csv
import io

import pytest

from dictamen.reports.lesion_csv import COLUMNS, LesionCsv, rows
from dictamen.reports.rules import read_report


def table(text: str) -> list[dict[str, str]]:
    file = io.StringIO()
    LesionCsv(file).write(read_report(text, "S1"))
    file.seek(0)
    return list(csv.DictReader(file))


def test_a_lesion_a_row() -> None:
    (row,) = table("A 14 x 12 mm hypodense cyst in the upper pole of the left kidney (5:12).")
    assert tuple(row) == COLUMNS
    assert {name: row[name] for name in COLUMNS[:8]} == {
        "Encrypted Accession Number": "S1",
        "BDMAP ID": "S1",
        "Tumor ID": "1",
        "Organ": "kidney",
        "Tumor Type": "cyst",
        "Tumor Location": "left upper pole",
        "Tumor Size (mm)": "14 x 12",
        "Tumor Attenuation": "hypo",
    }
    assert (row["Standardized Attenuation"], row["Unknow Tumor Size"]) == ("hypoattenuating", "0")
    assert (row["Series"], row["Image"], row["no lesion"]) == ("5", "12", "0")


@pytest.mark.parametrize(
    ("text", "sizes", "no_lesion"),
    [
        ("Three liver cysts, the largest 2 cm.", ["20", "", ""], ["0", "0", "0"]),
        ("Multiple liver cysts.", ["", ""], ["0", "0"]),
        ("The left kidney is normal. The spleen is unremarkable.", ["", ""], ["1", "1"]),
        ("A 2 cm liver lesion has resolved.", [""], [""]),
        ("Ascites.", [""], [""]),
    ],
    ids=["counted", "many", "clear", "gone", "nothing"],
)
def test_counts_and_clear_organs(text: str, sizes: list[str], no_lesion: list[str]) -> None:
    read = table(text)
    assert [row["Tumor Size (mm)"] for row in read] == sizes
    assert [row["no lesion"] for row in read] == no_lesion
    assert {row["BDMAP ID"] for row in read} == {"S1"}


def test_examples_of_a_group_are_counted_once() -> None:
    report = read_report("Five liver metastases, for example:\n- segment 7, 22 mm\n- segment 4, 15 mm\n", "S")
    assert any(finding.group is not None for finding in report.findings)
    assert len(list(rows(report))) == 5
