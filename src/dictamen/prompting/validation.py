"""Validation of a prompted network: Dice of each label on the validation studies whose masks know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dictamen.inference.encoded import EncodedVolume
from dictamen.inference.sliding import FAST_OVERLAP
from dictamen.models.prompted import PromptedNetwork
from dictamen.prompting.config import PromptConfig
from dictamen.prompting.plan import PromptPlan, Source
from dictamen.supervision.patch import POSITIVE, UNKNOWN
from dictamen.supervision.prompt_states import is_lesion

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Candidates for lesion labels; structures are large and sure: .5."""
MIDDLE = 0.5


@dataclass(frozen=True)
class PromptValidation:
    """Mean Dice over the labels that a validation study has, and the threshold of each label of the run.

    Attributes:
        presence_auc: how often a label that is there has a higher presence than one that is not; None where all or
            none are there.
    """

    score: float
    thresholds: tuple[float, ...]
    per_label: dict[str, float]
    presence_auc: float | None
    studies: int

    def to_json(self) -> dict[str, Any]:
        """For metrics.jsonl."""
        return {**vars(self), "thresholds": list(self.thresholds)}


def validate(
    network: PromptedNetwork, plan: PromptPlan, config: PromptConfig, *, device: torch.device
) -> PromptValidation | None:
    """Score the network, with its table of labels, on the validation studies; None where none of them has a label."""
    dice: dict[str, list[list[float]]] = {label: [] for label in plan.labels}
    scores: dict[bool, list[float]] = {True: [], False: []}
    chosen = _in_turn(plan, config.validation_studies)
    for source, study_id in chosen:
        study = source.cohort.study(study_id)
        names = (study.organ_names_annotated, study.lesion_names_annotated)
        known = [i for i, label in enumerate(plan.labels) if source.states.teaches(label, *names)]
        wanted = [plan.labels[i] for i in known]
        volume = EncodedVolume(
            network,
            config.window.apply(study.level("image", 1)),
            patch_size=config.patch_size,
            precision=config.precision,
            overlap=FAST_OVERLAP,
        )
        organs, lesions = study.level("organs", 1), study.level("lesions", 1)
        for answer in volume.ask(network.table[known]):
            label = wanted[answer.index]
            state = source.states.states(organs, lesions, *names, wanted=[label])[0]
            there = bool((state == POSITIVE).any())
            if there or not (state == UNKNOWN).any():
                scores[there].append(answer.presence)
            if there:
                probability = answer.logits.sigmoid().numpy()
                tried = THRESHOLDS if is_lesion(label) else (MIDDLE,)
                dice[label].append([_dice(probability >= t, state) for t in tried])
    found = {label: np.mean(rows, axis=0) for label, rows in dice.items() if rows}
    if not found:
        return None
    return PromptValidation(
        score=float(np.mean([row.max() for row in found.values()])),
        thresholds=tuple(
            THRESHOLDS[int(found[label].argmax())] if label in found and is_lesion(label) else MIDDLE
            for label in plan.labels
        ),
        per_label={label: float(row.max()) for label, row in found.items()},
        presence_auc=auc(scores[True], scores[False]),
        studies=len(chosen),
    )


def auc(positive: list[float], negative: list[float]) -> float | None:
    """Area under the ROC curve: how often a positive is higher than a negative, ties half."""
    if not positive or not negative:
        return None
    higher = np.subtract.outer(positive, negative)
    return float(((higher > 0) + 0.5 * (higher == 0)).mean())


def _dice(found: np.ndarray, state: np.ndarray) -> float:
    """Of the voxels that are known."""
    known, truth = state != UNKNOWN, state == POSITIVE
    both, either = int((found & truth).sum()), int((found & known).sum()) + int(truth.sum())
    return 2 * both / max(either, 1)


def _in_turn(plan: PromptPlan, most: int) -> list[tuple[Source, str]]:
    """The validation studies of the cohorts in turn."""
    longest = max((len(source.validation) for source in plan.sources), default=0)
    everyone = [
        (source, source.validation[place])
        for place in range(longest)
        for source in plan.sources
        if place < len(source.validation)
    ]
    return everyone[:most]
