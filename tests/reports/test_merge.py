"""Which mentions are one lesion."""

from __future__ import annotations

import pytest

from dictamen.reports.rules import read_report


def sizes(text: str) -> list[tuple[float, ...]]:
    report = read_report(text, "S")
    return sorted(f.diameters_mm for f in report.findings if f.temporal == "current" and f.existence != "absent")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FINDINGS: A 22 mm cyst in the left kidney.\nIMPRESSION: 2.2 cm left renal cyst.", [(22.0,)]),
        ("FINDINGS: A 22 mm cyst in the left kidney.\nIMPRESSION: Left renal cyst.", [(22.0,)]),
        ("FINDINGS: A cyst in the left kidney.\nIMPRESSION: 22 mm left renal cyst.", [(22.0,)]),
        ("FINDINGS: 22 x 18 mm mass in the pancreatic head.\nIMPRESSION: 2.2 cm pancreatic mass.", [(22.0, 18.0)]),
        ("A 9 mm liver lesion. The lesion is stable.", [(9.0,)]),
    ],
)
def test_a_lesion_told_twice_is_one(text: str, expected: list[tuple[float, ...]]) -> None:
    assert sizes(text) == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("A 5 mm nodule in the left lower lobe. A 5 mm nodule in the left lower lobe.", 2),
        ("A 5 mm nodule in the left upper lobe (4:12) and a 5 mm nodule in the left upper lobe (4:50).", 2),
        ("FINDINGS: A 12 mm cyst in the left kidney.\nIMPRESSION: 12 mm cyst in the left kidney. 30 mm liver cyst.", 2),
        ("In the liver a 26 x 23 mm cyst is seen. A 27 x 24 x 25 mm metastasis is seen in the liver.", 2),
        ("There is a cyst in liver segment 6. Note is made of a simple cyst in liver segment 6.", 2),
        ("A 14 x 12 x 5 mm left axillary node. The left axillary node measures 14 x 11 x 8 mm.", 2),
    ],
)
def test_lesions_that_resemble_each_other_stay_apart(text: str, number: int) -> None:
    assert len(sizes(text)) == number


def test_the_impression_names_the_kind() -> None:
    text = "FINDINGS: A 21 mm mass in the left adrenal gland.\nIMPRESSION: Left adrenal metastasis."
    (finding,) = read_report(text, "S").findings
    assert (finding.kind, finding.diameters_mm) == ("metastasis", (21.0,))


def test_equal_sizes_are_preferred_to_equal_places() -> None:
    text = (
        "FINDINGS: A cyst in the upper pole of the left kidney. A 21 mm cyst in the left kidney.\n"
        "IMPRESSION: Cyst in the left kidney measuring 21 mm."
    )
    assert sizes(text) == [(), (21.0,)]


def test_a_sentence_said_again_is_read_again() -> None:
    said = "There is a cyst in the left kidney."
    measured = read_report(f"{said} It measures 14 mm.", "A").findings
    assert [finding.diameters_mm for finding in measured] == [(14.0,)]
    assert [finding.diameters_mm for finding in read_report(said, "B").findings] == [()]


@pytest.mark.parametrize(
    ("said", "again", "mentions"),
    [
        ("Metastases in the liver and spleen.", "Liver metastases.", [1, 0]),
        ("Adrenal nodules. They measure 14 mm on the right and 12 mm on the left.", "Right adrenal nodule.", [1, 0]),
        ("Liver metastases of 14 mm in segment 2 and 12 mm in segment 7.", "Liver metastasis in segment 7.", [0, 1]),
    ],
)
def test_a_mention_counts_for_one_of_two_lesions(said: str, again: str, mentions: list[int]) -> None:
    report = read_report(f"{said}\nIMPRESSION: {again}", "S")
    assert [len(finding.mentions) for finding in report.findings] == mentions
