"""What a refiner is trained with: score, direction, edge and band together, and the voxels that a score means."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from dictamen.losses.band import band_loss
from dictamen.losses.direction import direction_loss
from dictamen.losses.edge import edge_loss
from dictamen.losses.likely_masks import likely_masks
from dictamen.losses.overlap import masked_dice_bce
from dictamen.losses.region_tables import FeedbackTable, region_sizes
from dictamen.losses.regions import working_precision
from dictamen.losses.score import ScoreMode, score_loss


@dataclass(frozen=True)
class RefinementWeights:
    """Weights of the terms. Direction counts most: without it the network is told how much, not which way."""

    score: float = 1.0
    direction: float = 3.0
    edge: float = 0.3
    band: float = 0.2
    likely: float = 1.0
    mode: ScoreMode = "centre"
    noise: float = 0.03  # of the raters, in Dice, for the ordinal mode


def refinement_losses(
    logits: Float[Tensor, "B L X Y Z"],
    *,
    mask: Float[Tensor, "B L X Y Z"],
    region: UInt8[Tensor, "B L X Y Z"],
    band: Bool[Tensor, "B L X Y Z"],
    edge: Float[Tensor, "B 1 X Y Z"],
    inside: Float[Tensor, "B L X Y Z"],
    table: FeedbackTable,
    weights: RefinementWeights,
) -> dict[str, Float[Tensor, ""]]:
    """The terms by name, unweighted, and their weighted sum under "total".

    Args:
        logits: of the refined mask; half precision is computed in float32.
        mask: the initial mask y0.
        region: 0 none, k + 1 row k of `table`.
        band: where the refined mask may lie.
        edge: edge prior in [0, 1].
        inside: probability by intensity alone that a voxel belongs to the structure.
    """
    probability = torch.sigmoid(working_precision(logits))
    sizes = region_sizes(probability, mask.to(probability.dtype), region, rows=table.weight.shape[-1])
    terms = {
        "score": score_loss(
            sizes, table.target, table.lo, table.hi, table.weight, mode=weights.mode, noise=weights.noise
        ),
        "direction": direction_loss(sizes, table.direction, table.weight),
        "edge": edge_loss(probability, edge),
        "band": band_loss(probability, band),
    }
    if weights.likely:
        state, weight = likely_masks(logits.detach().to(probability.dtype), mask, region, table, inside=inside)
        terms["likely"] = masked_dice_bce(logits, state, weight)
    total = sum(getattr(weights, name) * value for name, value in terms.items())
    return {**terms, "total": torch.as_tensor(total)}
