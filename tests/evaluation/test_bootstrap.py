import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dictamen.errors import InputError
from dictamen.evaluation.bootstrap import (
    Estimate,
    auc_of,
    cluster_weights,
    difference,
    estimate,
    gap_closed,
    mean_of,
    ratio_of,
)


def names(number: int) -> list[str]:
    return [f"P{i}" for i in range(number)]


def test_interval_agrees_with_a_loop_over_resamples() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=40)
    result = estimate(mean_of(values), names(40), resamples=4000, seed=1)
    means = [rng.choice(values, 40).mean() for _ in range(4000)]
    assert result.value == pytest.approx(values.mean())
    assert (result.lo, result.hi) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.03)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_coverage_of_a_known_mean(method: str) -> None:
    rng = np.random.default_rng(2)
    inside = 0
    for repetition in range(200):
        sample = rng.normal(1.0, 2.0, 40)
        e = estimate(mean_of(sample), names(40), resamples=400, seed=repetition, method=method)  # type: ignore[arg-type]
        inside += e.lo <= 1.0 <= e.hi
    assert 180 <= inside <= 199  # 95 % of 200 is 190, standard deviation 3


def test_studies_of_one_patient_are_drawn_together() -> None:
    patients = [f"P{i // 4}" for i in range(40)]
    weights = cluster_weights(patients, resamples=50, seed=0)
    assert (weights.reshape(50, 10, 4) == weights.reshape(50, 10, 4)[:, :, :1]).all()
    assert (weights.sum(axis=1) == 40).all()
    values = np.repeat(np.random.default_rng(0).normal(size=10), 4)
    clustered = estimate(mean_of(values), patients, seed=0)
    naive = estimate(mean_of(values), names(40), seed=0)
    assert clustered.hi - clustered.lo > 1.5 * (naive.hi - naive.lo)  # a factor of 2 = sqrt(4) in theory


def test_seeds_repeat() -> None:
    values = np.arange(12.0)
    assert estimate(mean_of(values), names(12), seed=3) == estimate(mean_of(values), names(12), seed=3)
    assert estimate(mean_of(values), names(12), seed=3) != estimate(mean_of(values), names(12), seed=4)


def test_nan_is_left_out_and_nothing_is_nan() -> None:
    assert estimate(mean_of([1.0, math.nan, 3.0]), names(3)).value == 2.0
    nothing = estimate(mean_of([math.nan, math.nan]), names(2))
    assert math.isnan(nothing.value) and math.isnan(nothing.lo)
    assert math.isnan(estimate(mean_of([]), []).value)
    assert nothing.to_json()["value"] is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.2, 0.5, 0.9]), st.integers(0, 3)), min_size=1, max_size=12
    )
)
def test_weighted_auc_against_pairs(rows: list[tuple[bool, float, int]]) -> None:
    """A study of weight w counts as w studies."""
    truth, score, weight = (list(column) for column in zip(*rows, strict=True))
    positive = [s for t, s, w in rows for _ in range(w) if t]
    negative = [s for t, s, w in rows for _ in range(w) if not t]
    value = auc_of(truth, score)(np.array([weight], dtype=float))[0]
    if not positive or not negative:
        assert math.isnan(value)
        return
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    assert value == pytest.approx(wins / (len(positive) * len(negative)))


def test_paired_difference_is_narrower_than_two_intervals() -> None:
    rng = np.random.default_rng(0)
    hardness = rng.normal(size=60)
    first, second = hardness + rng.normal(0, 0.1, 60), hardness + 0.1 + rng.normal(0, 0.1, 60)
    paired = estimate(difference(mean_of(first), mean_of(second)), names(60))
    assert paired.lo > 0 and paired.value == pytest.approx((second - first).mean())
    single = estimate(mean_of(first), names(60))
    assert single.hi - single.lo > 4 * (paired.hi - paired.lo)


def test_gap_closed() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0, 0.3, 50)
    few, every = base, base + 0.5
    reports = np.stack([base + 0.4, base + 0.5])  # two seeds: 80 % and 100 %
    result = gap_closed(few, reports, np.stack([every, every]), names(50))
    assert result.value == pytest.approx(0.9) and result.lo == pytest.approx(0.9)
    assert math.isnan(gap_closed(few, few, few, names(50)).value)
    with pytest.raises(InputError, match="one value a study"):
        gap_closed(few, few, few[:3], names(50))


def test_ratio_weighs_studies_by_their_denominator() -> None:
    result = estimate(ratio_of([1, 3], [1, 9]), names(2))
    assert result == Estimate(0.4, result.lo, result.hi, 2)
    assert result.lo == pytest.approx(1 / 3) and result.hi == 1
