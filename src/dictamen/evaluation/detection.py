"""Lesion by lesion: which were found, which were invented.

A lesion is a connected component (26 neighbours). Truth and prediction are matched one to one (Hungarian algorithm) so
that as many pairs as possible, and then the best overlapping ones, are joined. A second component inside one true
lesion is therefore a false positive; `Detection.fragments` says how many of those only split a lesion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dictamen.errors import UsageError
from dictamen.evaluation.overlap import Mask, Spacing, check_masks
from dictamen.inference.postprocess import components

IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.float64]
Criterion = Literal["iou", "any"]

IOU_AT_LEAST = 0.1
"""A pair with less overlap is no detection: the usual threshold where borders are uncertain (LiTS, BraTS use .1-.5)."""
STRATA_MM = (0.0, 10.0, 20.0, math.inf)
"""Borders of the size strata, by the longest axial diameter: up to 1 cm, 1-2 cm ("small" in the field), over 2 cm."""


@dataclass(frozen=True, slots=True)
class Lesion:
    """One true or predicted lesion of one study.

    Attributes:
        volume_mm3: its voxels.
        diameter_mm: longest axial diameter, as a radiologist measures.
        matched: whether it has a partner on the other side.
        iou: with the partner; 0 without.
        score: for predictions, how sure the model was (largest probability); nan where unknown.
    """

    volume_mm3: float
    diameter_mm: float
    matched: bool
    iou: float = 0.0
    score: float = math.nan


@dataclass(frozen=True, slots=True)
class Detection:
    """What was found in one study for one label."""

    truths: tuple[Lesion, ...]
    predictions: tuple[Lesion, ...]
    fragments: int = 0

    @property
    def true_positives(self) -> int:
        """True lesions that were found."""
        return sum(lesion.matched for lesion in self.truths)

    @property
    def false_negatives(self) -> int:
        """True lesions that were not found."""
        return len(self.truths) - self.true_positives

    @property
    def false_positives(self) -> int:
        """Predicted lesions without a partner, fragments included."""
        return len(self.predictions) - self.true_positives

    @property
    def count_error(self) -> int:
        """Predicted minus true number of lesions."""
        return len(self.predictions) - len(self.truths)

    @property
    def sensitivity(self) -> float:
        """Found / true; nan without true lesions."""
        return self.true_positives / len(self.truths) if self.truths else math.nan

    @property
    def precision(self) -> float:
        """Right / predicted; nan without predicted lesions."""
        return self.true_positives / len(self.predictions) if self.predictions else math.nan

    @property
    def f1(self) -> float:
        """2 TP / (true + predicted); nan where there are neither."""
        return f1(self.true_positives, self.false_positives, self.false_negatives)


def detect(
    truth: Mask,
    prediction: Mask,
    *,
    spacing_mm: Spacing,
    criterion: Criterion = "iou",
    iou_at_least: float = IOU_AT_LEAST,
    probability: npt.NDArray[np.floating] | None = None,
) -> Detection:
    """Match the lesions of two masks [X, Y, Z] (boolean, one grid, RAS+ so that z is axial).

    Args:
        truth, prediction: masks of one label.
        spacing_mm: of the grid.
        criterion: "iou" needs `iou_at_least`; "any" a single common voxel.
        iou_at_least: in (0, 1].
        probability: [X, Y, Z]; gives each predicted lesion its score (the largest inside).

    Raises:
        UsageError: unknown criterion, or `iou_at_least` out of range.
    """
    check_masks(truth, prediction)
    check_rule(criterion, iou_at_least)
    true_labels, n_true = components(truth)
    predicted_labels, n_predicted = components(prediction)
    overlaps = pairwise_iou(true_labels, predicted_labels, n_true, n_predicted)
    pairs = match(overlaps, at_least=iou_at_least if criterion == "iou" else 0.0)
    partner_iou = {("t", t): float(overlaps[t, p]) for t, p in pairs} | {
        ("p", p): float(overlaps[t, p]) for t, p in pairs
    }
    scores = _largest_in(probability, predicted_labels, n_predicted)
    matched = {p for _, p in pairs}
    return Detection(
        truths=_lesions(true_labels, n_true, spacing_mm, [partner_iou.get(("t", i)) for i in range(n_true)], None),
        predictions=_lesions(
            predicted_labels, n_predicted, spacing_mm, [partner_iou.get(("p", i)) for i in range(n_predicted)], scores
        ),
        fragments=sum(p not in matched and bool(overlaps[:, p].any()) for p in range(n_predicted)),
    )


def check_rule(criterion: str, iou_at_least: float) -> None:
    """Raise UsageError unless the way to match lesions is known."""
    if criterion not in ("iou", "any") or not 0 < iou_at_least <= 1:
        raise UsageError(
            "Unknown way to match lesions.", got=(criterion, iou_at_least), expected="iou with 0 < iou <= 1, or any"
        )


def pairwise_iou(truth: IntArray, prediction: IntArray, n_truth: int, n_prediction: int) -> FloatArray:
    """IoU [n_truth, n_prediction] of each component with each, from label maps with values 1..n."""
    joint = truth.ravel().astype(np.int64) * (n_prediction + 1) + prediction.ravel()
    counts = np.bincount(joint, minlength=(n_truth + 1) * (n_prediction + 1)).reshape(n_truth + 1, n_prediction + 1)
    intersection = counts[1:, 1:]
    union = counts[1:].sum(axis=1)[:, None] + counts[:, 1:].sum(axis=0)[None] - intersection
    ious: FloatArray = intersection / np.maximum(union, 1)
    return ious


def match(overlaps: FloatArray, *, at_least: float) -> list[tuple[int, int]]:
    """Pairs (truth, prediction), one to one: as many as possible, then the largest sum of overlaps.

    Args:
        overlaps: [n_truth, n_prediction] in [0, 1].
        at_least: pairs below are never joined; nor are pairs without overlap.
    """
    from scipy.optimize import linear_sum_assignment

    eligible = (overlaps >= at_least) & (overlaps > 0)
    bonus = min(overlaps.shape) + 1  # one more pair outweighs any sum of overlaps
    rows, columns = linear_sum_assignment(np.where(eligible, overlaps + bonus, 0.0), maximize=True)
    return [(int(t), int(p)) for t, p in zip(rows, columns, strict=True) if eligible[t, p]]


def longest_axial_diameter(mask: Mask, spacing_mm: Spacing) -> float:
    """Longest diameter of a mask [X, Y, Z] in one axial slice, mm, as in the lesion table; 0 for an empty mask."""
    from dictamen.inference.diameters import diameters_mm

    return diameters_mm(mask, np.diag([*spacing_mm, 1.0]))[0] if mask.any() else 0.0


def stratum_names(borders_mm: Sequence[float] = STRATA_MM) -> list[str]:
    """Names of the size strata: "<= 10 mm", "10-20 mm", "> 20 mm"."""
    return [_stratum_name(lo, hi) for lo, hi in pairwise(borders_mm)]


def stratum(diameter_mm: float, borders_mm: Sequence[float] = STRATA_MM) -> str:
    """The stratum (lo, hi] of a diameter."""
    index = int(np.searchsorted(borders_mm[1:-1], diameter_mm, side="left"))
    return stratum_names(borders_mm)[index]


def f1(true_positives: float, false_positives: float, false_negatives: float) -> float:
    """2 TP / (2 TP + FP + FN); nan where all are 0."""
    total = 2 * true_positives + false_positives + false_negatives
    return 2 * true_positives / total if total else math.nan


def froc(detections: Sequence[Detection], thresholds: Sequence[float]) -> list[tuple[float, float]]:
    """(false positives per study, sensitivity) when only predicted lesions with score >= threshold are kept.

    The matching is that of all lesions, so a point is exact where scores don't change who matches whom.
    """
    n_true = sum(len(detection.truths) for detection in detections)
    lesions = [lesion for detection in detections for lesion in detection.predictions]
    curve = []
    for threshold in thresholds:
        kept = [lesion for lesion in lesions if lesion.score >= threshold]
        hits = sum(lesion.matched for lesion in kept)
        curve.append(((len(kept) - hits) / max(len(detections), 1), hits / n_true if n_true else math.nan))
    return curve


def _lesions(
    labels: IntArray, number: int, spacing_mm: Spacing, ious: Sequence[float | None], scores: FloatArray | None
) -> tuple[Lesion, ...]:
    from scipy import ndimage

    if number == 0:
        return ()  # scipy takes max_label=0 for "all"
    voxel_mm3 = float(np.prod(spacing_mm))
    lesions = []
    for index, box in enumerate(ndimage.find_objects(labels, max_label=number)):
        mask = labels[box] == index + 1
        overlap = ious[index]
        lesions.append(
            Lesion(
                volume_mm3=int(np.count_nonzero(mask)) * voxel_mm3,
                diameter_mm=longest_axial_diameter(mask, spacing_mm),
                matched=overlap is not None,
                iou=overlap or 0.0,
                score=float(scores[index]) if scores is not None else math.nan,
            )
        )
    return tuple(lesions)


def _largest_in(values: npt.NDArray[np.floating] | None, labels: IntArray, number: int) -> FloatArray | None:
    if values is None or number == 0:
        return None
    from scipy import ndimage

    return np.asarray(ndimage.maximum(values, labels, np.arange(1, number + 1)), dtype=np.float64)


def _stratum_name(lo: float, hi: float) -> str:
    if lo == 0:
        return f"<= {hi:g} mm"
    return f"> {lo:g} mm" if math.isinf(hi) else f"{lo:g}-{hi:g} mm"
