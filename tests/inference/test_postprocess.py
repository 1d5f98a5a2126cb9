import sys

import numpy as np
import pytest

from dictamen.inference import postprocess
from dictamen.inference.postprocess import Layer, combine, components, empty_labels, lesion_components, near, organ_zone


def blobs(*boxes: tuple[slice, slice, slice]) -> np.ndarray:
    mask = np.zeros((30, 20, 10), dtype=bool)
    for box in boxes:
        mask[box] = True
    return mask


SMALL = (slice(1, 3), slice(1, 3), slice(1, 3))
LARGE = (slice(10, 16), slice(5, 10), slice(2, 8))
CORNER = (slice(3, 4), slice(3, 4), slice(3, 4))
"""Touches SMALL at one corner."""


@pytest.mark.parametrize("without_cc3d", [False, True])
def test_components_join_at_corners(without_cc3d: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if without_cc3d:
        monkeypatch.setattr(postprocess, "find_spec", lambda name: None)
        monkeypatch.setitem(sys.modules, "cc3d", None)
    labelled, count = components(blobs(SMALL, LARGE, CORNER))
    assert count == 2
    assert labelled[2, 2, 2] == labelled[3, 3, 3] != labelled[12, 6, 4]
    assert not labelled[~blobs(SMALL, LARGE, CORNER)].any()


def test_largest_lesion_first_and_small_ones_dropped() -> None:
    labelled, count = lesion_components(blobs(SMALL, LARGE), voxel_mm3=2.0, smallest_mm3=16.0)
    assert count == 2
    assert (labelled[LARGE] == 1).all()
    assert (labelled[SMALL] == 2).all()
    labelled, count = lesion_components(blobs(SMALL, LARGE), voxel_mm3=2.0, smallest_mm3=16.1)
    assert count == 1
    assert not labelled[SMALL].any()


def test_no_lesion() -> None:
    labelled, count = lesion_components(blobs(), voxel_mm3=1.0)
    assert count == 0
    assert not labelled.any()


def test_a_growth_that_touches_the_zone_stays_whole() -> None:
    zone = blobs((slice(8, 11), slice(0, 20), slice(0, 10)))
    assert np.array_equal(near(blobs(SMALL, LARGE), zone), blobs(LARGE))


def test_zone_is_measured_in_millimetres() -> None:
    organ = blobs((slice(10, 11), slice(10, 11), slice(5, 6)))
    zone = organ_zone(organ, (1.0, 1.0, 5.0), margin_mm=4.0)
    assert zone[14, 10, 5]
    assert not zone[15, 10, 5]
    assert not zone[10, 10, 6]


def test_without_organ_everything_is_near() -> None:
    assert organ_zone(blobs(), (1.0, 1.0, 1.0)).all()


def test_the_more_probable_label_wins_and_lesions_lie_over_organs() -> None:
    mask = np.ones((1, 1, 3), dtype=bool)
    first, second = np.full(mask.shape, 0.6), np.array([[[0.5, 0.6, 0.9]]])
    organs = combine(empty_labels(mask.shape, 9), [Layer(1, mask, first), Layer(2, mask, second)])
    assert organs.tolist() == [[[1, 1, 2]]]
    lesion = np.array([[[True, False, False]]])
    over = Layer(7, lesion, np.full(mask.shape, 0.1))
    assert combine(organs.copy(), [over]).tolist() == [[[7, 1, 2]]]
    part = Layer(9, mask[..., 1:], second[..., 1:], (slice(0, 1), slice(0, 1), slice(1, 3)))
    assert combine(organs.copy(), [over, part]).tolist() == [[[7, 9, 9]]]
