"""Apply a refiner to a mask: the refined mask, what changed, and the regions that are left to people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import torch

from dictamen.anatomy.boxes import BoolArray
from dictamen.models.refiner import Refiner
from dictamen.refinement.batch import tensors
from dictamen.refinement.case import RefineCase
from dictamen.refinement.config import RefineConfig
from dictamen.supervision.feedback import PERFECT, Direction
from dictamen.supervision.region_errors import region_errors
from dictamen.supervision.score_scale import ScoreScale


class Change(IntEnum):
    """Values of a change map."""

    NONE = 0
    ADDED = 1
    REMOVED = 2
    FOR_REVIEW = 3


CHANGE_NAMES = {Change.ADDED: "added", Change.REMOVED: "removed", Change.FOR_REVIEW: "for_review"}


@dataclass(frozen=True, slots=True)
class RegionChange:
    """What the refiner did in one region.

    Attributes:
        region: its number.
        score: predicted score of the initial mask there, 1 to 5.
        direction: predicted side of its error; of a region that was kept as perfect "none".
        change: changed voxels as a part of the region, made or proposed for review.
        certainty: mean |2p - 1| over the changed voxels; 1 where nothing changed.
        abstained: the change is too large or too uncertain, and was not made.
    """

    region: int
    score: int
    direction: Direction
    change: float
    certainty: float
    abstained: bool


@dataclass(frozen=True)
class Refined:
    """A refined crop.

    Attributes:
        mask: bool [X, Y, Z], the refined mask after abstentions.
        proposal: the same before abstentions, and before perfect regions were kept.
        probability: p, float32.
        changes: uint8, values of `Change`.
        regions: one entry a region.
    """

    mask: BoolArray
    proposal: BoolArray
    probability: npt.NDArray[np.float32]
    changes: npt.NDArray[np.uint8]
    regions: tuple[RegionChange, ...]


@torch.no_grad()
def refine_case(
    refiner: Refiner,
    case: RefineCase,
    config: RefineConfig | None = None,
    *,
    scale: ScoreScale | None = None,
) -> Refined:
    """Refine one mask within its band.

    Args:
        refiner: trained, in evaluation mode; an untrained one changes nothing.
        case: crop with its region map; answers are not looked at.
        config: what is not done. A region of which more than `most_change` would change is marked for review, not
            changed, and so is one whose changed voxels have a mean |2p - 1| below `least_certainty`; with
            `keep_perfect`, one of which the proposal says no more than the best score stays as it is: raters call its
            error none, so that nothing has taught the refiner which voxels to change there.
        scale: what scores mean, for the predicted score.
    """
    config, scale = config or RefineConfig(), scale or ScoreScale()
    inputs = tensors(case)
    logits = refiner(inputs.image, inputs.mask, inputs.edge, inputs.inside)
    probability = torch.sigmoid(logits)[0, 0].numpy().astype(np.float32)
    proposal = np.where(case.band, probability > 0.5, case.mask)
    differs = proposal != case.mask
    sizes = np.bincount(case.region.ravel(), minlength=case.regions + 1)
    changed = np.bincount(case.region[differs], minlength=case.regions + 1)
    doubt = np.bincount(case.region[differs], weights=np.abs(2 * probability[differs] - 1), minlength=case.regions + 1)
    found, kept = [], []
    for error in region_errors(case.mask, proposal, case.region):
        score = scale.score_of(error.dice)
        if config.keep_perfect and score == PERFECT:
            kept.append(error.region)
            found.append(RegionChange(error.region, score, "none", 0.0, 1.0, abstained=False))
            continue
        part = float(changed[error.region] / max(sizes[error.region], 1))
        certainty = float(doubt[error.region] / changed[error.region]) if changed[error.region] else 1.0
        abstained = bool(changed[error.region]) and (part > config.most_change or certainty < config.least_certainty)
        found.append(RegionChange(error.region, score, error.direction, part, certainty, abstained))
    held = np.isin(case.region, [entry.region for entry in found if entry.abstained])
    mask = np.where(held | np.isin(case.region, kept), case.mask, proposal)
    changes = np.zeros(case.mask.shape, dtype=np.uint8)
    changes[mask & ~case.mask] = Change.ADDED
    changes[~mask & case.mask] = Change.REMOVED
    changes[held & differs] = Change.FOR_REVIEW
    return Refined(mask, proposal, probability, changes, tuple(found))
