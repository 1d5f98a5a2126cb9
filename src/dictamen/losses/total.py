"""All losses of a report-supervised step, and their weighted sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional

from dictamen.losses.absence import absence_loss, presence_loss
from dictamen.losses.attenuation import attenuation_loss
from dictamen.losses.ball import ball_loss
from dictamen.losses.ball_masks import write_targets
from dictamen.losses.ball_plan import BallPlan, plan_of
from dictamen.losses.ball_targets import ball_targets
from dictamen.losses.overlap import masked_dice_bce
from dictamen.losses.pseudo_labels import pseudo_label_targets
from dictamen.losses.volume import Mode, volume_loss
from dictamen.supervision.patch import PatchSupervision

REPORT_TERMS = ("volume", "ball", "absence", "attenuation", "presence")
BallMode = Literal["masks", "published", "pseudo_labels"]


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms: total = overlap x overlap + report x (volume x volume + ball x ball + absence x absence +
    attenuation x attenuation + presence x presence).

    Attributes:
        overlap: of masked Dice + BCE.
        report: of everything that reports say, relative to masks.
        volume, ball, absence, attenuation, presence: parts of `report`. With `ball_mode` "masks", report x ball is the
            weight of a voxel of a reported lesion relative to one that a reader drew.
        volume_mode: form of the volume loss, see `volume_loss`.
        ball_mode: "masks", the ball targets join the masks in the overlap term (see `write_targets`); "published", they
            have a loss of their own (see `ball_loss`); "pseudo_labels", a baseline: the network's own components join
            the masks instead, as many as there are lesions (see `pseudo_label_targets`).
        batch_dice: one Dice a label over the batch, so that a patch without lesions pulls against hedging.
    """

    overlap: float = 1.0
    report: float = 1.0
    volume: float = 0.4
    ball: float = 1.0
    absence: float = 0.01
    attenuation: float = 0.01
    presence: float = 0.0
    volume_mode: Mode = "interval"
    ball_mode: BallMode = "masks"
    batch_dice: bool = True


@dataclass(frozen=True)
class Tissue:
    """The studies with reports as the attenuation loss sees them.

    Attributes:
        image: [R, 1, X, Y, Z], normalised.
        organ: [R, T, X, Y, Z], voxels of each lesion label's organ.
        step: 20 HU in the image's unit.
    """

    image: Float[Tensor, "R 1 X Y Z"]
    organ: Bool[Tensor, "R T X Y Z"]
    step: float


def report_losses(
    logits: Float[Tensor, "B L X Y Z"],
    auxiliary: Float[Tensor, "B L x y z"] | None,
    state: UInt8[Tensor, "B L X Y Z"],
    reports: PatchSupervision | None,
    weights: LossWeights,
    teacher_logits: Float[Tensor, "R T X Y Z"] | None = None,
    *,
    plan: BallPlan | None = None,
    tissue: Tissue | None = None,
) -> dict[str, Tensor]:
    """The terms "overlap", "volume", "ball", "absence", "attenuation", "presence", not weighted, and their sum "total".

    Overlap and volume act on the final logits and on the auxiliary head, where there is one (mean of the two; a head of
    lower resolution is interpolated to the final grid), absence and ball on the final logits. As published
    (`ball_mode`), the volume loss acts on the auxiliary head alone: it can't blur the final head there, nor tell it how
    large lesions are; they stayed too small on validation studies.

    Args:
        state: of every voxel, for the overlap.
        reports: the regions of the last R studies of the batch and of its first T labels; None: a step on masks alone.
            The losses on regions look at those logits only.
        teacher_logits: choose the ball targets; the logits themselves without them.
        plan: `ball_plan.plan_of(reports)` made before they went to the device; without it, it is made here from the
            device's tensors, which costs nothing on a CPU and one wait on a GPU.
        tissue: what the attenuation loss looks at; without it, there is none.
    """
    if auxiliary is not None and auxiliary.shape[2:] != logits.shape[2:]:
        auxiliary = functional.interpolate(auxiliary, size=logits.shape[2:], mode="trilinear", align_corners=False)
    zero = logits.flatten()[:0].sum()
    terms = dict.fromkeys(REPORT_TERMS, zero)
    known, voxel_weight = state, None
    if reports is not None:
        s, labels = reports, reports.region.shape[1]
        own = logits[-len(s.region) :, :labels]
        plan = plan_of(s) if plan is None else plan
        heads = [own] if auxiliary is None else [own, auxiliary[-len(s.region) :, :labels]]
        if weights.ball_mode == "published":
            heads = heads[-1:]
        volumes = [
            volume_loss(head, s.region, s.volume_lo, s.volume_hi, s.weight, s.spacing_mm, mode=weights.volume_mode)
            for head in heads
        ]
        terms["volume"] = torch.stack(volumes).mean()
        terms["absence"] = absence_loss(own, s.region, s.absent, s.weight)
        if weights.presence > 0:
            terms["presence"] = presence_loss(own, s.region, s.volume_lo > 0, s.weight)
        if tissue is not None and weights.attenuation > 0:
            terms["attenuation"] = attenuation_loss(
                own, tissue.image, tissue.organ, s.region, s.attenuation, s.weight, s.spacing_mm, step=tissue.step
            )
        if weights.ball_mode == "published":
            terms["ball"] = ball_loss(
                own, region=s.region, lesion_index=s.lesion_index, lesion_diameters_mm=s.lesion_diameters_mm,
                lesion_volume_mm3=s.lesion_volume_mm3, lesion_known=s.lesion_known, rest_negative=s.rest_negative,
                weight=s.weight, spacing_mm=s.spacing_mm, teacher_logits=teacher_logits, plan=plan,
            )  # fmt: skip
        elif plan.rows and weights.ball > 0:
            teacher = own if teacher_logits is None else teacher_logits
            targets = pseudo_label_targets(teacher, s, plan) if weights.ball_mode == "pseudo_labels" else ball_targets(
                teacher,
                region=s.region, lesion_index=s.lesion_index, lesion_diameters_mm=s.lesion_diameters_mm,
                lesion_volume_mm3=s.lesion_volume_mm3, lesion_known=s.lesion_known, rest_negative=s.rest_negative,
                spacing_mm=s.spacing_mm, plan=plan,
            )  # fmt: skip
            known, voxel_weight = state.clone(), torch.ones(state.shape, device=state.device)
            states, voxels = known[-len(s.region) :, :labels], voxel_weight[-len(s.region) :, :labels]
            write_targets(states, voxels, targets, plan, weights.report * weights.ball * s.weight)
    overlap = masked_dice_bce(logits, known, voxel_weight, batch_dice=weights.batch_dice)
    if auxiliary is not None:
        overlap = (overlap + masked_dice_bce(auxiliary, known, voxel_weight, batch_dice=weights.batch_dice)) / 2
    report = sum((getattr(weights, name) * terms[name] for name in REPORT_TERMS), zero)
    return {**terms, "overlap": overlap, "total": weights.overlap * overlap + weights.report * report}
