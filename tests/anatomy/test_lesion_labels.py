"""Names of lesion labels as people write them."""

import pytest

from dictamen.anatomy.lesion_labels import ALL_KINDS, is_lesion, parse
from dictamen.errors import InputError


@pytest.mark.parametrize(
    ("name", "structure"),
    [
        ("kidney_tumour", "kidney"),
        ("kidney tumor", "kidney"),
        ("KidneyTumor", "kidney"),
        ("liver_lesion", "liver"),
        ("Pancreas-Cyst", "pancreas"),
        ("liver_metastases", "liver"),
        ("lung nodules", "lung"),
        ("lymph_node_metastasis", "lymph_node"),
        ("soft_tissue_tumour", "soft_tissue"),
        ("renal mass", "kidney"),
        ("colon cancer primaries", "colon"),
        ("HCC", "liver"),
        ("sarcoma", "soft_tissue"),
        ("lymphadenopathy", "lymph_node"),
        ("metastasis", None),
        ("cancer", None),
        ("lesion", None),
    ],
)
def test_structure(name: str, structure: str | None) -> None:
    label = parse(name)
    assert (label.name, label.structure) == (name, structure)
    assert label.kinds


def test_kinds() -> None:
    assert parse("kidney_lesion").kinds == ALL_KINDS
    assert parse("kidney_cyst").kinds == {"cyst"}
    assert parse("kidney_tumour").kinds == ALL_KINDS - {"cyst", "benign"}
    assert "metastasis" in parse("liver_metastasis").kinds


def test_name_without_organ_takes_the_only_organ() -> None:
    assert parse("lesion", ["liver"]).structure == "liver"
    assert parse("tumour", ["kidney_left", "kidney_right"]).structure == "kidney"
    assert parse("tumour", ["kidney", "liver"]).structure is None


def test_side() -> None:
    assert parse("left kidney tumour").side == "left"


@pytest.mark.parametrize("name", ["kidney", "wibble_tumour", "", "1"])
def test_unusable_names(name: str) -> None:
    with pytest.raises(InputError):
        parse(name)


def test_organs_are_no_lesions() -> None:
    assert is_lesion("kidney_tumor")
    assert not is_lesion("kidney")
    assert not is_lesion("kidney_cyst_left")  # TotalSegmentator's class, a structure of the label map
