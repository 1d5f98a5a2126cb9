"""Part names: many ways to say them, one plain name."""

import pytest

from dictamen.anatomy.parts import canonical_part
from dictamen.anatomy.vocabulary import load
from dictamen.errors import InputError


@pytest.mark.parametrize(
    ("text", "structure", "part"),
    [
        ("superior pole", "kidney_left", "upper pole"),
        ("Interpolar region", "kidney", "mid pole"),
        ("mid", "kidney", "mid pole"),
        ("lateral lower pole", "kidney", "lower pole"),
        ("segment VI", "liver", "segment 6"),
        ("VIII", "liver", "segment 8"),
        ("Seg. IVa", "liver", "segment 4a"),
        ("segment 4 b", "liver", "segment 4b"),
        ("segment 4", "liver", "segment 4"),
        ("right hepatic lobe", "liver", "right lobe"),
        ("caudate", "liver", "caudate lobe"),
        ("dome", "liver", "dome"),
        ("left lower lobe", "lung", "lower lobe"),
        ("superior segment of the right lower lobe", "lung", "lower lobe"),
        ("superior segment", "lung", "lower lobe"),
        ("RML", "lung", "middle lobe"),
        ("middle lobe", "lung", "middle lobe"),
        ("lingular segment", "lung", "lingula"),
        ("apical", "lung", "apex"),
        ("right lung base", "lung", "base"),
        ("uncinate", "pancreas", "uncinate process"),
        ("pancreatic tail", "pancreas", "tail"),
        ("distal", "esophagus", "lower third"),
        ("sigmoid", "colon", "sigmoid colon"),
        ("L1", "vertebra", "L1"),
        ("l2 vertebral body", "bone", "L2"),
        ("4th", "rib", "rib 4"),
        ("left", "thyroid_gland", "left lobe"),
        ("Weird  Corner", "colon", "weird corner"),
    ],
)
def test_canonical_part(text: str, structure: str, part: str) -> None:
    assert canonical_part(text, structure) == part


def test_mid_lung_is_not_the_middle_lobe() -> None:
    assert canonical_part("mid left lung", "lung") != "middle lobe"


def test_plain_names_stay_as_they_are() -> None:
    for structure in load():
        for part in structure.parts:
            assert canonical_part(part, structure.id) == part


def test_unknown_structure() -> None:
    with pytest.raises(InputError):
        canonical_part("upper pole", "kidny")
