"""The choice of thresholds on validation studies."""

import numpy as np
import pytest

from dictamen.training.operating_point import THRESHOLDS, OperatingPoint, best, count, scores

SHAPE = (9, 9, 9)


def blob(start: int = 2, side: int = 2) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[start : start + side, start : start + side, start : start + side] = True
    return mask


NOTHING = np.zeros(SHAPE, dtype=bool)


def table(*studies: tuple[np.ndarray, np.ndarray | bool], zone: np.ndarray | None = None) -> np.ndarray:
    everywhere = np.ones(SHAPE, dtype=bool) if zone is None else zone
    return scores([count(p.astype(float), truth, zone=everywhere, voxel_mm3=10.0) for p, truth in studies])


def test_nothing_predicted_scores_nothing_and_truth_predicted_scores_one() -> None:
    assert table((NOTHING, blob()), (NOTHING, NOTHING)) == pytest.approx(0)
    assert table((blob(), blob()), (NOTHING, NOTHING)) == pytest.approx(1)


def test_a_healthy_study_called_positive_costs_f1_alone() -> None:
    dice, f1 = 1.0, 2 / 3
    assert table((blob(), blob()), (blob(), NOTHING)) == pytest.approx((dice + f1) / 2)


def test_the_lesion_threshold_removes_crumbs_and_the_voxel_threshold_keeps_the_border() -> None:
    true = blob(side=4)
    probability = 0.35 * true + 0.5 * blob(start=3) + 0.45 * blob(start=7)  # a faint border, a sure core, a crumb
    point, score = best(table((probability, true)))
    assert score == pytest.approx(1)
    assert point.voxel <= 0.3
    assert 0.45 < point.lesion <= 0.85


def test_one_threshold_would_do_worse_there() -> None:
    true = blob(side=4)
    found = table((0.35 * true + 0.5 * blob(start=3) + 0.45 * blob(start=7), true))
    assert np.diag(found).max() < found.max()


def test_a_report_counts_as_called_or_not() -> None:
    assert table((blob(), True), (NOTHING, False)) == pytest.approx(1)
    assert table((NOTHING, True)) == pytest.approx(0)


def test_what_lies_far_from_the_organ_does_not_count() -> None:
    zone = np.zeros(SHAPE, dtype=bool)
    zone[:2] = True
    assert table((blob(start=6), blob()), zone=zone) == pytest.approx(0)


def test_nothing_there_and_nothing_painted_is_right() -> None:
    assert table((NOTHING, False), (NOTHING, NOTHING)) == pytest.approx(1)


def test_of_equal_scores_the_middle_one_is_chosen() -> None:
    assert best(np.ones((len(THRESHOLDS), len(THRESHOLDS))))[0] == OperatingPoint(0.5, 0.5)


def test_a_lesion_threshold_never_lies_below_the_voxel_threshold() -> None:
    found = np.zeros((len(THRESHOLDS), len(THRESHOLDS)))
    found[6, 2] = 1
    assert best(found)[0] == OperatingPoint(THRESHOLDS[6], THRESHOLDS[6])
