"""Telling left from right in one mask."""

import numpy as np
import pytest

from dictamen.anatomy.sides import Midline, find_midline, split


def test_midline_prefers_the_spine_over_the_middle_of_the_volume() -> None:
    labels = np.zeros((50, 10, 10), dtype=np.uint8)
    assert find_midline(labels, {"vertebra": [1]}) == Midline(24.5, False)
    labels[30:33] = 1
    labels[0:5] = 2
    assert find_midline(labels, {"trachea": [2], "vertebra": [1]}) == Midline(31.0, True)
    assert find_midline(labels, {"vertebra": [9], "trachea": [2]}) == Midline(2.0, True)


@pytest.mark.parametrize("side", ["left", "right"])
def test_halves_are_disjoint_and_complete(side: str) -> None:
    mask = np.random.default_rng(0).random((40, 8, 8)) > 0.9
    left = split(mask, Midline(19.5, True), side="left", spacing_x_mm=2.0)
    right = split(mask, Midline(19.5, True), side="right", spacing_x_mm=2.0)
    assert left is not None and right is not None
    assert np.array_equal(left | right, mask)
    assert not (left & right).any()


def test_one_organ_pushed_over_the_midline_stays_whole() -> None:
    mask = np.zeros((60, 4, 4), dtype=bool)
    mask[20:50] = True  # 20 mm beyond the midline, 40 mm on its own side, at 2 mm
    mask[55:60] = True
    right = split(mask, Midline(29.5, True), side="right", spacing_x_mm=2.0)
    assert right is not None and np.array_equal(right, mask)


def test_empty_mask() -> None:
    empty = split(np.zeros((4, 4, 4), dtype=bool), Midline(1.5, False), side="left", spacing_x_mm=1.0)
    assert empty is not None and not empty.any()
