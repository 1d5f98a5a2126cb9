"""Bootstrap intervals by patient.

A statistic is a function of study weights: `statistic(weights [R, N]) -> [R]`. All-one weights give the value itself,
resampled weights its bootstrap distribution, so that 1,000 resamples are one matrix product. Patients, not studies, are
drawn with replacement (two studies of one patient are not independent).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError

FloatArray = npt.NDArray[np.float64]
Statistic = Callable[[FloatArray], FloatArray]
Method = Literal["percentile", "bca"]

RESAMPLES = 1000
"""Enough for the 2.5 % tails: their Monte Carlo error is about a tenth of the interval's width."""
LEVEL = 0.95
"""The level that the field reports."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its bootstrap interval.

    Attributes:
        value: on the studies themselves; nan where undefined.
        lo, hi: ends of the interval; nan where undefined.
        n: studies (or lesions) that the value rests on.
    """

    value: float
    lo: float = math.nan
    hi: float = math.nan
    n: int = 0

    def to_json(self) -> dict[str, float | int | None]:
        """The fields, nan as null."""
        return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in asdict(self).items()}

    @property
    def triple(self) -> tuple[float, float, float]:
        """(value, lo, hi), as `pictures.compare_intervals` takes it."""
        return self.value, self.lo, self.hi


def estimate(
    statistic: Statistic,
    patients: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
    method: Method = "percentile",
    n: int | None = None,
) -> Estimate:
    """A statistic with its interval.

    Args:
        statistic: from weights [R, N] to values [R]; nan where undefined (such resamples are left out).
        patients: N ids; studies of one patient are drawn together.
        resamples, seed, level: of the bootstrap.
        method: "percentile", or "bca" (bias-corrected and accelerated, Efron 1987), better for skewed statistics
            and few studies.
        n: number of studies to report; by default N.
    """
    if not patients:
        return Estimate(math.nan)
    value = float(statistic(np.ones((1, len(patients))))[0])
    samples = statistic(cluster_weights(patients, resamples=resamples, seed=seed))
    samples = samples[np.isfinite(samples)]
    count = len(patients) if n is None else n
    if not math.isfinite(value) or samples.size == 0:
        return Estimate(value, n=count)
    tails = ((1 - level) / 2, (1 + level) / 2)
    if method == "bca":
        tails = _bca_tails(tails, value, samples, statistic(_leave_one_out(patients)))
    lo, hi = np.quantile(samples, tails)
    return Estimate(value, float(lo), float(hi), count)


def cluster_weights(patients: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0) -> FloatArray:
    """How often each study occurs in each resample, [R, N]; the same patients and seed always give the same weights."""
    _, cluster = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    number = int(cluster.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=resamples)
    return drawn[:, cluster].astype(np.float64)


def mean_of(values: npt.ArrayLike) -> Statistic:
    """Mean over studies; nan values are left out."""
    array = np.asarray(values, dtype=np.float64)
    known = np.isfinite(array)
    return ratio_of(np.where(known, array, 0.0), known)


def ratio_of(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> Statistic:
    """Sum of numerators / sum of denominators (sensitivity, precision, F1, false positives per study); nan at 0."""
    table = np.stack([np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)], axis=1)

    def statistic(weights: FloatArray) -> FloatArray:
        top, bottom = (weights @ table).T
        return _quotient(top, bottom)

    return statistic


def auc_of(truth: npt.ArrayLike, score: npt.ArrayLike) -> Statistic:
    """Area under the ROC curve (Mann-Whitney, ties count half); nan without positives or negatives.

    Args:
        truth: [N] boolean.
        score: [N]; larger means more suspicious.
    """
    positive = np.asarray(truth, dtype=bool)
    _, place = np.unique(np.asarray(score, dtype=np.float64), return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))

    def statistic(weights: FloatArray) -> FloatArray:
        ordered = weights[:, order]
        hits = np.add.reduceat(ordered * positive[order], starts, axis=1)
        misses = np.add.reduceat(ordered * ~positive[order], starts, axis=1)
        below = np.cumsum(misses, axis=1) - misses / 2
        pairs = hits.sum(axis=1) * misses.sum(axis=1)
        return _quotient((hits * below).sum(axis=1), pairs)

    return statistic


def difference(first: Statistic, second: Statistic) -> Statistic:
    """`second - first` on the same resamples: a paired comparison of two models on the same studies."""
    return lambda weights: second(weights) - first(weights)


def gap_closed(
    few: npt.ArrayLike,
    reports: npt.ArrayLike,
    every: npt.ArrayLike,
    patients: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """(R - F) / (A - F): the part of the distance from few to all masks that reports close, 1 = all of it.

    Args:
        few, reports, every: per-study values [S, N] (S seeds, N studies; or [N]) of the arms F, R, A; nan where the
            metric is undefined for a study.
        patients: N ids.

    Returns:
        The ratio of differences of means over seeds and studies, with a bootstrap over patients; nan where A = F.
    """
    arms = [_mean_over_seeds(values, len(patients)) for values in (few, reports, every)]
    return estimate(gap_statistic(*arms), patients, resamples=resamples, seed=seed)


def gap_statistic(few: Statistic, reports: Statistic, every: Statistic) -> Statistic:
    """Gap closed of any statistic (lesion F1 and AUC are no means over studies)."""

    def statistic(weights: FloatArray) -> FloatArray:
        low, middle, high = few(weights), reports(weights), every(weights)
        gap = high - low
        return _quotient(middle - low, gap)

    return statistic


def average_of(statistics: Sequence[Statistic]) -> Statistic:
    """Mean of statistics, e.g. of one metric over seeds."""
    return lambda weights: np.mean([statistic(weights) for statistic in statistics], axis=0)


def _quotient(top: FloatArray, bottom: FloatArray) -> FloatArray:
    """top / bottom, nan where the bottom is 0."""
    result: FloatArray = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
    return result


def _mean_over_seeds(values: npt.ArrayLike, studies: int) -> Statistic:
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if table.shape[1] != studies:
        raise InputError("Each arm needs one value a study.", got=table.shape, expected=f"[seeds, {studies}]")
    return average_of([mean_of(row) for row in table])


def _leave_one_out(patients: Sequence[str]) -> FloatArray:
    _, cluster = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    left_out = np.arange(int(cluster.max()) + 1)[:, None]
    return np.not_equal(cluster[None], left_out).astype(np.float64)


def _bca_tails(
    tails: tuple[float, float], value: float, samples: FloatArray, jackknife: FloatArray
) -> tuple[float, float]:
    """Bias-corrected and accelerated quantiles; the plain ones where the correction is undefined."""
    from scipy.special import ndtr, ndtri

    below = (np.mean(samples < value) + np.mean(samples <= value)) / 2
    deviations = jackknife[np.isfinite(jackknife)]
    deviations = deviations.mean() - deviations if deviations.size else deviations
    spread = float((deviations**2).sum()) ** 1.5
    if not 0 < below < 1 or spread == 0:
        return tails
    bias, acceleration = ndtri(below), float((deviations**3).sum()) / (6 * spread)
    shifted = bias + ndtri(np.asarray(tails))
    lo, hi = ndtr(bias + shifted / (1 - acceleration * shifted))
    return float(lo), float(hi)
