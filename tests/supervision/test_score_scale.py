"""What scores mean: the identity between Dice and the fraction to change, bins, calibration, simulated raters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dictamen.errors import InputError, UsageError
from dictamen.supervision.region_errors import RegionError, region_errors
from dictamen.supervision.score_scale import CUTS, ScoreScale, calibrated, fraction_to_add, fraction_to_remove
from dictamen.supervision.simulated_raters import SimulatedRater


def counted_dice(first: set[int], second: set[int]) -> float:
    return 2 * len(first & second) / (len(first) + len(second))


@given(st.integers(1, 200), st.integers(0, 200))
def test_fractions_against_counting(size: int, changed: int) -> None:
    mask = set(range(size))
    smaller = set(range(min(changed, size), size))
    if smaller:
        assert fraction_to_remove(counted_dice(mask, smaller)) * size == pytest.approx(size - len(smaller))
    larger = set(range(size + changed))
    assert fraction_to_add(counted_dice(mask, larger)) * size == pytest.approx(changed)


def test_fractions_at_the_ends() -> None:
    assert fraction_to_remove(1) == fraction_to_add(1) == 0
    assert fraction_to_remove(0) == 1 and fraction_to_add(0) == float("inf")


def test_scores_are_bins_of_dice_and_targets_lie_inside() -> None:
    scale = ScoreScale()
    assert [scale.score_of(d) for d in (0, 0.69, 0.70, 0.86, 0.93, 0.97, 1)] == [1, 1, 2, 3, 4, 5, 5]
    for score in range(1, 6):
        lo, hi = scale.bounds(score)
        assert lo < scale.target(score) < hi and scale.target(score) == pytest.approx((lo + hi) / 2)
        assert scale.score_of(scale.target(score)) == score


def test_calibration_takes_the_mean_where_there_is_enough_gold() -> None:
    scores = [3] * 6 + [1] * 2
    scale = calibrated(scores, [0.9, 0.9, 0.9, 0.91, 0.91, 0.91, 0.1, 0.1])
    assert scale.target(3) == pytest.approx(0.905)
    assert scale.target(1) == ScoreScale().target(1)
    turned = calibrated([2] * 5 + [3] * 5, [0.9] * 5 + [0.8] * 5)
    assert turned.target(2) == turned.target(3) == pytest.approx(0.9)
    with pytest.raises(InputError, match="Each gold region"):
        calibrated([1, 2], [0.5])


@pytest.mark.parametrize("cuts", [(0.9, 0.8, 0.95, 0.97), (0.0, 0.8, 0.9, 0.97), (0.7, 0.7, 0.9, 1.0)])
def test_wrong_cuts_are_refused(cuts: tuple[float, float, float, float]) -> None:
    with pytest.raises(InputError):
        ScoreScale(cuts=cuts)


def test_region_errors_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    mask, right = rng.random((2, 8, 9, 7)) < 0.5
    regions = rng.integers(0, 4, mask.shape).astype(np.uint8)
    mask[regions == 3] = right[regions == 3] = False
    mask[regions == 1] |= right[regions == 1]
    found = region_errors(mask, right, regions)
    assert [entry.region for entry in found] == [1, 2, 3]
    for entry in found[:2]:
        voxels = [(m, r) for m, r, k in zip(mask.flat, right.flat, regions.flat, strict=True) if k == entry.region]
        both = sum(m and r for m, r in voxels)
        assert entry.dice == pytest.approx(2 * both / sum(int(m) + int(r) for m, r in voxels))
    assert [entry.direction for entry in found] == ["over", "mixed", "none"]
    assert found[2].dice == 1
    assert region_errors(right & mask, right, regions)[1].direction == "under"


def test_a_simulated_rater_errs_as_often_as_told() -> None:
    errors = [RegionError(k, 0.88, "over") for k in range(4000)]
    assert SimulatedRater().rate(errors[:3]) == [(3, "over")] * 3
    given_ = SimulatedRater(score_noise=0.3, direction_noise=0.1, seed=1).rate(errors)
    off = np.mean([score != 3 for score, _ in given_])
    assert off == pytest.approx(0.3, abs=0.03)
    assert {score for score, _ in given_} == {2, 3, 4}
    assert np.mean([side != "over" for _, side in given_]) == pytest.approx(0.1, abs=0.02)
    assert SimulatedRater(score_noise=0.3, seed=1).rate(errors) == SimulatedRater(score_noise=0.3, seed=1).rate(errors)
    perfect = SimulatedRater(score_noise=1.0).rate([RegionError(1, 1.0, "none")] * 50)
    assert {score for score, _ in perfect} == {4, 5}
    assert all((score == 5) == (side == "none") for score, side in perfect)
    with pytest.raises(UsageError, match="probability"):
        SimulatedRater(score_noise=2)
    assert ScoreScale().cuts == CUTS
