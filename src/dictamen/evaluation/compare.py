"""Compare models on the same studies: paired differences, means over seeds, and the gap that reports close.

All arms are cut to the studies that every one of them has measured, so that each resample draws the same patients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError, UsageError
from dictamen.evaluation.bootstrap import (
    RESAMPLES,
    Estimate,
    Statistic,
    auc_of,
    average_of,
    difference,
    estimate,
    gap_statistic,
    mean_of,
    ratio_of,
)
from dictamen.evaluation.measure import Measurement
from dictamen.evaluation.result import Evaluation
from dictamen.evaluation.summary import VOXEL_METRICS, Values

Builder = Callable[[Sequence[Measurement]], Statistic]


def _flags(studies: Sequence[Measurement]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    return np.array([m.truth == "present" for m in studies]), np.array([m.predicted for m in studies])


def _study_ratio(top: Callable[..., npt.NDArray[Any]], bottom: Callable[..., npt.NDArray[Any]]) -> Builder:
    return lambda studies: ratio_of(top(*_flags(studies)), bottom(*_flags(studies)))


def _lesion_ratio(
    top: Callable[[npt.NDArray[Any]], npt.NDArray[Any]], bottom: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
) -> Builder:
    """Of columns (found, true, predicted) a study."""

    def build(studies: Sequence[Measurement]) -> Statistic:
        counts = np.array(
            [
                (d.true_positives, len(d.truths), len(d.predictions)) if (d := m.detection) else (0, 0, 0)
                for m in studies
            ]
        ).T
        return ratio_of(top(counts), bottom(counts))

    return build


def _voxel_mean(value: Values) -> Builder:
    return lambda studies: mean_of([value(m) if m.truth == "present" else math.nan for m in studies])


STATISTICS: Mapping[str, Builder] = {
    **{name: _voxel_mean(value) for name, value in VOXEL_METRICS.items()},
    "lesion_sensitivity": _lesion_ratio(lambda n: n[0], lambda n: n[1]),
    "lesion_precision": _lesion_ratio(lambda n: n[0], lambda n: n[2]),
    "lesion_f1": _lesion_ratio(lambda n: 2 * n[0], lambda n: n[1] + n[2]),
    "false_positives_per_study": _lesion_ratio(lambda n: n[2] - n[0], lambda n: np.ones_like(n[0])),
    "sensitivity": _study_ratio(lambda t, p: t & p, lambda t, p: t),
    "specificity": _study_ratio(lambda t, p: ~t & ~p, lambda t, p: ~t),
    "ppv": _study_ratio(lambda t, p: t & p, lambda t, p: p),
    "f1": _study_ratio(lambda t, p: 2.0 * (t & p), lambda t, p: t.astype(float) + p),
    "auc": lambda studies: auc_of([m.truth == "present" for m in studies], [m.score for m in studies]),
}
"""Metric -> statistic over whole-study measurements; `sensitivity` ... `auc` are study level."""


class Arms:
    """Several models (arms), each with one evaluation a seed, of one label on common studies.

    Args:
        arms: name -> evaluations, one a seed.
        label: which label.

    Raises:
        InputError: the evaluations have no study of known truth in common.
    """

    def __init__(self, arms: Mapping[str, Sequence[Evaluation]], label: str) -> None:
        tables = {name: [_whole_studies(evaluation, label) for evaluation in seeds] for name, seeds in arms.items()}
        every = [set(table) for seeds in tables.values() for table in seeds]
        self.studies = sorted(set.intersection(*every)) if every else []
        if not self.studies:
            raise InputError("The evaluations have no study in common.", where=label, got=[len(ids) for ids in every])
        self._arms = {name: [[table[s] for s in self.studies] for table in seeds] for name, seeds in tables.items()}
        first = next(iter(self._arms.values()))[0]
        self.patients = [m.patient_id for m in first]

    def statistic(self, arm: str, metric: str) -> Statistic:
        """The metric of an arm, mean over its seeds.

        Raises:
            UsageError: unknown metric.
        """
        if metric not in STATISTICS:
            raise UsageError("Unknown metric.", got=metric, expected=f"one of {sorted(STATISTICS)}")
        return average_of([STATISTICS[metric](studies) for studies in self._arms[arm]])

    def value(self, arm: str, metric: str, *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
        """The metric of an arm, mean over seeds, with its interval by patient."""
        return estimate(self.statistic(arm, metric), self.patients, resamples=resamples, seed=seed)

    def difference(
        self, first: str, second: str, metric: str, *, resamples: int = RESAMPLES, seed: int = 0
    ) -> Estimate:
        """second - first, paired."""
        statistic = difference(self.statistic(first, metric), self.statistic(second, metric))
        return estimate(statistic, self.patients, resamples=resamples, seed=seed)

    def gap_closed(
        self, few: str, reports: str, every: str, metric: str, *, resamples: int = RESAMPLES, seed: int = 0
    ) -> Estimate:
        """(R - F) / (A - F) of the metric: 1 where reports do as well as all masks."""
        statistic = gap_statistic(*(self.statistic(arm, metric) for arm in (few, reports, every)))
        return estimate(statistic, self.patients, resamples=resamples, seed=seed)


def _whole_studies(evaluation: Evaluation, label: str) -> dict[str, Measurement]:
    return {
        m.study_id: m for m in evaluation.measurements if m.label == label and m.side is None and m.truth != "unknown"
    }
