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


def test_sides_by_letter() -> None:
    text = "Kidneys: R - 12 mm cyst upper pole, 5 mm stone. L - 28 mm AML lower pole."
    assert facts(text) == [
        ("kidney", "right", ("upper pole",), (12.0,)),
        ("kidney", "left", ("lower pole",), (28.0,)),
    ]


def test_a_heading_ends_what_was_spoken_of() -> None:
    text = "Right level II node, 18 mm. Thyroid: dominant left lobe nodule 33 mm."
    assert [fact[0] for fact in facts(text)] == ["lymph_node", "thyroid_gland"]
