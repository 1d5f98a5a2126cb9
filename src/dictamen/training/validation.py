"""Validation: predict the validation studies, choose each label's operating point, score the weights.

The score of a label is the mean of Dice over studies with a lesion, and of the F1 of lesions over all studies with a
mask, so that what is painted in a healthy study counts against it. Studies with a report alone add the F1 of "called
positive". See `operating_point.scores`.
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
from dictamen.inference.postprocess import organ_zone
from dictamen.inference.sliding import FAST_OVERLAP, predict_probabilities
from dictamen.supervision.from_findings import constraints
from dictamen.training.config import TrainConfig
from dictamen.training.operating_point import OperatingPoint, StudyCounts, best, count, scores
from dictamen.training.plan import Plan

ORGAN_THRESHOLD = 0.5
"""Organs are large and sure: their threshold is not worth a choice."""
Array = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ValidationResult:
    """Mean score over targets at the chosen operating points, and those (0.5 for organs), in label order."""

    score: float
    operating_points: tuple[OperatingPoint, ...]
    per_target: dict[str, float]
    studies: int

    def to_json(self) -> dict[str, Any]:
        """For metrics.jsonl."""
        return {
            "score": self.score,
            "thresholds": [point.voxel for point in self.operating_points],
            "lesion_thresholds": [point.lesion for point in self.operating_points],
            "per_target": self.per_target,
            "studies": self.studies,
        }


def validate(
    model: torch.nn.Module, cohort: Cohort, plan: Plan, config: TrainConfig, *, device: torch.device
) -> ValidationResult | None:
    """Score `model` on the plan's validation studies; None where there is none that says anything."""
    found: dict[str, list[StudyCounts]] = {target.name: [] for target in plan.targets}
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
                found[target.name].append(
                    count(probabilities[channel], truth, zone=zone, voxel_mm3=float(np.prod(study.spacing_mm)))
                )
    chosen = {name: best(scores(counts)) for name, counts in found.items() if counts}
    if not chosen:
        return None
    organ = OperatingPoint(ORGAN_THRESHOLD, ORGAN_THRESHOLD)
    return ValidationResult(
        score=float(np.mean([score for _, score in chosen.values()])),
        operating_points=tuple(chosen[name][0] if name in chosen else organ for name in plan.labels),
        per_target={name: score for name, (_, score) in chosen.items()},
        studies=len(studies),
    )


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
