"""Asymmetric loss of tags: easy negatives, of which a report has many, fade; unknown tags say nothing."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dictamen.losses.regions import working_precision

GAMMA_NEGATIVE = 4.0
CLIP = 0.05
"""Both as published (arXiv 2009.14119)."""


def tag_recognition_loss(
    logits: Float[Tensor, "B K"],
    target: Float[Tensor, "B K"],
    weight: Float[Tensor, "B K"],
    *,
    gamma_positive: float = 0.0,
    gamma_negative: float = GAMMA_NEGATIVE,
    clip: float = CLIP,
) -> Float[Tensor, ""]:
    """Weighted mean over known tags of an asymmetric cross-entropy.

      p = sigmoid(logit), p_m = max(p - clip, 0)
      L = -sum w [ y (1 - p)^gamma_positive log p + (1 - y) p_m^gamma_negative log(1 - p_m) ] / number of w > 0

    With both gammas 0 and clip 0 it is binary cross-entropy. No known tag: 0, gradient 0.
    Source: asymmetric loss (arXiv 2009.14119).

    Args:
        logits: any float dtype; half precision is computed in float32.
        target: 1 present, 0 absent.
        weight: 0 where the report does not speak of the tag.
    """
    logits = working_precision(logits)
    probability = logits.sigmoid()
    shifted = (probability - clip).clamp(min=0)
    # beyond the clip 1 - p_m stays above it; without one, only the logit tells 1 - p from 0
    log_rest = torch.log1p(-shifted) if clip > 0 else functional.logsigmoid(-logits)
    present = (1 - probability) ** gamma_positive * functional.logsigmoid(logits)
    absent = shifted**gamma_negative * log_rest
    cost = -(target * present + (1 - target) * absent)
    return (weight * cost).sum() / (weight > 0).sum().clamp(min=1)


class TagRecognitionLoss(nn.Module):
    """`tag_recognition_loss` with its options bound."""

    def __init__(
        self, *, gamma_positive: float = 0.0, gamma_negative: float = GAMMA_NEGATIVE, clip: float = CLIP
    ) -> None:
        super().__init__()
        self.gamma_positive, self.gamma_negative, self.clip = gamma_positive, gamma_negative, clip

    def forward(
        self, logits: Float[Tensor, "B K"], target: Float[Tensor, "B K"], weight: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """The loss, a scalar."""
        return tag_recognition_loss(
            logits,
            target,
            weight,
            gamma_positive=self.gamma_positive,
            gamma_negative=self.gamma_negative,
            clip=self.clip,
        )
