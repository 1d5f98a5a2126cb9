"""What is compared: refiners trained from region scores in several ways, with full masks, and untrained methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from systematic_errors import Example

from dictamen.anatomy.region_scheme import RegionScheme, region_map
from dictamen.evaluation.overlap import dice
from dictamen.evaluation.surface import surface_metrics
from dictamen.losses.overlap import masked_dice_bce
from dictamen.models.normalise import IntensityWindow
from dictamen.models.refiner import Refiner
from dictamen.refinement.apply import refine_case
from dictamen.refinement.case import RefineCase, make_case
from dictamen.refinement.config import RefineConfig
from dictamen.refinement.train import train_refiner
from dictamen.supervision.feedback import RegionAnswer
from dictamen.supervision.region_errors import region_errors
from dictamen.supervision.region_targets import region_targets
from dictamen.supervision.score_scale import ScoreScale
from dictamen.supervision.simulated_raters import SimulatedRater

MARGIN_MM = 8.0
"""Around the mask; less than the default, for the sake of time."""
TOLERANCE_MM = 1.0
"""Of the surface Dice (NSD)."""
METRICS = ("dice", "hd95_mm", "assd_mm", "nsd")


@dataclass(frozen=True)
class Setting:
    """How feedback was given and used.

    Attributes:
        scheme: how the structure is cut.
        rater: who scores.
        scale: what the scores are taken to mean.
        changes: fields of `RefineConfig`.
        full: train on the truth instead (the upper bound).
    """

    scheme: RegionScheme
    rater: SimulatedRater
    scale: ScoreScale
    changes: dict[str, object]
    full: bool = False


def cases_of(
    examples: Sequence[Example], scheme: RegionScheme, spacing: Sequence[float], window: IntensityWindow
) -> list[RefineCase]:
    """Cases without feedback: neither truth nor score goes in."""
    affine = np.diag([*spacing, 1.0])
    return [
        make_case(
            study_id=f"case{number}",
            image=one.image,
            mask=one.mask,
            region=region_map(scheme, one.mask, affine, image=one.image),
            spacing_mm=spacing,
            scheme=scheme,
            window=window,
            margin_mm=MARGIN_MM,
        )
        for number, one in enumerate(examples)
    ]


def scored(examples: Sequence[Example], cases: Sequence[RefineCase], setting: Setting) -> list[RefineCase]:
    """The cases with a simulated rater's answers, which is all that leaves the truth."""
    text = setting.scheme.to_text()
    done = []
    for number, (example, case) in enumerate(zip(examples, cases, strict=True)):
        errors = region_errors(case.mask, example.truth[case.box], case.region)
        answers = [
            RegionAnswer(
                study_id=case.study_id, rater="simulated", label="organ", mask_sha256="0", scheme=text,
                region=error.region, score=score, direction=direction, origin="simulated",
            )
            for error, (score, direction) in zip(errors, setting.rater.rate(errors, case=number), strict=True)
        ]  # fmt: skip
        targets = region_targets(answers, regions=case.regions, scale=setting.scale)
        done.append(RefineCase(**{**vars(case), "targets": targets}))
    return done


def train(examples: Sequence[Example], cases: Sequence[RefineCase], setting: Setting, config: RefineConfig) -> Refiner:
    """A refiner of this setting."""
    config = config.model_copy(update=setting.changes)
    if not setting.full:
        return train_refiner(scored(examples, cases, setting), config)
    truths = [torch.from_numpy(e.truth[c.box].astype(np.uint8)) for e, c in zip(examples, cases, strict=True)]

    def objective(logits: torch.Tensor, _: object, numbers: list[int]) -> dict[str, torch.Tensor]:
        state = torch.zeros(logits.shape, dtype=torch.uint8)
        for place, number in enumerate(numbers):
            x, y, z = truths[number].shape
            state[place, 0, :x, :y, :z] = truths[number]
        return {"total": masked_dice_bce(logits, state)}

    return train_refiner(cases, config, objective=objective)


def with_refiner(refiner: Refiner, config: RefineConfig) -> Callable[[Example, RefineCase], np.ndarray]:
    """Refine with the abstentions of `dictamen refine`."""

    def refine(example: Example, case: RefineCase) -> np.ndarray:
        refined = example.mask.copy()
        done = refine_case(refiner, case, config)
        refined[case.box] = done.mask
        return refined

    return refine


def measure(
    examples: Sequence[Example],
    cases: Sequence[RefineCase],
    spacing: tuple[float, float, float],
    refine: Callable[[Example, RefineCase], np.ndarray],
) -> dict[str, np.ndarray]:
    """Dice, HD95, ASSD, NSD of each case."""
    rows: dict[str, list[float]] = {name: [] for name in METRICS}
    for example, case in zip(examples, cases, strict=True):
        mask = refine(example, case)
        surface = surface_metrics(example.truth, mask, spacing_mm=spacing, tolerance_mm=TOLERANCE_MM)
        for name, value in zip(
            METRICS, (dice(example.truth, mask), surface.hd95_mm, surface.assd_mm, surface.nsd), strict=True
        ):
            rows[name].append(value)
    return {name: np.asarray(values) for name, values in rows.items()}
