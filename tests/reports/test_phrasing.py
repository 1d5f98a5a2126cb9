"""Ways of writing that the traps don't cover: lists by number, tables, letters, scores, old sizes in parentheses."""

from __future__ import annotations

import pytest

from dictamen.reports.rules import read_report
from dictamen.reports.schema import Finding


def current(text: str) -> list[Finding]:
    return [f for f in read_report(text, "S1").findings if f.temporal == "current" and f.existence != "absent"]


def facts(text: str) -> list[tuple[str, str | None, tuple[str, ...], tuple[float, ...]]]:
    return [(f.structure, f.side, f.parts, f.diameters_mm) for f in current(text)]


def test_numbered_list_of_target_lesions() -> None:
    text = "Target lesions:\n1. Liver, segment 3: 22 mm (was 30 mm)\n2. Left adrenal: 19 mm\n3. T9: 11 mm"
    assert facts(text)[:2] == [("liver", None, ("segment 3",), (22.0,)), ("adrenal_gland", "left", (), (19.0,))]
    assert current(text)[0].prior_diameters_mm == (30.0,)


def test_bulleted_headings_and_tables() -> None:
    text = "- Liver: 24 mm lesion\n- Lymph nodes: portocaval node 14 mm\n- Spleen: normal"
    assert [fact[0] for fact in facts(text)] == ["liver", "lymph_node"]
    table = "| Organ | Finding |\n|---|---|\n| Liver | 24 mm lesion segment 6 |\n| Left kidney | normal |"
    assert facts(table) == [("liver", None, ("segment 6",), (24.0,))]
    assert read_report(table, "S1").clear_structures == ("kidney:left",)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The 2.1 cm left adrenal lesion measures 4 HU and is therefore an adenoma.", "benign"),
        ("A 2 cm liver lesion which is presumed metastatic.", "metastasis"),
        ("Left kidney: 31 mm Bosniak I.", "cyst"),
        ("Liver: 22 mm enhancing lesion with washout in segment 4a, LI-RADS 5.", "malignant"),
        ("Peritoneal deposit in the left paracolic gutter (1.7 cm).", "metastasis"),
    ],
)
def test_kind_by_second_names_and_scores(text: str, kind: str) -> None:
    (finding,) = current(text)
    assert finding.kind == kind


@pytest.mark.parametrize(
    ("text", "now", "before"),
    [
        ("Liver lesion increased from 2 to 3 cm.", (30.0,), (20.0,)),
        ("Left kidney mass 43 mm (was 51 mm).", (43.0,), (51.0,)),
        ("Uterus enlarged by fibroids ranging from 1 to 6.5 cm.", (65.0,), ()),
    ],
)
def test_old_sizes_and_ranges(text: str, now: tuple[float, ...], before: tuple[float, ...]) -> None:
    (finding,) = current(text)
    assert (finding.diameters_mm, finding.prior_diameters_mm) == (now, before)


@pytest.mark.parametrize(
    "text",
    [
        "Thyroid: nodules are absent.",
        "There is nothing to suggest hepatic metastatic disease.",
        "The previously queried lesion of the pancreatic tail is not reproduced.",
        "Post right nephrectomy for 7 cm RCC.",
        "Calcium deposits in the liver.",
    ],
)
def test_nothing_is_there(text: str) -> None:
    assert not current(text)


def test_a_conflict_of_sides_leaves_the_side_open() -> None:
    text = "Findings: 2.4 cm mass in the upper pole of the left kidney.\nImpression: 2.4 cm right renal mass."
    assert facts(text) == [("kidney", None, ("upper pole",), (24.0,))]
    assert [flag.code for flag in read_report(text, "S1").flags] == ["conflict"]


def test_sides_by_letter() -> None:
    text = "Kidneys: R - 12 mm cyst upper pole, 5 mm stone. L - 28 mm AML lower pole."
    assert facts(text) == [
        ("kidney", "right", ("upper pole",), (12.0,)),
        ("kidney", "left", ("lower pole",), (28.0,)),
    ]


def test_a_heading_ends_what_was_spoken_of() -> None:
    text = "Right level II node, 18 mm. Thyroid: dominant left lobe nodule 33 mm."
    assert [fact[0] for fact in facts(text)] == ["lymph_node", "thyroid_gland"]


def test_several_sizes_each_with_its_organ() -> None:
    text = "Cysts are seen in the liver (up to 2 cm), the left kidney (4.1 cm) and the pancreas (6 mm)."
    assert [(f.structure, f.diameters_mm) for f in current(text)] == [
        ("liver", (20.0,)),
        ("kidney", (41.0,)),
        ("pancreas", (6.0,)),
    ]


def test_lesions_of_a_group_sentence_by_sentence() -> None:
    text = "Three lesions are present in the liver. The first, in segment VI, is 41 x 35 mm. The second is 18 mm."
    group, *items = current(text)
    assert (group.count.lo, group.diameters_mm) == (3, ())
    assert [(f.parts, f.diameters_mm, f.group) for f in items] == [
        (("segment 6",), (41.0, 35.0), 0),
        ((), (18.0,), 0),
    ]


def test_examples_of_a_group() -> None:
    text = "Innumerable lytic lesions of the spine, e.g. L3 22 mm, L4 18 mm."
    group, *items = current(text)
    assert group.count.hi == float("inf")
    assert [(f.diameters_mm, f.group) for f in items] == [((22.0,), 0), ((18.0,), 0)]


def test_one_stands_for_a_lesion() -> None:
    text = "Intramural myoma of the posterior wall, 2.9 cm, and a subserosal one at the fundus, 4.4 cm."
    assert [fact[3] for fact in facts(text)] == [(29.0,), (44.0,)]


@pytest.mark.parametrize(
    ("text", "organs"),
    [
        ("liver hypodense lesion 17mm\ngallbladder normal\nspleen 8mm cyst", ["liver", "spleen"]),
        (
            "There is a hypodense lesion measuring 17 mm in the periphery of segment 6\n"
            "of the liver, and a cyst of the spleen that measures 8 mm and has not changed\nsince 2019.",
            ["liver", "spleen"],
        ),
    ],
)
def test_line_breaks_end_short_lines_and_wrap_long_ones(text: str, organs: list[str]) -> None:
    assert [fact[0] for fact in facts(text)] == organs


def test_a_size_behind_a_slice_number() -> None:
    assert facts("Left renal lesion on image 77, 1.5 cm, 28 HU.") == [("kidney", "left", (), (15.0,))]


def test_lobes_as_headings() -> None:
    assert facts("RUL: 1.2cm nodule. RLL: scarring; 7 mm nodule.") == [
        ("lung", "right", ("upper lobe",), (12.0,)),
        ("lung", "right", ("lower lobe",), (7.0,)),
    ]


def test_words_of_mr_are_no_vertebrae() -> None:
    assert facts("Right ovary: a T2-bright lesion of 31 mm.") == [("ovary", "right", (), (31.0,))]
    assert facts("The lesion of T2 measures 31 mm.") == [("bone", None, ("T2",), (31.0,))]


def test_leaders_make_headings_on_long_lines_too() -> None:
    text = (
        "Nodes ....... four in the right groin, largest 13 mm\n"
        "Liver ....... no metastasis. 9 mm cyst in segment 2, 24 mm haemangioma in segment 7, both known from 2019\n"
        "Lungs ....... not a single nodule\n"
    )
    assert [fact[0] for fact in facts(text)[-2:]] == ["liver", "liver"]
    assert read_report(text, "S1").clear_structures == ("lung",)


def test_items_between_semicolons_have_their_own_places() -> None:
    text = "Nodes: left supraclavicular 26 x 15 mm; right axilla up to 19 mm; no hilar enlargement."
    assert [(side, parts) for _, side, parts, _ in facts(text)] == [
        ("left", ("supraclavicular",)),
        ("right", ("axillary",)),
    ]


def test_a_part_belongs_to_the_organ_named_before_it() -> None:
    assert facts("The spleen contains a lesion of 2.1 cm at its lower pole.") == [
        ("spleen", None, ("lower pole",), (21.0,))
    ]
    assert facts("The spleen is normal. A 2.1 cm lesion at the left lower pole.")[0][0] == "kidney"


def test_the_report_goes_on_behind_the_paragraph_of_a_skipped_heading() -> None:
    text = "Technique: portal phase.\nTable 1.\n\nThere is a 2.4 cm cyst in liver segment 3.\nThe spleen is normal."
    assert facts(text) == [("liver", None, ("segment 3",), (24.0,))]


def test_a_diagnosis_within_a_line_names_the_lesion_before() -> None:
    text = "Left kidney: a 23 mm lesion at the upper pole. Diagnosis: angiomyolipoma.\nThe spleen is normal."
    assert [(f.structure, f.kind) for f in current(text)] == [("kidney", "benign")]


def test_short_names() -> None:
    text = "Lungs: RML 6 mm nod.\nGB out. Adrs: nothing to report."
    assert facts(text) == [("lung", "right", ("middle lobe",), (6.0,))]
    report = read_report(text, "S1")
    assert (report.clear_structures, report.removed_structures) == (("adrenal_gland",), ("gallbladder",))
