"""Ball loss: the reported number of lesions, each of its reported size, where the network finds it most likely.

Source: the method of R-Super (arXiv 2507.05582, 2510.14803), from its description.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional

from dictamen.losses.ball_plan import BallPlan, plan_balls
from dictamen.losses.ball_targets import GATE, BallTargets, ball_targets
from dictamen.losses.crops import crop
from dictamen.losses.regions import weighted_mean, working_precision


def ball_loss(
    logits: Float[Tensor, "B L X Y Z"],
    *,
    region: UInt8[Tensor, "B L X Y Z"],
    lesion_index: Int[Tensor, "M 3"],
    lesion_diameters_mm: Float[Tensor, "M 3"],
    lesion_volume_mm3: Float[Tensor, " M"],
    lesion_known: Bool[Tensor, " M"],
    rest_negative: Bool[Tensor, "B L K"],
    weight: Float[Tensor, "B L K"],
    spacing_mm: Float[Tensor, "B 3"],
    teacher_logits: Float[Tensor, "B L X Y Z"] | None = None,
    gate: float = GATE,
    plan: BallPlan | None = None,
) -> Float[Tensor, ""]:
    """BCE + soft Dice toward the targets of `ball_targets`, the weighted mean over the regions that have lesions.

    Of one region, with z the logits, p = sigmoid(z), T the target voxels with weights w (.5^(rank / N), mean 1 over
    each lesion), G the background:
      foreground = sum over T of trust(lesion) w softplus(-z) / |T|
      background = sum over G of softplus(z) / |G|
      dice       = 1 - 2 sum over T of p / (sum over T and G of p + |T|)
      loss       = foreground + min trust x (background + dice)
    Foreground and background are normalised apart, so a lesion of 500 voxels weighs as much as its organ. `trust` in
    [0, 1] is the confidence gate: where the smoothed probability of the best ball is below `gate` the network sees
    nothing, the place is a guess, and the loss falls in proportion; the volume loss goes on pulling. The background and
    Dice take the least trusted lesion's, because the place of a lesion that was not found may be anywhere in what would
    be pushed to 0. Trust carries no gradient.

    No lesion, or none in a region with voxels: 0. No background (rest ignored): that term is 0.

    Args:
        teacher_logits: choose the targets (an EMA of the network); the logits themselves without them.
        weight: of each region's constraint; 0 for padding.
        (the others as in `ball_targets`)
    """
    if plan is None:
        plan = plan_balls(region, lesion_index, lesion_diameters_mm, spacing_mm)
    if not plan.rows:
        return working_precision(logits).flatten()[:0].sum()
    targets = ball_targets(
        logits if teacher_logits is None else teacher_logits,
        region=region, lesion_index=lesion_index, lesion_diameters_mm=lesion_diameters_mm,
        lesion_volume_mm3=lesion_volume_mm3, lesion_known=lesion_known, rest_negative=rest_negative,
        spacing_mm=spacing_mm, gate=gate, plan=plan,
    )  # fmt: skip
    losses = _loss_of_regions(working_precision(crop(logits, plan.rows, plan.start, plan.size)), targets)
    of_row = weight[plan.row_index[:, 0], plan.row_index[:, 1], plan.row_index[:, 2]]
    return weighted_mean(losses, of_row, torch.ones_like(of_row, dtype=torch.bool))


def _loss_of_regions(logits: Float[Tensor, "R x y z"], targets: BallTargets) -> Float[Tensor, " R"]:
    def total(values: Tensor) -> Float[Tensor, " R"]:
        return values.flatten(1).sum(1)

    positive, background = targets.positive.to(logits.dtype), targets.background.to(logits.dtype)
    size = total(positive).clamp(min=1)
    cost, probability = functional.softplus(logits), torch.sigmoid(logits)
    foreground = total(targets.foreground * (cost - logits)) / size  # softplus(-z) = softplus(z) - z
    negative = total(background * cost) / total(background).clamp(min=1)
    dice = 1 - 2 * total(positive * probability) / (total((positive + background) * probability) + size)
    return foreground + targets.region_trust * (negative + dice)


class BallLoss(nn.Module):
    """`ball_loss` with its gate bound."""

    def __init__(self, *, gate: float = GATE) -> None:
        super().__init__()
        self.gate = gate

    def forward(
        self,
        logits: Float[Tensor, "B L X Y Z"],
        *,
        region: UInt8[Tensor, "B L X Y Z"],
        lesion_index: Int[Tensor, "M 3"],
        lesion_diameters_mm: Float[Tensor, "M 3"],
        lesion_volume_mm3: Float[Tensor, " M"],
        lesion_known: Bool[Tensor, " M"],
        rest_negative: Bool[Tensor, "B L K"],
        weight: Float[Tensor, "B L K"],
        spacing_mm: Float[Tensor, "B 3"],
        teacher_logits: Float[Tensor, "B L X Y Z"] | None = None,
        plan: BallPlan | None = None,
    ) -> Float[Tensor, ""]:
        """The loss, a scalar."""
        return ball_loss(
            logits, region=region, lesion_index=lesion_index, lesion_diameters_mm=lesion_diameters_mm,
            lesion_volume_mm3=lesion_volume_mm3, lesion_known=lesion_known, rest_negative=rest_negative, weight=weight,
            spacing_mm=spacing_mm, teacher_logits=teacher_logits, gate=self.gate, plan=plan,
        )  # fmt: skip
