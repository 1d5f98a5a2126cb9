"""The vocabulary: complete, consistent, and found under the words of a report."""

import pytest

from dictamen.anatomy.totalsegmentator import CLASS_NAMES
from dictamen.anatomy.vocabulary import load
from dictamen.errors import InputError

VOCABULARY = load()
WHOLE_ORGANS = [
    "kidney",
    "lung",
    "adrenal_gland",
    "liver",
    "spleen",
    "pancreas",
    "gallbladder",
    "stomach",
    "duodenum",
    "small_bowel",
    "colon",
    "rectum",
    "esophagus",
    "bladder",
    "prostate",
    "uterus",
    "ovary",
    "adnexa",
    "breast",
    "thyroid_gland",
    "bone",
    "rib",
    "vertebra",
    "lymph_node",
    "pleura",
    "mediastinum",
    "peritoneum",
    "chest_wall",
    "soft_tissue",
    "brain",
    "heart",
    "aorta",
]


def test_at_least_120_structures_each_defined() -> None:
    assert len(VOCABULARY) >= 120
    assert all(structure.definition.endswith(".") for structure in VOCABULARY)


@pytest.mark.parametrize("organ", WHOLE_ORGANS)
def test_whole_organs_are_their_own_whole(organ: str) -> None:
    assert VOCABULARY.whole(organ) == (organ, None)


@pytest.mark.parametrize("name", CLASS_NAMES.values())
def test_totalsegmentator_classes_are_ids(name: str) -> None:
    assert VOCABULARY[name].id == name
    side = None if name == "atrial_appendage_left" else _side_in(name)
    assert VOCABULARY.whole(name)[1] == side


def _side_in(name: str) -> str | None:
    return next((side for side in ("left", "right") if side in name.split("_")), None)


def test_every_parent_exists_and_nothing_contains_itself() -> None:
    for structure in VOCABULARY:
        assert all(parent in VOCABULARY for parent in structure.parents)
        assert structure.id not in VOCABULARY.ancestors(structure.id)


def test_every_structure_leads_to_a_whole_organ() -> None:
    for structure in VOCABULARY:
        whole, _ = VOCABULARY.whole(structure.id)
        assert VOCABULARY[whole].whole


def test_listed_parts_of_pancreas_lung_and_liver_are_structures() -> None:
    for organ in ("pancreas", "liver", "colon", "kidney"):
        for part in VOCABULARY[organ].parts:
            assert VOCABULARY.named_part(organ, part), (organ, part)


def test_no_word_means_two_structures() -> None:
    from dictamen.anatomy.words import normalise

    owners: dict[str, set[str]] = {}
    for structure in VOCABULARY:
        for word in (structure.id, structure.name, *structure.synonyms):
            owners.setdefault(normalise(word), set()).add(structure.id)
    assert {word: ids for word, ids in owners.items() if len(ids) > 1} == {}


@pytest.mark.parametrize(
    ("term", "structure"),
    [
        ("Kidneys", "kidney"),
        ("renal", "kidney"),
        ("left kidney", "kidney_left"),
        ("kidney, left", "kidney_left"),
        ("Kidney (R)", "kidney_right"),
        ("hepatic segment VI", "liver_segment_6"),
        ("segment 4a of the liver", "liver_segment_4a"),
        ("oesophagus", "esophagus"),
        ("RUL", "lung_upper_lobe_right"),
        ("left lower lobe of the lung", "lung_lower_lobe_left"),
        ("ovaries", "ovary"),
        ("left ovaries", "ovary_left"),
        ("vertebrae", "vertebra"),
        ("vertebrae_L1", "vertebrae_L1"),
        ("L1", "vertebrae_L1"),
        ("4th left rib", "rib_left_4"),
        ("psoas muscle, right", "iliopsoas_right"),
        ("tail of the pancreas", "pancreas_tail"),
        ("upper pole of the left kidney", "kidney_upper_pole_left"),
        ("Lymph-nodes", "lymph_node"),
        ("caecum", "cecum"),
        ("colon_ascending", "ascending_colon"),
        ("eye_left", "orbit_left"),
        ("left ribs", "rib_left"),
        ("LK", "kidney_left"),
    ],
)
def test_find(term: str, structure: str) -> None:
    found = VOCABULARY.find(term)
    assert found is not None
    assert found.id == structure


@pytest.mark.parametrize("term", ["", "left", "banana", "hepatomegaly", "left liver thing"])
def test_find_nothing(term: str) -> None:
    assert VOCABULARY.find(term) is None


def test_plurals_of_all_names_are_found() -> None:
    for structure in VOCABULARY:
        if structure.name[-1] not in "s0123456789xaby" and " of " not in structure.name:
            found = VOCABULARY.find(structure.name + "s")
            assert found is not None and found.id == structure.id, structure.name


@pytest.mark.parametrize(
    ("structure", "whole"),
    [
        ("kidney_left", ("kidney", "left")),
        ("liver_segment_6", ("liver", None)),
        ("liver_segment_4a", ("liver", None)),
        ("lung_upper_lobe_left", ("lung", "left")),
        ("kidney_lower_pole_right", ("kidney", "right")),
        ("kidney_cyst_right", ("kidney", "right")),
        ("vertebrae_L1", ("vertebra", None)),
        ("rib_left_4", ("rib", "left")),
        ("femur_left", ("femur", "left")),
    ],
)
def test_whole(structure: str, whole: tuple[str, str | None]) -> None:
    assert VOCABULARY.whole(structure) == whole


def test_unknown_id_offers_near_names() -> None:
    with pytest.raises(InputError, match="kidney"):
        VOCABULARY["kidny"]


def test_codes_are_snomed_concept_ids() -> None:
    assert VOCABULARY["liver"].snomed_ct == "10200004"
    assert all(structure.snomed_ct is None or structure.snomed_ct.isdecimal() for structure in VOCABULARY)
