"""The whole reader: properties on any text, organ states, and figures on real reports where they are at hand."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dictamen.reports.rules import read_report
from dictamen.reports.schema import ReportFindings

WORDS = re.split(
    " ",
    "no not was were seen is are there lesion nodule nodules cyst cysts mass liver kidney left right lobe upper lower "
    'lung lymph node nodes mm cm 5 12 3.4 x ( ) . , ; : " • - ? normal unremarkable likely metastasis '
    "previously largest measures of in the and or without segment IV 4:12 Findings: Impression: History: which "
    "resection but 2-13 it IMPRESSION: bilateral multiple two hypodense adjacent to extending pancreas head "
    "\n İstanbul naïve \u0130 \ufffd",
)
SHARED = Path(os.environ.get("DICTAMEN_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
GOLD = SHARED / "reports" / "gold_dev.jsonl"
SCORER = SHARED.parent / "tools" / "score_findings.py"


def words(report: ReportFindings) -> set[str]:
    return set(report.clear_structures)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=80).map(" ".join))
def test_any_words_give_valid_findings_with_spans_inside_the_text(text: str) -> None:
    report = read_report(text, "S")
    assert report == read_report(text, "S")
    for finding in report.findings:
        start, end = finding.span
        assert 0 <= start < end <= len(text)
        assert list(finding.diameters_mm) == sorted(finding.diameters_mm, reverse=True)
    diseased = {f.structure for f in report.findings if f.temporal == "current" and f.existence != "absent"}
    assert not diseased & set(report.clear_structures)
    assert ReportFindings.model_validate_json(report.model_dump_json()) == report


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400))
def test_any_text_is_read(text: str) -> None:
    assert read_report(text, "S").study_id == "S"


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "1",
        "1 x ",
        "no ",
        "(",
        " ",
        "\n",
        '"',
        "lesion ",
        "A ",
        "no lesion, ",
        "5 mm ",
        "the largest of ",
        "Aa: ",
        "segment 4/",
        "-",
        "1.",
        "é",
    ],
)
def test_adversarial_repetition_is_linear(unit: str) -> None:
    """200 kB of one thing must end; patterns that backtrack would not."""
    read_report(unit * (200_000 // len(unit)), "S")


@pytest.mark.parametrize(
    ("text", "clear"),
    [
        ("The liver, spleen and pancreas are unremarkable.", {"liver", "spleen", "pancreas"}),
        ("The kidneys are normal in size and attenuation.", {"kidney"}),
        ("No focal hepatic lesion.", {"liver"}),
        ("There are no adrenal masses.", {"adrenal_gland"}),
        ("The right adrenal gland is normal.", {"adrenal_gland:right"}),
        ("LUNGS: Clear.\nBONES: No suspicious lytic or blastic lesions.", {"lung", "bone"}),
        ("Liver: Normal in size. No focal lesion is seen.", {"liver"}),
        ("Normal appearance of the urinary bladder.", {"bladder"}),
        ("No enlarged mediastinal or hilar lymph nodes.", {"lymph_node"}),
        ("No mass was detected in the liver, spleen or both kidneys.", {"liver", "spleen", "kidney"}),
        ("The liver is unremarkable. A 2 cm lesion in the right hepatic lobe.", set()),
        ("The left kidney is normal. There is a 2 cm cyst in the right kidney.", {"kidney:left"}),
        ("HISTORY: The liver was normal in 2010.\nFINDINGS: Ascites.", set()),
    ],
)
def test_clear_organs(text: str, clear: set[str]) -> None:
    assert words(read_report(text, "S")) == clear


@pytest.mark.parametrize(
    ("text", "removed"),
    [
        ("Status post cholecystectomy.", ("gallbladder",)),
        ("The gallbladder has been resected.", ("gallbladder",)),
        ("Left nephrectomy.", ("kidney:left",)),
        ("The uterus is surgically absent.", ("uterus",)),
        ("Partial nephrectomy on the left.", ()),
    ],
)
def test_removed_organs(text: str, removed: tuple[str, ...]) -> None:
    assert read_report(text, "S").removed_structures == removed


def test_organ_states_say_how_complete_the_description_is() -> None:
    report = read_report(
        "A 12 mm cyst in the right kidney. Several liver lesions. The spleen is normal. Status post hysterectomy.", "S"
    )
    assert {state.structure: state.status for state in report.organ_states} == {
        "kidney": "lesions_complete",
        "liver": "lesions_incomplete",
        "spleen": "lesion_free",
        "uterus": "removed",
    }


def test_a_limited_examination_is_noted() -> None:
    report = read_report("Given the lack of intravenous contrast, the liver is unremarkable.", "S")
    assert [state.limited for state in report.organ_states] == [True]


def test_an_empty_report_is_flagged() -> None:
    assert [flag.code for flag in read_report("  \n", "S").flags] == ["empty"]


@pytest.mark.skipif(not (GOLD.is_file() and SCORER.is_file()), reason="the shared reports are not on this machine")
def test_accuracy_on_hand_labelled_reports() -> None:
    gold = [json.loads(line) for line in GOLD.read_text(encoding="utf-8").splitlines()]
    predicted = {g["id"]: json.loads(read_report(g["text"], g["id"]).model_dump_json()) for g in gold}
    figures, _ = _scorer().score(predicted, gold)
    assert figures["f1"] >= 0.95  # 0.977 when this was written
    assert figures["clear_contradictions"] == 0
    assert figures["size"] >= 0.97
    assert figures["kind"] >= 0.95


def _scorer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("score_findings", SCORER)
    if spec is None or spec.loader is None:
        pytest.skip("the scorer can't be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules["score_findings"] = module
    spec.loader.exec_module(module)
    return module


def test_a_soft_tissue_mass_without_organ_is_in_the_soft_tissue_and_a_named_organ_wins() -> None:
    alone = read_report("FINDINGS: There is a 6.0 x 6.1 cm soft tissue mass, heterogeneous.", "a")
    assert [(f.structure, f.diameters_mm) for f in alone.findings] == [("soft_tissue", (61.0, 60.0))]
    named = read_report("FINDINGS: There is a 3 cm soft tissue mass in the left kidney.", "b")
    assert [(f.structure, f.side) for f in named.findings] == [("kidney", "left")]


def test_a_text_with_a_thousand_lesions_is_cut_with_a_flag() -> None:
    report = read_report("FINDINGS: " + "There is a 5 mm liver cyst. " * 600, "S")
    assert [flag.code for flag in report.flags] == ["too_many"]
    assert len(report.findings) == 501


def test_a_sentence_said_again_is_read_where_it_stands() -> None:
    text = "There is a 5 mm cyst in the liver. The spleen is normal. There is a 5 mm cyst in the left kidney."
    for start in ("", "FINDINGS: ", "Some words before. "):
        found = [
            text[a - len(start) : b - len(start)] for a, b in (f.span for f in read_report(start + text, "S").findings)
        ]
        assert found == ["5 mm cyst", "5 mm cyst"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "All lung nodules have resolved apart from one 4 mm nodule in the left lower lobe.",
            ("lung", "left", (4.0,), 1),
        ),
        ("Both adrenals are normal save for a 15 mm nodule in the left.", ("adrenal_gland", "left", (15.0,), 1)),
        ("Renal cysts: left upper pole 14 mm.", ("kidney", "left", (14.0,), 1)),
    ],
)
def test_an_exception_and_a_list_of_one_are_single_lesions(
    text: str, found: tuple[str, str, tuple[float, ...], int]
) -> None:
    current = [f for f in read_report(f"FINDINGS: {text}", "S").findings if f.temporal == "current"]
    assert [(f.structure, f.side, f.diameters_mm, f.count.hi) for f in current] == [found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Mass in the left lower lobe, 31 mm. A 7 mm nodule in the same lobe.", [("left", (31.0,)), ("left", (7.0,))]),
        ("Nodules in the lingula and middle lobe, 3 and 5 mm respectively.", [("left", (3.0,)), ("right", (5.0,))]),
        ("A portocaval node measures 7 mm in short axis, within normal limits.", []),
        ("Parotid: 11 mm nodule on the right, pleomorphic adenoma or Warthin tumour.", [("right", (11.0,))]),
        ("Lung nodules:\n- right upper lobe 5 mm\n- left lower lobe 7 mm", [("right", (5.0,)), ("left", (7.0,))]),
        ("the left kidney shows a twenty two millimeter cyst", [("left", (22.0,))]),
        ("Sclerotic lesion in the left ilium, 19 mm, previously lytic.", [("left", (19.0,))]),
        ("Bosniak I cyst of the left kidney, 37 mm; Bosniak IIF cyst of the right kidney, 16 mm.",
         [("left", (37.0,)), ("right", (16.0,))]),
    ],
)  # fmt: skip
def test_what_an_unknown_author_wrote(text: str, found: list[tuple[str, tuple[float, ...]]]) -> None:
    assert [(f.side, f.diameters_mm) for f in read_report(f"FINDINGS: {text}", "S").findings] == found


def test_dictation_without_punctuation_is_split_at_its_clauses() -> None:
    text = (
        "the lung bases show a three millimeter nodule on the right the liver demonstrates a twenty two millimeter "
        "lesion in segment eight no other liver lesion is seen the gallbladder spleen and pancreas are normal there is "
        "a 2 cm cyst in the left kidney impression left renal cyst"
    )
    report = read_report(text, "S")
    assert [(f.structure, f.diameters_mm) for f in report.findings] == [
        ("lung", (3.0,)),
        ("liver", (22.0,)),
        ("kidney", (20.0,)),
    ]
    assert set(report.clear_structures) == {"gallbladder", "spleen", "pancreas"}
