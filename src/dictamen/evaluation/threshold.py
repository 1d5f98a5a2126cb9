"""Choose an operating threshold, on validation studies only: a threshold chosen on test studies flatters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError, UsageError
from dictamen.evaluation.overlap import Mask

FloatArray = npt.NDArray[np.float64]
Criterion = Literal["youden", "f1"]

GRID = tuple(np.round(np.linspace(0.05, 0.95, 19), 2).tolist())
"""Voxel thresholds that are tried: steps of .05, finer than what a few validation studies can tell apart."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold (score >= value is positive), and what the criterion reached there on validation."""

    value: float
    achieved: float
    criterion: str


def study_threshold(truth: npt.ArrayLike, score: npt.ArrayLike, *, criterion: Criterion = "youden") -> Threshold:
    """The score from which a study counts as positive.

    Args:
        truth: [N] boolean, of validation studies.
        score: [N].
        criterion: "youden" = sensitivity + specificity - 1, or "f1".

    Returns:
        The middle of the gap between the scores that the best threshold separates; among equals the lowest.

    Raises:
        InputError: no study, or only positives or only negatives.
        UsageError: unknown criterion.
    """
    positive, values = np.asarray(truth, dtype=bool), np.asarray(score, dtype=np.float64)
    if positive.shape != values.shape or not positive.any() or positive.all():
        raise InputError(
            "A threshold needs positive and negative validation studies.",
            got=f"{int(positive.sum())} of {positive.size} positive",
        )
    levels = np.unique(values)
    called = values[None] >= levels[:, None]
    true_positives = (called & positive).sum(axis=1)
    false_positives = (called & ~positive).sum(axis=1)
    if criterion == "youden":
        quality = true_positives / positive.sum() - false_positives / (~positive).sum()
    elif criterion == "f1":
        quality = 2 * true_positives / (called.sum(axis=1) + positive.sum())
    else:
        raise UsageError("Unknown criterion for the threshold.", got=criterion, expected="youden or f1")
    best = int(quality.argmax())
    value = levels[best] if best == 0 else (levels[best] + levels[best - 1]) / 2
    return Threshold(float(value), float(quality[best]), criterion)


def dice_at(truth: Mask, probability: npt.NDArray[np.floating], thresholds: Sequence[float] = GRID) -> FloatArray:
    """Dice [T] of one study at each threshold (probability >= threshold); nan where truth and prediction are empty.

    Args:
        truth: boolean [X, Y, Z].
        probability: the same shape, in [0, 1].
        thresholds: ascending.
    """
    edges = np.asarray(thresholds, dtype=np.float64)
    bins = np.searchsorted(edges, probability.ravel(), side="right")
    everything = np.bincount(bins, minlength=edges.size + 1)
    inside = np.bincount(bins[truth.ravel()], minlength=edges.size + 1)
    predicted, hit = (counts[::-1].cumsum()[::-1][1:] for counts in (everything, inside))
    total = predicted + np.count_nonzero(truth)
    dices: FloatArray = np.divide(2.0 * hit, total, out=np.full(edges.size, np.nan), where=total > 0)
    return dices


def voxel_threshold(dices: npt.ArrayLike, thresholds: Sequence[float] = GRID) -> Threshold:
    """The threshold with the best mean Dice over validation studies.

    Args:
        dices: [N, T] from `dice_at`, one row a study; nan (a study without truth says nothing) is left out.
        thresholds: the T thresholds.

    Returns:
        The middle of the plateau of best thresholds; .5 and nan where no study has a Dice.
    """
    table = np.atleast_2d(np.asarray(dices, dtype=np.float64))
    known = np.isfinite(table)
    counts = known.sum(axis=0)
    if table.size == 0 or not counts.any():
        return Threshold(0.5, math.nan, "dice")
    means = np.where(known, table, 0.0).sum(axis=0) / np.maximum(counts, 1)
    best = np.flatnonzero(np.isclose(means, means.max(), rtol=0, atol=1e-9))
    return Threshold(float(np.asarray(thresholds)[best[(best.size - 1) // 2]]), float(means.max()), "dice")
