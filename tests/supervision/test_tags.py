"""Tags of a report: present, absent, unknown."""

import numpy as np
import pytest

from dictamen.errors import InputError
from dictamen.reports.named_organs import named_organs
from dictamen.reports.rules import read_report
from dictamen.supervision.tags import UNMENTIONED_WEIGHT, Tag, choose_tags, state_of, tag_targets


@pytest.mark.parametrize(
    ("text", "tag", "state"),
    [
        ("The spleen is unremarkable.", "spleen", "present"),
        ("No focal lesion in the spleen.", "spleen", "present"),  # a negated finding shows the organ
        ("No focal lesion in the spleen.", "spleen/lesion", "absent"),
        ("Status post splenectomy.", "spleen", "absent"),
        ("Status post splenectomy.", "spleen/cyst", "absent"),
        ("There is a 2 cm cyst in the left kidney.", "kidney", "present"),
        ("There is a 2 cm cyst in the left kidney.", "kidney:left", "present"),
        ("There is a 2 cm cyst in the left kidney.", "kidney:left/cyst", "present"),
        ("There is a 2 cm cyst in the left kidney.", "kidney:left/large lesion", "absent"),
        ("There is a 2 cm cyst in the left kidney.", "kidney/tumour", "absent"),  # all lesions are described
        ("There is a 2 cm cyst in the left kidney.", "kidney:right/cyst", "absent"),
        ("There is a 2 cm cyst in the left kidney.", "liver", "unknown"),
        ("There is a 2 cm cyst in the left kidney.", "liver/cyst", "unknown"),
        ("There is a 4.1 cm mass in the right kidney.", "kidney/large lesion", "present"),
        ("Possible cyst in the liver.", "liver/cyst", "unknown"),
        ("Status post left nephrectomy.", "kidney:left", "absent"),
        ("Status post left nephrectomy.", "kidney:right", "present"),
        ("Status post left nephrectomy.", "kidney", "present"),
    ],
)
def test_what_a_sentence_says_of_a_tag(text: str, tag: str, state: str) -> None:
    assert state_of(Tag.parse(tag), read_report(text, "s")) == state


def test_captions_name_organs_without_findings() -> None:
    caption = "Axial CT showing the pancreas and both kidneys."
    named = named_organs(caption)
    assert named == {"pancreas", "kidney", "kidney:left", "kidney:right"}
    report = read_report(caption, "s")
    assert state_of(Tag("pancreas"), report, named) == "present"
    tags = [Tag("pancreas"), Tag("spleen")]
    strict = tag_targets(report, tags, named=named)
    caption_rule = tag_targets(report, tags, named=named, unmentioned="absent")
    np.testing.assert_array_equal(strict, [[1, 0], [1, 0]])
    np.testing.assert_array_equal(caption_rule, [[1, 0], [1, UNMENTIONED_WEIGHT]])


@pytest.mark.parametrize(
    ("caption", "sides"),
    [
        ("The image shows the left kidney and the liver.", {"left"}),
        ("The image shows the liver, the right and the left kidney.", {"left", "right"}),
        ("Right lung and kidney.", set()),  # which kidney is not said
        ("The kidney is seen.", set()),
        ("Both kidneys are seen.", {"left", "right"}),
        ("The right lung and the left kidney.", {"left"}),
    ],
)
def test_a_caption_says_which_of_two_sides_it_shows(caption: str, sides: set[str]) -> None:
    named = named_organs(caption)
    assert "kidney" in named
    assert {side for side in ("left", "right") if f"kidney:{side}" in named} == sides
    report = read_report(caption, "s")
    for side in ("left", "right"):
        state = state_of(Tag.parse(f"kidney:{side}"), report, named)
        assert state == ("present" if side in sides else "unknown")


def test_names_are_read_back_and_wrong_ones_refused() -> None:
    for name in ("kidney", "kidney:left", "kidney/cyst", "kidney:right/large lesion"):
        assert Tag.parse(name).name == name
    assert "a CT of a cyst in the left kidney" in Tag.parse("kidney:left/cyst").phrases()
    for wrong in ("kidny", "kidney:middle", "kidney/huge"):
        with pytest.raises(InputError):
            Tag.parse(wrong)


def test_tags_are_chosen_that_are_sometimes_there_and_sometimes_not() -> None:
    texts = ["Cyst of 2 cm in the liver. The spleen is normal."] * 3 + ["Liver and spleen are unremarkable."] * 3
    pairs = [(read_report(text, str(i)), named_organs(text)) for i, text in enumerate(texts)]
    names = {tag.name for tag in choose_tags(pairs, fewest=3)}
    assert "liver/cyst" in names
    assert "spleen" not in names  # always there: it teaches nothing
    assert choose_tags(pairs, fewest=4) == ()
