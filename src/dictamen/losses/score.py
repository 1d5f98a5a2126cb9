"""Score loss: how much the refined mask should differ from the initial one in each region."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dictamen.errors import UsageError
from dictamen.losses.region_tables import RegionSizes
from dictamen.losses.regions import weighted_mean

ScoreMode = Literal["centre", "hinge", "barrier", "ordinal"]
SCALE, BETA = 4.0, 0.05
"""Of `centre`: the errors of Dice are a few hundredths, and SmoothL1 turns from square to linear at one bin's width."""
BARRIER = 20.0
"""Sharpness t of the extended log-barrier: 1/t is where it leaves the logarithm for a line."""
LEAST_LIKELIHOOD = 1e-6
FEWEST_VOXELS = 1.0
"""A region without a voxel of the mask has D = 1/(P + 1): it can't say how much is missing; direction alone is used."""


def score_loss(
    sizes: RegionSizes,
    target: Float[Tensor, "B L K"],
    lo: Float[Tensor, "B L K"],
    hi: Float[Tensor, "B L K"],
    weight: Float[Tensor, "B L K"],
    *,
    mode: ScoreMode = "centre",
    noise: float = 0.03,
) -> Float[Tensor, ""]:
    """Distance of D(p) = Dice(p, y0) in each region from what its score allows; weighted mean over scored regions.

      centre:  4 SmoothL1(D - target; beta .05)
      hinge:   4 (relu(lo - D) + relu(D - hi))
      barrier: psi(lo - D) + psi(D - hi), the extended log-barrier of Kervadec et al. (arXiv 1904.04205), t = 20:
               psi(z) = -log(-z) / t for z <= -1/t^2, else t z - log(1/t^2) / t + 1/t
      ordinal: -log(sigmoid((hi - D) / noise) - sigmoid((lo - D) / noise)), the cumulative logit model of a rater, open
               at the ends of the scale (lo <= 0, hi >= 1)

    Args:
        sizes: of `region_tables.region_sizes`.
        target, lo, hi: Dice that the score stands for, and its bin.
        weight: 0 for padding and skipped regions, whose gradient is exactly 0.
        noise: of the rater, in Dice, for `ordinal`.

    Raises:
        UsageError: an unknown mode.
    """
    dice = sizes.dice
    if mode == "centre":
        losses = SCALE * functional.smooth_l1_loss(dice, target.to(dice.dtype), beta=BETA, reduction="none")
    elif mode == "hinge":
        losses = SCALE * (functional.relu(lo - dice) + functional.relu(dice - hi))
    elif mode == "barrier":
        losses = _barrier(lo - dice) + _barrier(dice - hi)
    elif mode == "ordinal":
        below = torch.where(hi >= 1, torch.ones_like(dice), torch.sigmoid((hi - dice) / noise))
        above = torch.where(lo <= 0, torch.zeros_like(dice), torch.sigmoid((lo - dice) / noise))
        losses = -(below - above).clamp(min=LEAST_LIKELIHOOD).log()
    else:
        raise UsageError("`mode` of the score loss is unknown.", got=mode, expected="centre, hinge, barrier or ordinal")
    return weighted_mean(losses, weight, sizes.initial >= FEWEST_VOXELS)


def _barrier(z: Float[Tensor, "B L K"]) -> Float[Tensor, "B L K"]:
    turn = 1 / BARRIER**2
    log = -torch.log((-z).clamp(min=turn)) / BARRIER
    line = BARRIER * z - torch.log(z.new_tensor(turn)) / BARRIER + 1 / BARRIER
    return torch.where(z <= -turn, log, line)
