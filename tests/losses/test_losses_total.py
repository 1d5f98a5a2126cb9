"""The sum of all losses, and what they make of free logits when nothing but a report is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from dictamen.losses.absence import absence_loss
from dictamen.losses.ball_masks import write_targets
from dictamen.losses.ball_plan import plan_of
from dictamen.losses.ball_targets import ball_targets
from dictamen.losses.overlap import masked_dice_bce
from dictamen.losses.total import BallMode, LossWeights, Tissue, report_losses
from dictamen.losses.volume import SMALL_MM3, volume_loss
from dictamen.supervision.patch import PatchSupervision

DIAMETERS = (12.0, 8.0)
SIZE = 28


def ball_volume(diameter: float) -> float:
    return torch.pi / 6 * diameter**3


def two_organs() -> PatchSupervision:
    """One label; row 0, an organ with lesions of 12 and 8 mm; row 1, an organ without any; outside of both negative."""
    region = torch.zeros(1, 1, 2 * SIZE, SIZE, SIZE, dtype=torch.uint8)
    region[:, :, 2 : SIZE - 1, 2:-2, 2:-2], region[:, :, SIZE + 1 : -2, 2:-2, 2:-2] = 1, 2
    volume = sum(ball_volume(d) for d in DIAMETERS)
    return PatchSupervision(
        state=torch.where(region == 1, 2, 0).to(torch.uint8),
        region=region,
        volume_lo=torch.tensor([[[0.8 * volume, 0.0]]]),
        volume_hi=torch.tensor([[[1.2 * volume, 0.0]]]),
        weight=torch.ones(1, 1, 2),
        absent=torch.tensor([[[False, True]]]),
        rest_negative=torch.ones(1, 1, 2, dtype=torch.bool),
        attenuation=torch.tensor([[[-1, 0]]], dtype=torch.int8),
        lesion_index=torch.zeros(2, 3, dtype=torch.long),
        lesion_diameters_mm=torch.tensor(DIAMETERS)[:, None].expand(2, 3),
        lesion_volume_mm3=torch.tensor([ball_volume(d) for d in DIAMETERS]),
        lesion_known=torch.ones(2, dtype=torch.bool),
        spacing_mm=torch.ones(1, 3),
    )


def noise(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 1, 2 * SIZE, SIZE, SIZE, generator=generator) * 0.3 - 4


def test_terms_and_their_sum() -> None:
    s, logits, auxiliary = two_organs(), noise(0), noise(1)
    weights = LossWeights(overlap=0.9, report=0.2, volume=0.3, ball=0.4, absence=0.6, ball_mode="published")
    alone, both = (report_losses(logits, head, s.state, s, weights) for head in (None, auxiliary))
    tables = (s.region, s.volume_lo, s.volume_hi, s.weight, s.spacing_mm)
    assert alone["volume"] == volume_loss(logits, *tables) and both["volume"] == volume_loss(auxiliary, *tables)
    assert both["ball"] == alone["ball"] > 0
    assert both["absence"] == absence_loss(logits, s.region, s.absent, s.weight)
    assert both["overlap"].item() == pytest.approx(
        (masked_dice_bce(logits, s.state) + masked_dice_bce(auxiliary, s.state)).item() / 2
    )
    image = torch.where(logits > -4, 1.0, 0.0)
    tissue = Tissue(image, torch.ones_like(image, dtype=torch.bool), step=0.1)
    dense = report_losses(logits, auxiliary, s.state, s, replace(weights, attenuation=0.5), tissue=tissue)
    assert dense["attenuation"] > 0
    assert (dense["total"] - both["total"]).item() == pytest.approx(0.2 * 0.5 * dense["attenuation"].item(), rel=1e-3)
    for terms in (alone, both):
        assert terms["attenuation"] == 0
        report = 0.3 * terms["volume"] + 0.4 * terms["ball"] + 0.6 * terms["absence"]
        assert terms["total"].item() == pytest.approx((0.9 * terms["overlap"] + 0.2 * report).item(), rel=1e-6)


def test_volumes_and_ball_targets_reach_both_heads() -> None:
    s, logits, auxiliary = two_organs(), hints(), noise(1)
    alone, other, both = (
        report_losses(final, head, s.state, s, LossWeights(), teacher_logits=logits)
        for final, head in ((logits, None), (auxiliary, None), (logits, auxiliary))
    )
    for name in ("volume", "overlap"):
        assert both[name].item() == pytest.approx((alone[name] + other[name]).item() / 2, rel=1e-6)


def test_ball_targets_join_the_masks() -> None:
    """Written voxel by voxel: positive where the targets are, negative around them, and the rest as it was."""
    s, logits = two_organs(), hints()
    plan = plan_of(s)
    targets = ball_targets(
        logits, region=s.region, lesion_index=s.lesion_index, lesion_diameters_mm=s.lesion_diameters_mm,
        lesion_volume_mm3=s.lesion_volume_mm3, lesion_known=s.lesion_known, rest_negative=s.rest_negative,
        spacing_mm=s.spacing_mm, plan=plan,
    )  # fmt: skip
    state, weight = s.state.clone(), torch.ones(s.state.shape)
    write_targets(state, weight, targets, plan, 0.5 * s.weight)
    (x, y, z), (nx, ny, nz) = plan.start[0], plan.size
    crop = (0, 0, slice(x, x + nx), slice(y, y + ny), slice(z, z + nz))
    positive, background = targets.positive[0], targets.background[0]
    assert (state[crop][positive] == 1).all() and (state[crop][background] == 0).all()
    assert torch.equal(weight[crop][positive], 0.5 * targets.foreground[0][positive])
    assert torch.equal(weight[crop][background], 0.5 * targets.region_trust.expand(int(background.sum())))
    state[crop][positive | background], weight[crop][positive | background] = 2, 1
    assert torch.equal(state, s.state) and (weight == 1).all()

    terms = report_losses(logits, None, s.state, s, LossWeights(report=0.5))
    assert terms["overlap"] > masked_dice_bce(logits, s.state, batch_dice=True)
    assert terms["ball"] == 0


def test_masks_in_front_and_organs_behind_are_left_alone() -> None:
    """Two studies with masks before the one with a report, and an organ label after the lesion's: same terms."""
    s, logits = two_organs(), noise()
    wide = torch.cat([noise(2), noise(3), logits]).repeat(1, 2, 1, 1, 1).requires_grad_()
    state = torch.cat([torch.full_like(s.state, 2).repeat(2, 1, 1, 1, 1), s.state]).repeat(1, 2, 1, 1, 1)
    state[:, 1] = 2
    alone = report_losses(logits, None, s.state, s, LossWeights())
    terms = report_losses(wide, None, state, s, LossWeights())
    for name in ("volume", "absence", "overlap", "total"):
        assert terms[name].item() == pytest.approx(alone[name].item(), rel=1e-6)
    terms["total"].backward()
    assert wide.grad is not None and wide.grad[2, 0].any()
    assert not wide.grad[:2].any() and not wide.grad[:, 1].any()


def test_a_step_on_masks_alone() -> None:
    s, logits = two_organs(), noise()
    terms = report_losses(logits, None, s.state, None, LossWeights(overlap=0.5))
    assert terms["total"] == 0.5 * masked_dice_bce(logits, s.state, batch_dice=True)
    assert terms["volume"] == terms["ball"] == terms["absence"] == 0


@pytest.mark.parametrize("mode", ["masks", "published"])
def test_auxiliary_head_of_half_resolution(mode: BallMode) -> None:
    s, auxiliary = two_organs(), torch.zeros(1, 1, SIZE, SIZE // 2, SIZE // 2, requires_grad=True)
    report_losses(noise(), auxiliary, s.state, s, LossWeights(ball_mode=mode))["total"].backward()
    assert auxiliary.grad is not None and auxiliary.grad.any()


@pytest.mark.parametrize("mode", ["masks", "published"])
def test_the_sum_never_waits_for_the_device(mode: BallMode) -> None:
    s, meta = two_organs(), torch.device("meta")
    plan = plan_of(s).to(meta)
    logits = torch.empty(s.state.shape, device=meta, dtype=torch.bfloat16, requires_grad=True)
    reports, weights = s.to(meta), LossWeights(ball_mode=mode)
    tissue = Tissue(logits.detach(), reports.state == 1, step=0.1)
    terms = report_losses(
        logits, logits, reports.state, reports, weights, teacher_logits=logits, plan=plan, tissue=tissue
    )
    terms["total"].backward()
    assert logits.grad is not None


def optimise(weights: LossWeights, logits: torch.Tensor, steps: int = 150) -> torch.Tensor:
    """Free logits, no network: probabilities after Adam. Their start is smooth noise, which alone decides the place."""
    s, logits = two_organs(), logits.clone().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        report_losses(logits, None, s.state, s, weights)["total"].backward()
        optimizer.step()
    return logits.detach().sigmoid()[0, 0]


def hints() -> torch.Tensor:
    """Noise with two faint, smaller spots in the first organ (p = .1 at their best) and a fainter one in the second."""
    logits = noise()
    for centre, height in (((9, 9, 9), 3.0), ((18, 19, 19), 2.5), ((40, 14, 14), 2.0)):
        grid = torch.stack(torch.meshgrid(*[torch.arange(n) for n in logits.shape[2:]], indexing="ij"))
        squared = sum((grid[i] - centre[i]) ** 2 for i in range(3))
        logits += height * torch.exp(-squared / 18.0)
    return logits


def test_report_alone_gives_number_size_and_place() -> None:
    p = optimise(LossWeights(report=1.0), hints())
    components, count = ndimage.label((p > 0.5).numpy())
    sizes = ndimage.sum_labels(np.ones_like(components), components, range(1, count + 1))
    # logits that are free of each other leave specks at a lesion's edge, where the noise ranks the voxels
    lesions = [i + 1 for i in np.argsort(-sizes) if sizes[i] >= SMALL_MM3]
    assert len(lesions) == 2
    assert sizes.sum() - sum(sizes[i - 1] for i in lesions) < 0.1 * sizes.sum()
    assert [sizes[i - 1] for i in lesions] == pytest.approx([ball_volume(d) for d in DIAMETERS], rel=0.35)
    centres = ndimage.center_of_mass(components > 0, components, lesions)
    assert np.abs(np.array(centres) - [(9, 9, 9), (18, 19, 19)]).max() < 2.5
    volume = p[:SIZE].sum().item()
    assert 0.75 < volume / sum(ball_volume(d) for d in DIAMETERS) < 1.25
    assert p[SIZE:].max() < 0.1


def test_volume_alone_is_content_with_haze() -> None:
    """What the ball loss is for: the right volume and not one voxel above the threshold."""
    p = optimise(LossWeights(report=1.0, ball=0.0), noise())
    volume = p[:SIZE].sum().item() / sum(ball_volume(d) for d in DIAMETERS)
    assert 0.75 < volume < 1.25
    assert p.max() < 0.5
