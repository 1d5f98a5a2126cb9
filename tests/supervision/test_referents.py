"""Findings as prompts: which words mean them, and which lesion of a mask they are."""

import numpy as np

from dictamen.anatomy import lesion_labels
from dictamen.reports.rules import read_report
from dictamen.supervision.referents import Component, Referent, mask_components, referents
from dictamen.supervision.region_geometry import Dilation

SPACING = 4.0
AFFINE = np.diag([SPACING, SPACING, SPACING, 1.0])
NAMES = {1: "kidney_left", 2: "kidney_right"}
KIDNEY_LESION = {1: lesion_labels.parse("kidney_lesion")}


def organs() -> np.ndarray:
    found = np.zeros((36, 20, 30), np.uint8)
    found[3:13, 5:15, 3:27], found[23:33, 5:15, 3:27] = 1, 2
    return found


def lesions(*cubes: tuple[int, int, int, int]) -> list[Component]:
    """Cubes: first voxel along x, y, z, and side."""
    found = np.zeros((36, 20, 30), np.uint8)
    for x, y, z, side in cubes:
        found[x : x + side, y : y + side, z : z + side] = 1
    return mask_components(found, KIDNEY_LESION, (SPACING,) * 3)


def asked(text: str, components: list[Component]) -> list[Referent]:
    report = read_report(text, study_id="a")
    return referents(report, text, organs(), NAMES, AFFINE, components, Dilation())


def test_each_side_has_its_lesion() -> None:
    text = "FINDINGS: 20 mm cyst in the left kidney. There is a 24 mm cyst in the right kidney."
    one, two = asked(text, lesions((5, 7, 10, 5), (25, 7, 10, 6)))
    assert one.lesion is not None and two.lesion is not None
    assert one.lesion.box[0].tolist() == [5, 7, 10] and two.lesion.box[0].tolist() == [25, 7, 10]
    assert any("left kidney" in words for words in one.texts)
    assert not set(one.texts) & set(two.texts)
    assert "There is a 24 mm cyst in the right kidney." in two.texts


def test_sizes_tell_two_lesions_of_one_kidney_apart() -> None:
    text = "FINDINGS: There are two cysts. A 36 mm cyst in the left kidney. A 12 mm cyst in the left kidney."
    found = asked(text, lesions((4, 7, 5, 7), (5, 7, 20, 2)))
    sizes = sorted(one.lesion.voxels for one in found if one.lesion is not None)
    assert sizes == [8, 343]
    assert any("larger" in words for one in found for words in one.texts)


def test_two_findings_that_one_lesion_fits_are_not_guessed() -> None:
    text = "FINDINGS: 20 mm cyst in the left kidney. 22 mm hypodense cyst in the left kidney."
    assert all(one.lesion is None and one.regions is not None for one in asked(text, lesions((5, 7, 10, 4))))


def test_without_masks_a_finding_has_its_region() -> None:
    (one,) = asked("FINDINGS: 20 mm cyst in the left kidney.", [])
    assert one.lesion is None and one.regions is not None and one.box is not None
    assert one.box[1, 0] < 23  # not the right kidney


def test_what_is_not_there_is_not_asked_for() -> None:
    assert not asked("FINDINGS: No cyst in the left kidney. The cyst in the right kidney has resolved.", [])


def test_components_of_a_map() -> None:
    found = lesions((4, 7, 5, 4), (5, 7, 20, 2))
    assert [int(one.mask.sum()) for one in found] == [64, 8]
    assert found[0].diameter_mm > found[1].diameter_mm > SPACING
