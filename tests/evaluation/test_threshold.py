import math

import numpy as np
import pytest

from dictamen.errors import InputError, UsageError
from dictamen.evaluation.overlap import dice
from dictamen.evaluation.study_level import confusion
from dictamen.evaluation.threshold import GRID, dice_at, study_threshold, voxel_threshold


@pytest.mark.parametrize("criterion", ["youden", "f1"])
def test_study_threshold_is_the_best_of_all(criterion: str) -> None:
    rng = np.random.default_rng(4)
    truth = rng.random(60) < 0.3
    score = rng.normal(size=60) + truth
    chosen = study_threshold(truth, score, criterion=criterion)  # type: ignore[arg-type]

    def quality(threshold: float) -> float:
        counts = confusion(truth, score >= threshold)
        return counts.f1 if criterion == "f1" else counts.sensitivity + counts.specificity - 1

    assert quality(chosen.value) == pytest.approx(chosen.achieved)
    assert chosen.achieved == pytest.approx(max(quality(t) for t in score))


def test_study_threshold_lies_between_the_groups() -> None:
    assert study_threshold([True, False, False, True], [0.8, 0.2, 0.4, 0.9]).value == pytest.approx(0.6)


def test_study_threshold_needs_both_groups() -> None:
    for truth in ([True, True], [False, False], []):
        with pytest.raises(InputError, match="positive and negative"):
            study_threshold(truth, [0.1, 0.2][: len(truth)])
    with pytest.raises(UsageError, match="criterion"):
        study_threshold([True, False], [1, 0], criterion="best")  # type: ignore[arg-type]


def test_dice_at_each_threshold_against_masks() -> None:
    rng = np.random.default_rng(0)
    truth, probability = rng.random((5, 6, 7)) < 0.3, rng.random((5, 6, 7))
    expected = [dice(truth, probability >= t) for t in GRID]
    assert dice_at(truth, probability) == pytest.approx(expected)
    assert np.isnan(dice_at(np.zeros((2, 2, 2), bool), np.zeros((2, 2, 2)))).all()


def test_voxel_threshold_takes_the_middle_of_the_plateau() -> None:
    dices = [[0.1, 0.6, 0.6, 0.6, 0.2], [math.nan] * 5]
    chosen = voxel_threshold(dices, (0.1, 0.2, 0.3, 0.4, 0.5))
    assert (chosen.value, chosen.achieved) == (0.3, 0.6)
    nothing = voxel_threshold([[math.nan] * 5], (0.1, 0.2, 0.3, 0.4, 0.5))
    assert nothing.value == 0.5 and math.isnan(nothing.achieved)
