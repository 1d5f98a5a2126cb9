"""What prompts mean: names, typing errors, other concepts, sentences; and what anatomy forbids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dictamen.anatomy import asking
from dictamen.errors import InputError

LABELS = ("kidney_tumour", "liver_lesion", "kidney_left", "kidney_right", "kidney", "liver", "spleen", "vertebrae_L1")


@pytest.mark.parametrize(
    ("prompt", "label"),
    [
        ("left kidney", "kidney_left"),
        ("Kidney (L)", "kidney_left"),
        ("kidney_left", "kidney_left"),
        ("LK", "kidney_left"),
        ("  LEFT   KIDNEY. ", "kidney_left"),
        ("left kidny", "kidney_left"),
        ("kidneys", "kidney"),
        ("hepar", "liver"),
        ("livr", "liver"),
        ("spleens", "spleen"),
        ("L1", "vertebrae_L1"),
        ("renal mass", "kidney_tumour"),
        ("kidney tumor", "kidney_tumour"),
        ("tumour of the kidney", "kidney_tumour"),
        ("hepatic lesion", "liver_lesion"),
        ("liver nodules", "liver_lesion"),
    ],
)
def test_every_name_of_a_label_leads_to_it(prompt: str, label: str) -> None:
    asked = asking.understand(prompt, LABELS)
    assert asked.label == label
    assert asked.text == asking.texts(label)[0]


@pytest.mark.parametrize("prompt", ["L2", "right kidny tumour of unclear kind", "pancreas", "left ureter"])
def test_what_is_no_label_is_never_taken_for_one(prompt: str) -> None:
    asked = asking.understand(prompt, LABELS)
    assert asked.label is None
    assert asked.nearest and all(0 <= near.score <= 1 for near in asked.nearest)


def test_a_sentence_is_asked_as_it_is_and_its_organs_are_near() -> None:
    asked = asking.understand("Hypodense lesion in the upper pole of the LEFT kidney.", LABELS)
    assert (asked.how, asked.label) == ("text", None)
    assert asked.text == "hypodense lesion in the upper pole of the left kidney"
    assert "left kidney" in [near.name for near in asked.nearest]


def test_a_misspelt_name_never_changes_the_side() -> None:
    assert asking.understand("rigth kidney", ("kidney_left", "kidney_right")).label != "kidney_left"
    assert asking.understand("left kidney", ("kidney_right",)).label is None


@pytest.mark.parametrize("prompt", ["", "  ", "?!", "__"])
def test_a_prompt_without_a_word_is_refused(prompt: str) -> None:
    with pytest.raises(InputError, match="no word"):
        asking.understand(prompt, LABELS)


@given(st.text(max_size=60))
def test_any_text_has_one_normal_form(text: str) -> None:
    once = asking.normal(text)
    assert asking.normal(once) == once
    if any(letter.isalnum() for letter in once):
        assert asking.understand(text, LABELS).text


@given(st.sampled_from(["left kidney", "lesion in the right lung, left of the hilum", "liver", "rightmost"]))
def test_mirroring_twice_is_nothing(text: str) -> None:
    assert asking.mirrored(asking.mirrored(text)) == text


def test_mirrored_labels() -> None:
    assert asking.mirror_label("kidney_left") == "kidney_right"
    assert asking.mirror_label("liver") == "liver"


@pytest.mark.parametrize(
    ("part", "whole", "below"),
    [
        ("kidney_left", "kidney", True),
        ("kidney", "kidney_left", False),
        ("kidney_tumour", "kidney", True),
        ("kidney_tumour", "kidney_left", False),
        ("kidney_cyst", "liver", False),
        ("liver_segment_6", "liver", True),
        ("liver", "liver", False),
    ],
)
def test_what_lies_within_what(part: str, whole: str, below: bool) -> None:
    assert asking.is_below(part, whole) is below


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("kidney_left", "kidney_right", True),
        ("liver", "spleen", True),
        ("kidney_tumour", "liver", True),
        ("kidney_tumour", "kidney_left", False),
        ("kidney", "kidney_left", False),
        ("portal_vein_and_splenic_vein", "liver", False),
        ("lymph_node", "liver", False),
    ],
)
def test_what_anatomy_keeps_apart(one: str, other: str, apart: bool) -> None:
    assert asking.are_disjoint(one, other) is apart
    assert asking.are_disjoint(other, one) is apart


@pytest.mark.parametrize(
    ("prompt", "label"),
    [("Bladder", "urinary_bladder"), ("urinary bladder", "bladder"), ("caudate lobe", "liver_segment_1")],
)
def test_what_reports_and_label_maps_name_otherwise_is_one_label(prompt: str, label: str) -> None:
    assert asking.understand(prompt, ("liver", label)).label == label


@pytest.mark.parametrize(
    "prompt",
    [
        "left-sided kidney",
        "Left sided kidney",
        "the kidney on the left",
        "kidney on the patient's left side",
        "ren sinister",
        "kidney, L",
        "left-hand side kidney",
    ],
)
def test_a_side_may_be_said_in_many_ways(prompt: str) -> None:
    assert asking.understand(prompt, ("kidney_right", "kidney_left")).label == "kidney_left"
