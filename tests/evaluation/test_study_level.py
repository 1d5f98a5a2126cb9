import math

import numpy as np
import pytest

from dictamen.errors import InputError
from dictamen.evaluation.study_level import auc, confusion, roc_curve, study_metrics

TRUTH = [True, True, True, False, False, False, False]
CALLED = [True, True, False, True, False, False, False]
SCORE = [0.9, 0.8, 0.1, 0.8, 0.2, 0.1, 0.0]
PATIENTS = list("ABCDEFG")


def test_confusion() -> None:
    counts = confusion(TRUTH, CALLED)
    assert (counts.true_positives, counts.false_negatives, counts.true_negatives, counts.false_positives) == (
        2,
        1,
        3,
        1,
    )
    assert (counts.sensitivity, counts.specificity, counts.ppv, counts.npv) == (2 / 3, 3 / 4, 2 / 3, 3 / 4)
    assert counts.f1 == pytest.approx(2 / 3)
    assert math.isnan(confusion([True], [True]).specificity)
    with pytest.raises(InputError, match="one value a study"):
        confusion([True], [True, False])


def test_auc_counts_ties_half() -> None:
    # .9 beats 4; .8 beats 3 and ties 1; .1 beats 1 and ties 1
    assert auc(TRUTH, SCORE) == pytest.approx((4 + 3.5 + 1.5) / 12)
    assert math.isnan(auc([True, True], [1, 2])) and math.isnan(auc([], []))


def test_auc_is_the_area_under_the_curve() -> None:
    rng = np.random.default_rng(0)
    truth, score = rng.random(50) < 0.4, rng.integers(0, 8, 50)
    x, y, _ = roc_curve(truth, score)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(y, x) == pytest.approx(auc(truth, score))


def test_metrics_with_intervals_and_negatives_split() -> None:
    healthy = [0, 0, math.nan, 1, 1, 0, 0]
    result = study_metrics(TRUTH, CALLED, PATIENTS, score=SCORE, healthy=healthy, resamples=200)
    assert result["sensitivity"].value == pytest.approx(2 / 3) and result["sensitivity"].n == 3
    assert result["specificity_healthy"].value == 0.5
    assert result["specificity_disease_elsewhere"].value == 1.0
    assert result["auc"].value == pytest.approx(auc(TRUTH, SCORE))
    assert result["sensitivity"].lo <= 2 / 3 <= result["sensitivity"].hi


def test_studies_without_score_are_left_out_of_the_auc_only() -> None:
    result = study_metrics(
        [True, False, False], [True, False, True], list("ABC"), score=[1.0, 0.0, math.nan], resamples=50
    )
    assert result["auc"].n == 2 and result["auc"].value == 1.0
    assert result["specificity"].value == 0.5
