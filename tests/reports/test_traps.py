"""The traps of radiology reports, each in our own words."""

from __future__ import annotations

import pytest

from dictamen.reports.rules import read_report
from dictamen.reports.schema import Finding, ReportFindings


def read(text: str) -> ReportFindings:
    return read_report(text, "S1")


def current(text: str, structure: str | None = None) -> list[Finding]:
    found = [f for f in read(text).findings if f.temporal == "current" and f.existence != "absent"]
    return [f for f in found if structure in (None, f.structure)]


def sizes(text: str, structure: str | None = None) -> list[tuple[float, ...]]:
    return sorted(f.diameters_mm for f in current(text, structure))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There is a cyst in the left kidney. It measures 14 mm.", [(14.0,)]),
        ("Several nodules in both lungs. The largest measures up to 6 mm.", [(6.0,)]),
        ("Hypodense lesion in segment 6 of the liver. This measures 2.1 x 1.4 cm.", [(21.0, 14.0)]),
    ],
)
def test_01_size_in_the_next_sentence(text: str, expected: list[tuple[float, ...]]) -> None:
    assert sizes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A 9 mm and a 4 mm nodule are seen in the left lower lobe.", [(4.0,), (9.0,)]),
        ("Two cysts of 12 mm and 20 mm in the right kidney.", [(12.0,), (20.0,)]),
        ("Nodules of 5 mm, 7 mm and 11 mm in the right upper lobe.", [(5.0,), (7.0,), (11.0,)]),
    ],
)
def test_02_several_sizes_one_noun(text: str, expected: list[tuple[float, ...]]) -> None:
    assert sizes(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS: Hypodense lesion in liver segment 5 (32 mm).\nIMPRESSION: Metastasis in liver segment 7 (32 mm).",
        "FINDINGS: A 14 mm nodule in the right adrenal gland.\nIMPRESSION: 14 mm nodule of the left adrenal gland.",
        "FINDINGS: 22 mm cyst, upper pole of the left kidney.\nIMPRESSION: 22 mm cyst, lower pole of the left kidney.",
    ],
)
def test_03_findings_and_impression_disagree(text: str) -> None:
    report = read(text)
    assert len(report.findings) == 1
    assert [flag.code for flag in report.flags] == ["conflict"]


@pytest.mark.parametrize(
    "text",
    [
        "The appendix measures 9 mm. The main pulmonary artery measures 34 mm.",
        "Umbilical hernia with a neck of 22 mm. Right pleural effusion, 3 cm deep.",
        "The common bile duct measures 7 mm. The liver measures 17.5 cm in length. The spleen measures 11 cm.",
        "Axial images of 5 mm slice thickness. An 18 gauge needle was used. Aortic aneurysm of 4.6 cm.",
        "Attenuation of 30 to 70 HU. Volume of 24 ml. SPD: 5810.",
    ],
)
def test_04_distractors_take_their_sizes(text: str) -> None:
    assert current(text) == []


def test_04_distractor_and_lesion_compete_in_one_sentence() -> None:
    assert sizes("A 12 mm pancreatic head mass with upstream dilatation of the duct to 8 mm.") == [(12.0,)]
    assert sizes("The aorta measures 31 mm and there is a 6 mm nodule in the right lower lobe.") == [(6.0,)]


@pytest.mark.parametrize(
    ("text", "now", "before"),
    [
        ("The liver lesion now measures 1.8 x 2.5 cm, increased from 1.6 x 2.1 cm.", (25.0, 18.0), (21.0, 16.0)),
        (
            "Lymph nodes 41 x 30 mm (16 x 12 mm in the previous examination) in the left paraaortic region.",
            (41.0, 30.0),
            (16.0, 12.0),
        ),
        ("A 4.0 x 3.2 cm mass in the left upper lobe, previously 2.8 x 2.6 cm.", (40.0, 32.0), (28.0, 26.0)),
    ],
)
def test_05_prior_sizes(text: str, now: tuple[float, ...], before: tuple[float, ...]) -> None:
    (finding,) = current(text)
    assert finding.diameters_mm == now
    assert finding.prior_diameters_mm == before


def test_06_previously_identified() -> None:
    grown = current("Previously identified liver lesions have increased in size.")
    assert [(f.structure, f.trend) for f in grown] == [("liver", "increased")]
    assert current("The previously described new nodule in the right upper lobe has resolved.") == []
    assert current("The previously seen 5 mm nodule in the lingula is no longer visualized.") == []


def test_07_no_significant_change_denies_nothing() -> None:
    assert sizes("No significant change in the 3 cm liver lesion.") == [(30.0,)]
    assert sizes("No interval change of the 8 mm nodule in the left lower lobe.") == [(8.0,)]


@pytest.mark.parametrize(
    "text", ["LUNGS: No new suspicious nodules.", "No new liver lesions.", "BONES: No new lytic lesion."]
)
def test_07_no_new_lesion_is_neither_lesion_nor_clear(text: str) -> None:
    report = read(text)
    assert report.findings == ()
    assert report.clear_structures == ()


@pytest.mark.parametrize(
    "text",
    [
        "No hydronephrosis. The kidneys show no stone.",
        "The large and small bowels are normal in course and caliber.",
        "The esophagus is normal in calibre. The spleen is normal in size.",
        "The cervical spine shows normal alignment.",
    ],
)
def test_08_other_normality_says_nothing_on_lesions(text: str) -> None:
    assert read(text).clear_structures == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Mass in liver segment 6 measuring 57 x 46 mm in the axial plane and a craniocaudal length of 88 mm.",
            (88.0, 57.0, 46.0),
        ),
        ("Renal mass of 3.1 x 2.8 cm, with a craniocaudal extent of 4 cm, in the right kidney.", (40.0, 31.0, 28.0)),
    ],
)
def test_09_third_axis_apart(text: str, expected: tuple[float, ...]) -> None:
    assert sizes(text) == [expected]


@pytest.mark.parametrize(
    ("text", "structure"),
    [
        ("A 3 cm mass in the pancreatic tail extending to the left adrenal gland.", "pancreas"),
        ("A 5 cm mass of the right kidney, adjacent to the liver.", "kidney"),
        ("A 4 cm mass in the gastric antrum that infiltrates the pancreas.", "stomach"),
    ],
)
def test_10_neighbours_are_not_the_organ(text: str, structure: str) -> None:
    assert [f.structure for f in current(text)] == [structure]


def test_11_segment_of_the_lung() -> None:
    (finding,) = current("A 7 mm nodule in the superior segment of the left lower lobe.")
    assert (finding.structure, finding.side) == ("lung", "left")
    (finding,) = current("A 7 mm nodule in segment 6 of the left lower lobe.")
    assert (finding.structure, finding.side, finding.parts) == ("lung", "left", ("lower lobe",))


@pytest.mark.parametrize(
    ("text", "qualifier", "size"),
    [
        ("2-13 mm thyroid nodules.", "range", 13.0),
        ("Pulmonary nodules of 3 to 6 mm in both lungs.", "range", 6.0),
        ("Scattered sub-5 mm pulmonary nodules.", "max", 5.0),
        ("Liver cysts measuring up to 2 cm.", "max", 20.0),
    ],
)
def test_12_ranges_and_limits(text: str, qualifier: str, size: float) -> None:
    (finding,) = current(text)
    assert finding.size_qualifier == qualifier
    assert finding.diameters_mm == (size,)


@pytest.mark.parametrize(
    ("text", "series", "image"),
    [
        ("A 9 mm nodule in the left upper lobe (12:94).", 12, 94),
        ("A 3 mm nodule in the right upper lobe (703; 261).", 703, 261),
        ("A 6 mm nodule in the right lower lobe (Im 64, Se 302).", 302, 64),
        ("A 5 mm nodule in the lingula on image 46 of series 3.", 3, 46),
    ],
)
def test_13_slice_references_are_no_sizes(text: str, series: int, image: int) -> None:
    (finding,) = current(text)
    assert len(finding.diameters_mm) == 1
    assert [(s.series, s.image) for s in finding.slices] == [(series, image)]


def test_14_noise_does_not_break_the_reader() -> None:
    report = read("Trachea,,,, \x00 ???? nodüle .. 5mm5mm (( ) of of of lung \ufffd\ufffd 3 x x 4 cm mass")
    assert report.study_id == "S1"


def test_15_impression_without_punctuation() -> None:
    text = (
        "A mass of 2.1 cm was observed in the left adrenal gland. "
        "Multiple lymph nodes were observed in the mediastinum. "
        "Pleural effusion was observed. The heart is normal. "
        "Left adrenal metastasis Mediastinal lymphadenopathies Right pleural effusion Atherosclerosis Emphysema"
    )
    assert [f.structure for f in current(text)] == ["adrenal_gland", "lymph_node"]
    assert current(text, "adrenal_gland")[0].kind == "metastasis"


@pytest.mark.parametrize(
    ("text", "kind", "existence"),
    [
        ("A 40 mm hypodense lesion (cyst?) in the upper pole of the right kidney.", "cyst", "present"),
        ("There is a questionable vague region of low density in the left kidney.", "uncertain", "possible"),
        ("Nodule in the left adrenal gland, likely an adenoma.", "benign", "present"),
    ],
)
def test_16_doubt_on_kind_and_on_existence(text: str, kind: str, existence: str) -> None:
    (finding,) = current(text)
    assert (finding.kind, finding.existence) == (kind, existence)


def test_17_prior_size_in_a_sentence_of_its_own() -> None:
    (finding,) = current("A 23 mm nodule in the right lower lobe. Previously it measured 18 mm.")
    assert finding.diameters_mm == (23.0,)
    assert finding.prior_diameters_mm == (18.0,)


def test_18_addendum_restates() -> None:
    text = "FINDINGS: A 22 mm mass in the right kidney.\nADDENDUM: The 22 mm mass in the right kidney is unchanged."
    assert sizes(text) == [(22.0,)]


def test_19_group_and_examples() -> None:
    text = (
        "Lungs: Multiple pulmonary nodules, for example:\n"
        "*2 mm nodule in the left upper lobe (5:270)\n*3 mm nodule in the left lower lobe (5:242)"
    )
    found = current(text)
    assert [(f.count.lo, f.diameters_mm) for f in found] == [(2.0, ()), (1.0, (2.0,)), (1.0, (3.0,))]
    largest = current("Multiple nodules in both lungs, the largest of which is 9 mm in the right lower lobe.")
    assert [(f.count.lo, f.diameters_mm, f.size_qualifier) for f in largest] == [(2.0, (9.0,), "max")]


@pytest.mark.parametrize(
    "text",
    [
        "Status post right hepatectomy for metastasis.",
        "Patient with a history of colon cancer.",
        "Treated for lymphoma in 2011.",
    ],
)
def test_20_history_is_not_current(text: str) -> None:
    assert current(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A 16x9mm cyst in the left kidney.", (16.0, 9.0)),
        ("A .9 cm cyst in the left kidney.", (9.0,)),
        ("A thirteen millimeter cyst in the left kidney.", (13.0,)),
        ("A 1.6 cm x 9 mm cyst in the left kidney.", (16.0, 9.0)),
        ("A 4.4 x 2.5 x 3.4 cm cyst in the left kidney.", (44.0, 34.0, 25.0)),
    ],
)
def test_21_units(text: str, expected: tuple[float, ...]) -> None:
    assert sizes(text) == [expected]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("A 2 cm lesion in liver segment II.", ("segment 2",)),
        ("A 2 cm lesion in segment IVa of the liver.", ("segment 4a",)),
        ("A 2 cm lesion in segment VIII of the liver.", ("segment 8",)),
        ("A 2 cm lesion in liver segments 5/6.", ("segment 5", "segment 6")),
        ("A 2 cm lesion in the liver, segments 5 and 6.", ("segment 5", "segment 6")),
    ],
)
def test_22_segments(text: str, parts: tuple[str, ...]) -> None:
    (finding,) = current(text)
    assert finding.parts == parts


def test_22_side_of_the_organ_not_of_its_border() -> None:
    (finding,) = current("A 12 mm cyst in the right kidney, left border.")
    assert finding.side == "right"


@pytest.mark.parametrize(
    ("text", "count", "side"),
    [
        ("Bilateral renal cysts.", [2, None], "bilateral"),
        ("Innumerable cysts in both kidneys.", [2, None], "bilateral"),
        ("At least three cysts in the left kidney.", [3, None], "left"),
        ("Two cysts in the right kidney.", [2, 2], "right"),
    ],
)
def test_23_counts(text: str, count: list[float | None], side: str) -> None:
    (finding,) = current(text)
    assert finding.count.to_json() == count
    assert finding.side == side


def test_24_nodes_on_the_short_axis() -> None:
    (finding,) = current("Subcarinal lymph node measuring 14 mm in short axis.")
    assert (finding.structure, finding.short_axis, finding.parts) == ("lymph_node", True, ("mediastinal", "subcarinal"))
    (finding,) = current("Enlarged paratracheal lymph node with a short-axis diameter of 12 mm.")
    assert finding.short_axis


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("LUNGS: A 7 mm and a 5 mm nodule in the right upper lobe.", [5.0, 7.0]),
        ("LIVER: An 8 mm and a 12 mm cyst in the left lobe.", [8.0, 12.0]),
        ("UTERUS: 14 x 8 cm, with a 3 cm fibroid.", [30.0]),
    ],
)
def test_a_size_with_an_article_below_a_heading_is_no_organ_size(text: str, sizes: list[float]) -> None:
    assert sorted(finding.diameters_mm[0] for finding in read_report(text, "S").findings) == sizes
