"""Further paraphrases of the traps: with test_traps.py at least three of each."""

from __future__ import annotations

import pytest

from dictamen.reports.rules import read_report
from dictamen.reports.schema import Finding, ReportFindings


def read(text: str) -> ReportFindings:
    return read_report(text, "S1")


def current(text: str) -> list[Finding]:
    return [f for f in read(text).findings if f.temporal == "current" and f.existence != "absent"]


def sizes(text: str) -> list[tuple[float, ...]]:
    return sorted(f.diameters_mm for f in current(text))


@pytest.mark.parametrize(
    "text",
    [
        "The uterus measures 9.1 x 5.0 cm. The endometrial stripe is 6 mm. The prostate measures 4.4 x 3.9 cm.",
        "Common femoral artery 9 mm. Gallbladder wall 3 mm. Inguinal hernia with a 2 cm defect. Port catheter 8 mm.",
        "Reconstructions at 1.25 mm intervals. Aorta 2.4 cm. Left pleural effusion measuring 21 mm in thickness.",
    ],
)
def test_04_more_distractors(text: str) -> None:
    assert current(text) == []


@pytest.mark.parametrize(
    ("text", "trend"),
    [
        ("The previously described renal mass has increased in size.", "increased"),
        ("Previously noted pulmonary nodules are unchanged.", "stable"),
        ("The known liver metastases have decreased.", "decreased"),
    ],
)
def test_06_known_lesions_are_current(text: str, trend: str) -> None:
    (finding,) = current(text)
    assert finding.trend == trend


@pytest.mark.parametrize(
    "text",
    [
        "The formerly seen 9 mm liver lesion has disappeared.",
        "Interval resolution of the right upper lobe nodule.",
        "The left adrenal nodule is no longer seen.",
    ],
)
def test_06_resolved_lesions_are_gone(text: str) -> None:
    assert current(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The 14 mm pancreatic cyst shows no significant change.", (14.0,)),
        ("Without interval change in the 22 mm left adrenal nodule.", (22.0,)),
        ("No appreciable growth of the 11 mm renal lesion.", (11.0,)),
    ],
)
def test_07_no_change_denies_nothing(text: str, expected: tuple[float, ...]) -> None:
    assert sizes(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "Hypodense lesion of the spleen, 31 x 25 mm axially, with a craniocaudal extent of 40 mm.",
        "A 31 x 25 mm mass in the left kidney; its craniocaudal length is 40 mm.",
        "Mass in the pancreatic tail measuring 31 x 25 mm in the axial plane and 40 mm craniocaudally.",
    ],
)
def test_09_third_axis(text: str) -> None:
    assert sizes(text) == [(40.0, 31.0, 25.0)]


@pytest.mark.parametrize(
    ("text", "structure"),
    [
        ("A 6 cm mass of the sigmoid colon invading the bladder dome.", "colon"),
        ("Gastric mass of 4 cm in contact with the pancreas and the spleen.", "stomach"),
        ("Mass of the left kidney, 8 cm, infiltrating the psoas muscle and the spleen.", "kidney"),
    ],
)
def test_10_neighbours(text: str, structure: str) -> None:
    assert [f.structure for f in current(text)] == [structure]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Nodule of 7 mm in segment 10 of the right lower lobe.", "lower lobe"),
        ("A 5 mm nodule in the posterior segment of the right upper lobe.", "upper lobe"),
        ("In segment 2 of the left upper lobe there is a nodule of 4 mm.", "upper lobe"),
    ],
)
def test_11_segments_of_the_lung(text: str, part: str) -> None:
    (finding,) = current(text)
    assert (finding.structure, finding.parts) == ("lung", (part,))


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS ::: lver ?? 5 xx 4 mm les1on ### \x07 of the the the",
        "Thorax .. ,, , 3,,4 cm cm mm nodul nodul nodule nodule )))((( lung lung",
        "���� 12 mm ���� cyst ���� kidney \x00\x01\x02",
    ],
)
def test_14_noise(text: str) -> None:
    report = read(text)
    assert all(0 <= f.span[0] < f.span[1] <= len(text) for f in report.findings)
    assert "noise" in {flag.code for flag in report.flags}


@pytest.mark.parametrize(
    ("text", "structures"),
    [
        (
            "There is a 3 cm mass in the left kidney. Nodes are seen in the retroperitoneum. The aorta is calcified. "
            "The heart is normal. Left renal mass Retroperitoneal lymphadenopathy Aortic calcification Normal heart",
            ["kidney", "lymph_node"],
        ),
        (
            "Nodules are observed in both lungs. The liver contains a 12 mm cyst. The spleen is normal. "
            "Effusion is observed. Pulmonary nodules Liver cyst Pleural effusion Normal spleen",
            ["lung", "liver"],
        ),
        (
            "A 4 cm lytic lesion was observed in the right iliac bone. The bladder is normal. The liver is normal. "
            "No effusion was observed. Lytic lesion of the right iliac bone Normal bladder No effusion Normal liver",
            ["bone"],
        ),
    ],
)
def test_15_impression_without_punctuation(text: str, structures: list[str]) -> None:
    assert [f.structure for f in current(text)] == structures


@pytest.mark.parametrize(
    ("text", "prior"),
    [
        ("A 23 mm mass in the left kidney. In the previous examination it was 18 mm.", (18.0,)),
        ("Liver metastasis in segment 4, 31 mm. Previously 26 mm.", (26.0,)),
        ("Right adrenal nodule of 15 mm. It measured 12 mm on the prior study.", (12.0,)),
    ],
)
def test_17_prior_size_apart(text: str, prior: tuple[float, ...]) -> None:
    (finding,) = current(text)
    assert finding.prior_diameters_mm == prior


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("FINDINGS: 18 mm nodule in the right lower lobe.\nADDENDUM: The nodule measures 21 mm on thin slices.", 21.0),
        ("FINDINGS: Left renal mass of 4.0 cm.\nADDENDUM: The left renal mass measures 4.6 cm.", 46.0),
        ("FINDINGS: A 12 mm cyst in the pancreatic head.\nADDENDUM: Correction: the cyst measures 15 mm.", 15.0),
    ],
)
def test_18_the_addendum_corrects(text: str, size: float) -> None:
    report = read(text)
    assert [f.diameters_mm for f in report.findings] == [(size,)]
    assert "addendum" in {flag.code for flag in report.flags}


@pytest.mark.parametrize(
    ("text", "largest"),
    [
        ("Several liver cysts, the largest of 31 mm in segment 6.", 31.0),
        ("Multiple hypodense hepatic lesions; the largest measures 22 mm.", 22.0),
        ("There are numerous nodules in both lungs. The dominant nodule measures 14 mm.", 14.0),
    ],
)
def test_19_a_group_with_its_largest_is_one(text: str, largest: float) -> None:
    (finding,) = current(text)
    assert finding.diameters_mm == (largest,)
    assert finding.count.lo == 2


def test_19_examples_are_linked_to_their_group() -> None:
    report = read("Multiple liver lesions, for example:\n- 21 mm lesion in segment 6\n- 14 mm lesion in segment 2")
    assert [f.group for f in report.findings] == [None, 0, 0]
    assert report.state("liver").count is not None
    assert report.state("liver").count.to_json() == [2.0, None]


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("Adrenal nodules: 14 mm on the right and 9 mm on the left.", {"right": 14.0, "left": 9.0}),
        ("Two renal cysts, 31 mm (left) and 12 mm (right).", {"left": 31.0, "right": 12.0}),
        (
            "There are bilateral ovarian masses. The right one measures 7.1 cm, the left one 5.2 cm.",
            {"right": 71.0, "left": 52.0},
        ),
    ],
)
def test_02_each_size_keeps_its_side(text: str, sides: dict[str, float]) -> None:
    assert {f.side: f.diameters_mm[0] for f in current(text)} == sides


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("A 12 mm cyst at the left border of the right kidney.", "right"),
        ("Right kidney: 9 mm cyst on its medial aspect.", "right"),
        ("In the left kidney, right anterior aspect, a 2 cm mass.", "left"),
    ],
)
def test_22_the_organs_side(text: str, side: str) -> None:
    (finding,) = current(text)
    assert finding.side == side


@pytest.mark.parametrize(
    "text",
    [
        "Left axillary lymph node, short axis 13 mm.",
        "A 13 mm short-axis lymph node in the left axilla.",
        "Lymph node in the left axilla measuring 13 mm in short diameter.",
    ],
)
def test_24_short_axis(text: str) -> None:
    (finding,) = current(text)
    assert (finding.structure, finding.side, finding.short_axis) == ("lymph_node", "left", True)
    assert finding.diameters_mm == (13.0,)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FINDINGS: 14 mm nodule in the right adrenal.\nIMPRESSION: 14 mm nodule in the left adrenal.", "conflict"),
        ("A mass of 4 cm is seen next to the kidney.", "no_organ"),
        ("", "empty"),
    ],
)
def test_flags_instead_of_guesses(text: str, code: str) -> None:
    assert code in {flag.code for flag in read(text).flags}


@pytest.mark.parametrize(
    ("text", "structure", "side"),
    [
        ("A large cystic mass in the pelvis, 12 cm. It appears to arise from the right ovary.", "ovary", "right"),
        ("Upper abdominal mass of 9 cm. It originates from the stomach.", "stomach", None),
        ("There is a 7 cm mass in the flank. This arises from the left kidney.", "kidney", "left"),
    ],
)
def test_the_organ_of_the_next_sentence(text: str, structure: str, side: str | None) -> None:
    (finding,) = current(text)
    assert (finding.structure, finding.side) == (structure, side)
