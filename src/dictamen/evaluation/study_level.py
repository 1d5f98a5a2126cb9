"""One answer a study (or a side): is there a lesion? Sensitivity, specificity, PPV, F1, AUC, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError
from dictamen.evaluation.bootstrap import RESAMPLES, Estimate, Statistic, auc_of, estimate, ratio_of
from dictamen.evaluation.detection import f1

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
State = Literal["present", "absent", "unknown"]
"""What the truth (a mask or a report) says about one label in one study."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of studies. Ratios with nothing below the line are nan."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @property
    def sensitivity(self) -> float:
        """TP / (TP + FN)."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def specificity(self) -> float:
        """TN / (TN + FP)."""
        return _ratio(self.true_negatives, self.true_negatives + self.false_positives)

    @property
    def ppv(self) -> float:
        """Positive predictive value (precision), TP / (TP + FP)."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def npv(self) -> float:
        """Negative predictive value, TN / (TN + FN)."""
        return _ratio(self.true_negatives, self.true_negatives + self.false_negatives)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        return f1(self.true_positives, self.false_positives, self.false_negatives)


def confusion(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> Confusion:
    """Count studies; both [N] boolean."""
    t, p = np.asarray(truth, dtype=bool), np.asarray(predicted, dtype=bool)
    if t.shape != p.shape:
        raise InputError("Truth and prediction must have one value a study.", got=p.shape, expected=t.shape)
    return Confusion(int((t & p).sum()), int((~t & p).sum()), int((~t & ~p).sum()), int((t & ~p).sum()))


def auc(truth: npt.ArrayLike, score: npt.ArrayLike) -> float:
    """Area under the ROC curve by Mann-Whitney, ties count half; nan without positives or without negatives."""
    positive = np.asarray(truth, dtype=bool)
    return float(auc_of(positive, score)(np.ones((1, positive.size)))[0]) if positive.size else math.nan


def roc_curve(truth: npt.ArrayLike, score: npt.ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(false positive rate, sensitivity, threshold), from "nothing is positive" (threshold inf) to "everything is"."""
    positive, values = np.asarray(truth, dtype=bool), np.asarray(score, dtype=np.float64)
    thresholds = np.concatenate([[math.inf], np.unique(values)[::-1]])
    called = values[None] >= thresholds[:, None]
    sensitivity = (called & positive).sum(axis=1) / max(int(positive.sum()), 1)
    return (called & ~positive).sum(axis=1) / max(int((~positive).sum()), 1), sensitivity, thresholds


def study_metrics(
    truth: npt.ArrayLike,
    predicted: npt.ArrayLike,
    patients: Sequence[str],
    *,
    score: npt.ArrayLike | None = None,
    healthy: npt.ArrayLike | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """All study-level metrics with bootstrap intervals by patient.

    Args:
        truth, predicted: [N] boolean; studies of unknown truth must have been left out.
        patients: N ids.
        score: [N]; without it there is no AUC. Studies with a nan score are left out of the AUC.
        healthy: [N]; 1 no finding at all, 0 disease elsewhere, nan unknown: splits the specificity of the negatives.
        resamples, seed: of the bootstrap.
    """
    t, p = np.asarray(truth, dtype=bool), np.asarray(predicted, dtype=bool)
    parts: dict[str, tuple[BoolArray, BoolArray]] = {
        "sensitivity": (t & p, t),
        "specificity": (~t & ~p, ~t),
        "ppv": (t & p, p),
        "npv": (~t & ~p, ~p),
    }
    if healthy is not None:
        well = np.asarray(healthy, dtype=np.float64)
        parts["specificity_healthy"] = (~t & ~p & (well == 1), ~t & (well == 1))
        parts["specificity_disease_elsewhere"] = (~t & ~p & (well == 0), ~t & (well == 0))

    def with_interval(statistic: Statistic, n: int, ids: Sequence[str] = patients) -> Estimate:
        return estimate(statistic, ids, resamples=resamples, seed=seed, n=n)

    result = {name: with_interval(ratio_of(top, bottom), int(bottom.sum())) for name, (top, bottom) in parts.items()}
    errors = t ^ p
    result["f1"] = with_interval(ratio_of(2.0 * (t & p), 2.0 * (t & p) + errors), int(t.sum()))
    if score is not None:
        values = np.asarray(score, dtype=np.float64)
        known = np.isfinite(values)
        ids = [patient for patient, keep in zip(patients, known, strict=True) if keep]
        result["auc"] = with_interval(auc_of(t[known], values[known]), len(ids), ids)
    return result


def _ratio(top: int, bottom: int) -> float:
    return top / bottom if bottom else math.nan
