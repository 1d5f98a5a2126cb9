"""All losses of a report-supervised step, and their weighted sum."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dictamen.losses.absence import absence_loss
from dictamen.losses.ball import ball_loss
from dictamen.losses.ball_plan import BallPlan
from dictamen.losses.overlap import masked_dice_bce
from dictamen.losses.volume import Mode, volume_loss
from dictamen.supervision.patch import PatchSupervision


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms: total = overlap x overlap + report x (volume x volume + ball x ball + absence x absence).

    Attributes:
        overlap: of masked Dice + BCE.
        report: of everything that reports say, relative to masks; .1 as published for stage 2.
        volume, ball: .5 each, as published (volume on the auxiliary head, ball on the final one).
        absence: .5, so that an organ free of lesions pulls as strongly as one with them.
        volume_mode: form of the volume loss, see `volume_loss`.
        batch_dice: one Dice a label over the batch, so that a patch without lesions pulls against hedging.
    """

    overlap: float = 1.0
    report: float = 0.1
    volume: float = 0.5
    ball: float = 0.5
    absence: float = 0.5
    volume_mode: Mode = "interval"
    batch_dice: bool = True


def report_losses(
    logits: Float[Tensor, "B L X Y Z"],
    auxiliary: Float[Tensor, "B L x y z"] | None,
    supervision: PatchSupervision,
    weights: LossWeights,
    teacher_logits: Float[Tensor, "B L X Y Z"] | None = None,
    *,
    plan: BallPlan | None = None,
) -> dict[str, Tensor]:
    """The terms "overlap", "volume", "ball", "absence" (not weighted) and their weighted sum "total".

    The volume loss acts on the auxiliary head where there is one, otherwise on the final logits; all others act on the
    final logits, the overlap also on the auxiliary head (mean of the two), which otherwise would see volumes only.
    An auxiliary head of lower resolution is interpolated to the final grid.

    Args:
        plan: `ball_plan.plan_of(supervision)` made before the supervision went to the device; without it the ball loss
            makes its own from the device's tensors, which costs nothing on a CPU and one wait on a GPU.
    """
    s = supervision
    if auxiliary is not None and auxiliary.shape[2:] != logits.shape[2:]:
        auxiliary = functional.interpolate(auxiliary, size=logits.shape[2:], mode="trilinear", align_corners=False)
    overlap = masked_dice_bce(logits, s.state, batch_dice=weights.batch_dice)
    if auxiliary is not None:
        overlap = (overlap + masked_dice_bce(auxiliary, s.state, batch_dice=weights.batch_dice)) / 2
    terms = {
        "overlap": overlap,
        "volume": volume_loss(
            logits if auxiliary is None else auxiliary, s.region, s.volume_lo, s.volume_hi, s.weight, s.spacing_mm,
            mode=weights.volume_mode,
        ),
        "ball": ball_loss(
            logits, region=s.region, lesion_index=s.lesion_index, lesion_diameters_mm=s.lesion_diameters_mm,
            lesion_volume_mm3=s.lesion_volume_mm3, lesion_known=s.lesion_known, rest_negative=s.rest_negative,
            weight=s.weight, spacing_mm=s.spacing_mm, teacher_logits=teacher_logits, plan=plan,
        ),
        "absence": absence_loss(logits, s.region, s.absent, s.weight),
    }  # fmt: skip
    report = weights.volume * terms["volume"] + weights.ball * terms["ball"] + weights.absence * terms["absence"]
    return {**terms, "total": weights.overlap * overlap + weights.report * report}
