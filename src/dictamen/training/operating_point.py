"""The operating point of a lesion label: from which probability a voxel counts, and from which peak a lesion counts.

Two thresholds, as in hysteresis (Canny): the lower one draws the border, the higher one decides whether a connected
lesion is one. A single threshold must choose between borders that are too tight and crumbs that are no lesions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dictamen.evaluation.detection import IOU_AT_LEAST, match, pairwise_iou
from dictamen.inference.postprocess import components, lesion_components, near, peaks

THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Candidates for both, about even in logits; a finer grid follows the noise of a few validation studies."""

Probability = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]
Table = npt.NDArray[np.float64]
"""[voxel threshold, lesion threshold, ...]; a lesion threshold below the voxel threshold equals it."""


class OperatingPoint(NamedTuple):
    """Probability from which a voxel counts, and that a connected lesion must reach somewhere."""

    voxel: float = 0.5
    lesion: float = 0.5


@dataclass(frozen=True)
class StudyCounts:
    """What every operating point makes of one study.

    Attributes:
        dice: [T, T] of a study whose mask has a lesion; None otherwise.
        lesions: [T, T, 2]: 2 x found, and true + predicted, lesions of a study with a mask; None without mask.
        called: [T, T, 2]: 2 x rightly called, and truly + predicted positive, of a study with a report alone.
    """

    dice: Table | None = None
    lesions: Table | None = None
    called: Table | None = None


def count(probability: Probability, truth: Mask | bool, *, zone: Mask, voxel_mm3: float) -> StudyCounts:
    """Try every operating point on one study.

    Args:
        probability: [X, Y, Z] of one label.
        truth: the lesion mask, or, of a study with a report alone, whether it has a lesion.
        zone: where lesions must begin, see `postprocess.near`.
        voxel_mm3: volume of a voxel.
    """
    size = len(THRESHOLDS)
    dice, lesions, called = np.zeros((size, size)), np.zeros((size, size, 2)), np.zeros((size, size, 2))
    true_labels, true_count = components(np.zeros_like(zone) if isinstance(truth, bool) else truth)
    for row, threshold in enumerate(THRESHOLDS):
        found, number = lesion_components(near(probability >= threshold, zone), voxel_mm3=voxel_mm3)
        reached = peaks(found, number, probability)
        overlaps = pairwise_iou(true_labels, found, true_count, number)
        inside = np.bincount(found[true_labels > 0], minlength=number + 1)[1:]
        voxels = np.bincount(found.ravel(), minlength=number + 1)[1:]
        for column, lesion in enumerate(THRESHOLDS):
            kept = reached >= max(threshold, lesion)
            hits = len(match(overlaps[:, kept], at_least=IOU_AT_LEAST)) if true_count and kept.any() else 0
            lesions[row, column] = 2 * hits, true_count + kept.sum()
            called[row, column] = 2 * (truth is True and kept.any()), (truth is True) + bool(kept.any())
            dice[row, column] = 2 * inside[kept].sum() / max(np.count_nonzero(true_labels) + voxels[kept].sum(), 1)
    if isinstance(truth, bool):
        return StudyCounts(called=called)
    return StudyCounts(dice=dice if true_count else None, lesions=lesions)


def scores(studies: Sequence[StudyCounts]) -> Table:
    """[T, T]: the mean, of those that the studies define, of Dice over studies with a lesion, F1 of lesions, and F1 of
    studies with a report alone. F1 of nothing there and nothing found is 1."""
    parts = [
        _f1([s.lesions for s in studies if s.lesions is not None]),
        _f1([s.called for s in studies if s.called is not None]),
    ]
    dice = [study.dice for study in studies if study.dice is not None]
    if dice:
        parts.append(np.mean(dice, axis=0))
    return np.asarray(np.mean([part for part in parts if part is not None], axis=0))


def best(table: Table) -> tuple[OperatingPoint, float]:
    """The operating point of the highest score, and that score; of equals the middle one, far from every cliff."""
    rows, columns = np.nonzero(table >= table.max() - 1e-9)
    middle = len(rows) // 2
    voxel, lesion = THRESHOLDS[int(rows[middle])], THRESHOLDS[int(columns[middle])]
    return OperatingPoint(voxel, max(voxel, lesion)), float(table.max())


def _f1(tables: Sequence[Table]) -> Table | None:
    if not tables:
        return None
    agreement, size = np.moveaxis(np.sum(tables, axis=0), -1, 0)
    return np.where(size > 0, agreement / np.maximum(size, 1), 1.0)
