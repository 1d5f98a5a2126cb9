import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dictamen.errors import InputError
from dictamen.evaluation.overlap import bounding_box, dice, iou, overlap

masks = arrays(bool, (3, 4, 2))


@given(masks, masks)
def test_agrees_with_sets_of_voxels(truth: np.ndarray, prediction: np.ndarray) -> None:
    t, p = ({tuple(v) for v in np.argwhere(m)} for m in (truth, prediction))
    result = overlap(truth, prediction, spacing_mm=(2.0, 1.0, 3.0))
    if t | p:
        assert result.dice == pytest.approx(2 * len(t & p) / (len(t) + len(p)))
        assert result.iou == pytest.approx(len(t & p) / len(t | p))
    else:
        assert math.isnan(result.dice) and math.isnan(result.iou)
    assert result.false_positive_mm3 == 6.0 * len(p - t)
    assert result.truth_mm3 == 6.0 * len(t)


def test_empty_masks() -> None:
    none, some = np.zeros((2, 2, 2), bool), np.ones((2, 2, 2), bool)
    assert math.isnan(dice(none, none)) and math.isnan(iou(none, none))
    assert dice(none, some) == dice(some, none) == iou(none, some) == 0
    assert math.isnan(overlap(none, some).volume_difference)
    assert overlap(some, none).volume_difference == -1


def test_other_shapes_and_types_are_refused() -> None:
    with pytest.raises(InputError, match="same shape"):
        dice(np.zeros((2, 2, 2), bool), np.zeros((2, 2, 3), bool))
    with pytest.raises(InputError, match="boolean"):
        dice(np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 2), bool))


@given(masks, masks, st.integers(0, 2))
def test_bounding_box_holds_every_voxel_and_no_empty_face(a: np.ndarray, b: np.ndarray, margin: int) -> None:
    box = bounding_box(a, b, margin=margin)
    if box is None:
        assert not (a | b).any()
        return
    assert (a | b)[box].sum() == (a | b).sum()
    tight = (a | b)[bounding_box(a, b)]
    assert all(tight.any(axis=tuple(k for k in range(3) if k != axis))[[0, -1]].all() for axis in range(3))
