"""Dice + BCE where only a part of the voxels is labelled: the ordinary loss of masks."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from dictamen.losses.regions import working_precision

NEGATIVE, POSITIVE, UNKNOWN = 0, 1, 2
"""Values of `state`, as in `supervision.patch`."""


def masked_dice_bce(
    logits: Float[Tensor, "B L X Y Z"],
    state: UInt8[Tensor, "B L X Y Z"],
    weight: Float[Tensor, "B L X Y Z"] | None = None,
    *,
    batch_dice: bool = False,
    dice_weight: float = 1.0,
    bce_weight: float = 1.0,
) -> Float[Tensor, ""]:
    """Soft Dice and binary cross-entropy over the voxels whose state is known.

    With p = sigmoid(logits), t = 1 where positive, w the weights, and sums over known voxels:
      BCE  = mean over labels of (sum of w BCE(p, t) over the batch) / (sum of w)
      Dice = mean over (study, label) of 1 - 2 sum(w p t) / (sum(w p) + sum(w t))
    Unknown voxels enter neither term. Dice is taken only where there is a known positive voxel: without one its value
    would be 1 whatever is predicted, with a gradient that explodes as p -> 0, so absence is taught by BCE alone, whose
    mean over all known voxels of a label (not over voxels of all labels) keeps a rarely labelled label from drowning.
    No known voxel: 0, gradient 0.

    Args:
        logits: any float dtype; half precision is computed in float32.
        state: 0 negative, 1 positive, 2 unknown.
        weight: of each voxel, at least 0; 1 without it.
        batch_dice: one Dice a label over the whole batch rather than one a study; steadier when lesions are tiny.
        dice_weight, bce_weight: 1 and 1 as in nnU-Net (Isensee et al., Nature Methods 2021).
    """
    logits = working_precision(logits)
    known, target = (state != UNKNOWN).to(logits.dtype), (state == POSITIVE).to(logits.dtype)
    if weight is not None:
        known = known * weight
    positive = target * known
    count, true = _sum_space(known), _sum_space(positive)

    cost = functional.binary_cross_entropy_with_logits(logits, target, weight=known, reduction="none")
    bce = _sum_space(cost).sum(0)
    bce = _mean_where(bce / count.sum(0).clamp(min=1), count.sum(0) > 0)

    probability = torch.sigmoid(logits)
    overlap, predicted = _sum_space(probability * positive), _sum_space(probability * known)
    if batch_dice:
        overlap, predicted, true = overlap.sum(0), predicted.sum(0), true.sum(0)
    dice = _mean_where(1 - 2 * overlap / (predicted + true).clamp(min=1), true > 0)
    return dice_weight * dice + bce_weight * bce


def _sum_space(values: Float[Tensor, "B L X Y Z"]) -> Float[Tensor, "B L"]:
    return values.flatten(2).sum(2)


def _mean_where(values: Float[Tensor, "*rows"], defined: Tensor) -> Float[Tensor, ""]:
    """Mean of the defined entries, 0 without one."""
    return torch.where(defined, values, torch.zeros_like(values)).sum() / defined.sum().clamp(min=1)


class MaskedDiceBCE(nn.Module):
    """`masked_dice_bce` with its options bound."""

    def __init__(self, *, batch_dice: bool = False, dice_weight: float = 1.0, bce_weight: float = 1.0) -> None:
        super().__init__()
        self.batch_dice, self.dice_weight, self.bce_weight = batch_dice, dice_weight, bce_weight

    def forward(self, logits: Float[Tensor, "B L X Y Z"], state: UInt8[Tensor, "B L X Y Z"]) -> Float[Tensor, ""]:
        """The loss, a scalar."""
        return masked_dice_bce(
            logits, state, batch_dice=self.batch_dice, dice_weight=self.dice_weight, bce_weight=self.bce_weight
        )
