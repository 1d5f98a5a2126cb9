"""The validation score and the choice of thresholds."""

import numpy as np
import pytest

from dictamen.training.validation import THRESHOLDS, _counts, _pooled

SHAPE = (6, 6, 6)


def lesion() -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2:4, 2:4, 2:4] = True
    return mask


def scores(*studies: tuple[np.ndarray, np.ndarray | bool]) -> np.ndarray:
    everywhere = np.ones(SHAPE, dtype=bool)
    return _pooled(
        [(not isinstance(truth, bool), _counts(p, truth, zone=everywhere, voxel_mm3=10.0)) for p, truth in studies]
    )


def test_nothing_predicted_scores_nothing_and_truth_predicted_scores_one() -> None:
    empty = np.zeros(SHAPE)
    assert scores((empty, lesion()), (empty, np.zeros(SHAPE, dtype=bool))) == pytest.approx(0)
    assert scores((lesion().astype(float), lesion()), (empty, np.zeros(SHAPE, dtype=bool))) == pytest.approx(1)


def test_a_healthy_study_called_positive_costs() -> None:
    right = (lesion().astype(float), lesion())
    wrong = (lesion().astype(float), np.zeros(SHAPE, dtype=bool))
    assert scores(right, wrong) == pytest.approx(2 / 3)


def test_the_threshold_that_separates_scores_best() -> None:
    probability = np.where(lesion(), 0.75, 0.45)
    best = THRESHOLDS[int(scores((probability, lesion())).argmax())]
    assert 0.45 < best <= 0.75


def test_a_report_counts_as_found_or_not() -> None:
    found = lesion().astype(float)
    assert scores((found, True), (np.zeros(SHAPE), False)) == pytest.approx(1)
    assert scores((np.zeros(SHAPE), True)) == pytest.approx(0)


def test_what_lies_far_from_the_organ_does_not_count() -> None:
    probability, zone = np.zeros(SHAPE), np.zeros(SHAPE, dtype=bool)
    probability[4:] = 1
    zone[:3] = True
    assert set(_counts(probability, lesion(), zone=zone, voxel_mm3=10.0)) == {(0.0, 8.0)}


def test_masks_and_reports_have_one_vote_each() -> None:
    right, missed = (lesion().astype(float), lesion()), (np.zeros(SHAPE), True)
    assert scores(right, missed) == pytest.approx(0.5)


def test_nothing_there_and_nothing_painted_is_right() -> None:
    assert scores((np.zeros(SHAPE), False), (np.zeros(SHAPE), np.zeros(SHAPE, dtype=bool))) == pytest.approx(1)
