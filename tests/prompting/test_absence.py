"""What is known to be absent, and views that end before something."""

import numpy as np
import pytest

from dictamen.prompting import absence
from dictamen.reports.rules import read_report

LABELS = ("kidney_lesion", "liver_tumour", "kidney_left", "kidney_right", "kidney", "gallbladder", "spleen", "aorta")
VIEW = np.array([[0, 0, 0], [20, 20, 20]])


def box(low: int, high: int) -> np.ndarray:
    return np.array([[low] * 3, [high] * 3])


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("FINDINGS: Status post cholecystectomy.", {"gallbladder"}),
        ("FINDINGS: Status post left nephrectomy.", {"kidney_left"}),
        ("FINDINGS: The liver is normal. No focal lesion in the liver.", {"liver_tumour"}),
        ("FINDINGS: The spleen is normal. There is a 2 cm cyst in the left kidney.", set()),
        ("FINDINGS: There is a 3 cm mass in the liver.", set()),
    ],
    ids=["removed", "one side removed", "free of lesions", "normal is there", "a lesion is told"],
)
def test_what_a_report_says_is_not_there(text: str, denied: set[str]) -> None:
    assert absence.denied(LABELS, read_report(text, study_id="a")) == denied


def test_a_lesion_is_not_where_its_organ_is_not_near() -> None:
    spacing = (5.0, 5.0, 5.0)  # near: 4 voxels
    drawn = {"kidney_left", "kidney_right", "kidney"}
    for boxes, absent in (({}, True), ({"kidney": box(25, 30)}, True), ({"kidney": box(23, 30)}, False)):
        assert absence.not_there("kidney_lesion", boxes, drawn, VIEW, spacing) is absent
    assert not absence.not_there("liver_tumour", {}, drawn, VIEW, spacing)  # nobody drew livers
    assert not absence.not_there("kidney_left", {}, {"kidney_left"}, VIEW, spacing)  # its own map tells


def test_a_cut_view_ends_above_or_below_one_of_the_boxes() -> None:
    rng, seen = np.random.default_rng(0), set()
    boxes = [np.array([[2, 2, 10], [6, 6, 14]]), np.array([[9, 9, 0], [12, 12, 20]]), box(30, 35)]
    for _ in range(50):
        cut = absence.cut_view(boxes, VIEW, rng)
        assert (cut[:, :2] == VIEW[:, :2]).all()
        seen.add((int(cut[0, 2]), int(cut[1, 2])))
    assert seen == {(0, 10)}  # above the first box less than a third is left; the second fills the length
    assert (absence.cut_view(boxes[1:], VIEW, rng) == VIEW).all()


def test_the_view_in_a_patch() -> None:
    view = absence.view_of((-2, 3, 0), (8, 8, 8), (10, 10, 6))
    inside = absence.inside(view, (-2, 3, 0), (8, 8, 8))
    assert inside[2:, :7, :6].all() and inside.sum() == 6 * 7 * 6
    assert absence.within(view, (-2, 3, 0), 2) == (slice(4, 6), slice(2, 5), slice(2, 4))
