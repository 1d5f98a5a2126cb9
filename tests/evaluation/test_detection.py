import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from dictamen.errors import UsageError
from dictamen.evaluation.detection import (
    components,
    detect,
    froc,
    longest_axial_diameter,
    match,
    pairwise_iou,
    stratum,
    stratum_names,
)

SPACING = (1.0, 1.0, 1.0)


def boxes(*slices: tuple[slice, slice, slice]) -> np.ndarray:
    mask = np.zeros((30, 20, 20), bool)
    for s in slices:
        mask[s] = True
    return mask


def cube(x: int, size: int = 4) -> tuple[slice, slice, slice]:
    return slice(x, x + size), slice(2, 2 + size), slice(2, 2 + size)


def test_found_missed_and_invented() -> None:
    truth = boxes(cube(1), cube(8), cube(20))
    prediction = boxes(cube(2), cube(14, 2))  # 3/5 of the first; one that is nowhere near
    found = detect(truth, prediction, spacing_mm=SPACING)
    assert (found.true_positives, found.false_negatives, found.false_positives, found.count_error) == (1, 2, 1, -1)
    assert found.truths[0].iou == pytest.approx(3 / 5)
    assert (found.sensitivity, found.precision, found.f1) == (pytest.approx(1 / 3), 0.5, pytest.approx(2 / 5))


def test_threshold_and_any_overlap() -> None:
    truth, prediction = boxes(cube(1, 8)), boxes(cube(1, 2))  # IoU 8/512
    assert detect(truth, prediction, spacing_mm=SPACING).true_positives == 0
    assert detect(truth, prediction, spacing_mm=SPACING, criterion="any").true_positives == 1
    assert detect(truth, prediction, spacing_mm=SPACING, iou_at_least=0.015).true_positives == 1


def test_a_split_lesion_is_found_once_and_its_fragment_is_counted() -> None:
    truth = boxes(cube(1, 9))
    prediction = truth.copy()
    prediction[5] = False
    found = detect(truth, prediction, spacing_mm=SPACING)
    assert (found.true_positives, found.false_positives, found.fragments) == (1, 1, 1)


def test_one_prediction_over_two_lesions_finds_one() -> None:
    truth, prediction = boxes(cube(1), cube(8)), boxes((slice(1, 12), slice(2, 6), slice(2, 6)))
    assert detect(truth, prediction, spacing_mm=SPACING).true_positives == 1


def test_empty() -> None:
    none, some = boxes(), boxes(cube(1))
    nothing = detect(none, none, spacing_mm=SPACING)
    assert all(math.isnan(v) for v in (nothing.sensitivity, nothing.precision, nothing.f1))
    assert detect(none, some, spacing_mm=SPACING).false_positives == 1
    assert detect(some, none, spacing_mm=SPACING).f1 == 0


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(UsageError, match="match lesions"):
        detect(boxes(), boxes(), spacing_mm=SPACING, iou_at_least=0)


@settings(max_examples=40, deadline=None)
@given(
    arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.sampled_from([0.0, 0.05, 0.2, 0.5, 0.9]))
)
def test_matching_against_all_assignments(overlaps: np.ndarray) -> None:
    pairs = match(overlaps, at_least=0.1)
    rows, columns = overlaps.shape
    best = (0, 0.0)
    for chosen in itertools.product([None, *range(columns)], repeat=rows):
        used = [c for c in chosen if c is not None]
        values = [overlaps[r, c] for r, c in enumerate(chosen) if c is not None]
        if len(set(used)) == len(used) and all(v >= 0.1 for v in values):
            best = max(best, (len(values), sum(values)))
    assert len({t for t, _ in pairs}) == len({p for _, p in pairs}) == len(pairs) == best[0]
    assert sum(overlaps[t, p] for t, p in pairs) == pytest.approx(best[1])


def test_pairwise_iou_against_masks() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (2, 6, 6, 6))
    table = pairwise_iou(a, b, 3, 3)
    for i, j in itertools.product(range(3), range(3)):
        t, p = a == i + 1, b == j + 1
        assert table[i, j] == pytest.approx((t & p).sum() / (t | p).sum())


def test_components_touch_by_corners() -> None:
    mask = np.zeros((4, 4, 4), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[3, 3, 3] = True
    labels, number = components(mask)
    assert number == 2 and labels[0, 0, 0] == labels[1, 1, 1] != labels[3, 3, 3]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 5.0), (2.0, 1.0, 1.0)])
def test_diameter_against_all_pairs_of_voxels(spacing: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(3)
    mask = ndimage.gaussian_filter(rng.random((14, 12, 6)), 1.5) > 0.52
    best = 0.0
    for z in range(mask.shape[2]):
        points = np.argwhere(mask[:, :, z]) * spacing[:2]
        best = max([best, *(float(np.linalg.norm(a - b)) for a in points for b in points)])
    # from voxel edge to voxel edge, not from centre to centre: between half a voxel and one voxel more
    assert best < longest_axial_diameter(mask, spacing) <= best + max(spacing[:2]) * 1.001


def test_diameter_of_a_ball_and_of_nothing() -> None:
    grid = np.indices((41, 41, 41)) - 20
    ball = (grid**2).sum(axis=0) <= 15**2
    assert longest_axial_diameter(ball, (1.0, 1.0, 1.0)) == pytest.approx(31)
    assert longest_axial_diameter(np.zeros((3, 3, 3), bool), (1.0, 1.0, 1.0)) == 0


def test_strata_include_their_upper_border() -> None:
    assert stratum_names() == ["<= 10 mm", "10-20 mm", "> 20 mm"]
    assert [stratum(d) for d in (3, 10, 10.1, 20, 20.1)] == ["<= 10 mm"] + ["<= 10 mm"] + ["10-20 mm"] * 2 + ["> 20 mm"]


def test_froc_walks_down_the_scores() -> None:
    truth, prediction = boxes(cube(1), cube(20)), boxes(cube(1), cube(9), cube(20))
    probability = np.zeros(truth.shape)
    for x, value in ((1, 0.9), (9, 0.7), (20, 0.5)):
        probability[cube(x)] = value
    found = detect(truth, prediction, spacing_mm=SPACING, probability=probability)
    assert froc([found], [0.95, 0.8, 0.6, 0.4]) == [(0, 0), (0, 0.5), (1, 0.5), (1, 1)]
