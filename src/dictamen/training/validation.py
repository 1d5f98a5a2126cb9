"""Validation: predict the validation studies, choose each label's threshold, score the weights.

The score is the Dice pooled over the voxels of all studies with masks, 2 TP / (predicted + true): what is painted in a
healthy study counts against it by its volume, and painting nothing scores 0. Studies with a report alone are pooled
likewise, one vote each: found and wrongly called ones. Where a cohort has both, the score is the mean of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dictamen.anatomy.lesion_labels import LesionLabel
from dictamen.cohort.store import Cohort
from dictamen.inference.postprocess import lesion_components, near, organ_zone
from dictamen.inference.sliding import FAST_OVERLAP, predict_probabilities
from dictamen.supervision.from_findings import constraints
from dictamen.training.config import TrainConfig
from dictamen.training.plan import Plan

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Candidate operating thresholds; a finer grid follows the noise of a few validation studies."""
ORGAN_THRESHOLD = 0.5
"""Organs are large and sure: their threshold is not worth a choice."""
Array = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ValidationResult:
    """Mean score over targets at the chosen thresholds, and those thresholds (0.5 for organs), in label order."""

    score: float
    thresholds: tuple[float, ...]
    per_target: dict[str, float]
    studies: int

    def to_json(self) -> dict[str, Any]:
        """For metrics.jsonl."""
        return {
            "score": self.score,
            "thresholds": list(self.thresholds),
            "per_target": self.per_target,
            "studies": self.studies,
        }


def validate(
    model: torch.nn.Module, cohort: Cohort, plan: Plan, config: TrainConfig, *, device: torch.device
) -> ValidationResult | None:
    """Score `model` on the plan's validation studies; None where there is none that says anything."""
    rows: dict[str, list[tuple[bool, list[tuple[float, float]]]]] = {target.name: [] for target in plan.targets}
    studies = plan.validation[: config.validation_studies]
    for study_id in studies:
        study = cohort.study(study_id)
        truths = [_truth(cohort, study_id, target) for target in plan.targets]
        if all(truth is None for truth in truths):
            continue
        probabilities = predict_probabilities(
            model,
            config.window.apply(study.level("image", 1)),
            patch_size=config.patch_size,
            device=device,
            precision=config.precision,
            overlap=FAST_OVERLAP,
        )
        for channel, (target, truth) in enumerate(zip(plan.targets, truths, strict=True)):
            if truth is not None:
                zone = _zone(plan, probabilities, target, study.spacing_mm)
                voxel_mm3 = float(np.prod(study.spacing_mm))
                counts = _counts(probabilities[channel], truth, zone=zone, voxel_mm3=voxel_mm3)
                rows[target.name].append((not isinstance(truth, bool), counts))
    chosen = {name: _pooled(found) for name, found in rows.items() if found}
    if not chosen:
        return None
    best = {name: int(means.argmax()) for name, means in chosen.items()}
    per_target = {name: float(chosen[name][index]) for name, index in best.items()}
    thresholds = tuple(THRESHOLDS[best[name]] if name in best else ORGAN_THRESHOLD for name in plan.labels)
    return ValidationResult(float(np.mean(list(per_target.values()))), thresholds, per_target, len(studies))


def _truth(cohort: Cohort, study_id: str, target: LesionLabel) -> npt.NDArray[np.bool_] | bool | None:
    """The lesion mask; else whether the report says "present"; None where neither speaks of the target."""
    study = cohort.study(study_id)
    values = [value for value, name in cohort.info.lesion_labels.items() if name == target.name]
    if target.name in study.lesion_names_annotated:
        return np.isin(study.level("lesions", 1), values)
    report = cohort.findings(study_id)
    said = constraints(report, [target])[0] if report else []
    if any(c.count.lo >= 1 for c in said):
        return True
    return False if said and all(c.count.is_absent for c in said) else None


def _zone(plan: Plan, probabilities: Array, target: LesionLabel, spacing_mm: Sequence[float]) -> Mask:
    """Where lesions of the target may lie, as in a prediction: near its predicted organ."""
    if target.structure not in plan.organs:
        return np.ones(probabilities.shape[1:], dtype=bool)
    organ = probabilities[len(plan.targets) + plan.organs.index(target.structure)] >= ORGAN_THRESHOLD
    return organ_zone(organ, spacing_mm)


def _counts(probability: Array, truth: Mask | bool, *, zone: Mask, voxel_mm3: float) -> list[tuple[float, float]]:
    """(2 x agreement, predicted + true) of one study at each of `THRESHOLDS`: in voxels, or in studies for a report."""
    counts = []
    for threshold in THRESHOLDS:
        lesions, number = lesion_components(near(probability >= threshold, zone), voxel_mm3=voxel_mm3)
        if isinstance(truth, bool):
            counts.append((2.0 * (number > 0 and truth), float((number > 0) + truth)))
        else:
            predicted = lesions > 0
            both, either = np.count_nonzero(predicted & truth), np.count_nonzero(predicted) + np.count_nonzero(truth)
            counts.append((2.0 * both, float(either)))
    return counts


def _pooled(rows: Sequence[tuple[bool, list[tuple[float, float]]]]) -> npt.NDArray[np.float64]:
    """Score at each threshold from (has a mask, counts) of studies; 1 where there is nothing and nothing is painted."""
    scores = []
    for kind in (True, False):
        counts = np.array([found for masked, found in rows if masked is kind])
        if len(counts):
            agreement, size = np.moveaxis(counts.sum(axis=0), -1, 0)
            scores.append(np.where(size > 0, agreement / np.maximum(size, 1), 1.0))
    return np.asarray(np.mean(scores, axis=0))
