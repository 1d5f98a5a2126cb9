"""Ball loss against a slow numpy version, its edges, and that a step never waits for the device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_ball import slow_region
from torch import Tensor

from dictamen.losses.ball import BallLoss, ball_loss
from dictamen.losses.ball_plan import plan_balls
from dictamen.losses.ball_targets import BallTargets, ball_targets

GATE = 0.4
SPACINGS = [(1.0, 1.0, 1.0), (0.8, 0.8, 3.0), (2.0, 1.0, 0.7)]


def scene(seed: int, spacing: tuple[float, float, float]) -> dict[str, Tensor]:
    """Two studies, two labels, two regions in some; one to three lesions a region; rows that pad; noise for logits."""
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 2, 12, 11, 10)
    region = torch.zeros(shape, dtype=torch.uint8)
    region[0, 0, :6, 1:9, :8], region[0, 0, 6:12, 2:11] = 1, 3
    region[1, 1, 2:11, 2:10, 1:9] = 2
    region[1, 1, 5, 5, 5] = 0
    lesions = [
        (0, 0, 0),
        (0, 0, 0),
        (0, 0, 2),
        (1, 1, 1),
        (1, 1, 1),
        (1, 1, 1),
        (-1, -1, -1),
        (0, 1, 0),
    ]  # the last has no voxel
    diameters = torch.tensor([6.0, 4.0, 7.0, 5.0, 3.0, 0.4, 0.0, 5.0])
    return {
        "logits": torch.randn(shape, generator=generator, dtype=torch.float64) * 2 - 1,
        "region": region,
        "lesion_index": torch.tensor(lesions),
        "lesion_diameters_mm": diameters[:, None] * torch.tensor([1.0, 0.9, 0.8]),
        "lesion_volume_mm3": torch.pi / 6 * 0.72 * diameters**3,
        "lesion_known": torch.tensor([True, True, True, True, True, True, True, True]),
        "rest_negative": torch.ones(2, 2, 3, dtype=torch.bool),
        "weight": torch.tensor([1.0, 0.7, 0.5]).expand(2, 2, 3).clone(),
        "spacing_mm": torch.tensor([spacing, spacing[::-1]]),
    }


def targets_of(case: dict[str, Tensor], **changes: object) -> BallTargets:
    return ball_targets(**{**{name: value for name, value in case.items() if name != "weight"}, **changes})  # type: ignore[arg-type]


def references(case: dict[str, Tensor], gate: float = GATE) -> list[dict[str, object]]:
    """The slow version of each region, on the plan's crop, in the plan's order."""
    plan = plan_balls(case["region"], case["lesion_index"], case["lesion_diameters_mm"], case["spacing_mm"])
    targets = targets_of(case, gate=gate)
    results = []
    for (b, label, k), start in zip(plan.rows, plan.start, strict=True):
        box = tuple(slice(s, s + n) for s, n in zip(start, plan.size, strict=True))
        of_region = [i for i, row in enumerate(case["lesion_index"].tolist()) if row == [b, label, k]]
        order = plan.lesion_order.tolist()
        results.append(
            slow_region(
                case["logits"][b, label].numpy()[box],
                (case["region"][b, label] == k + 1).numpy()[box],
                [case["lesion_diameters_mm"][i].max().item() for i in of_region],
                [case["lesion_volume_mm3"][i].item() for i in of_region],
                [bool(case["lesion_known"][i]) for i in of_region],
                bool(case["rest_negative"][b, label, k]),
                case["spacing_mm"][b].double().numpy(),
                [targets.centre[order.index(i)].numpy() for i in of_region],
                gate,
            )
        )
    return results


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_slow_version(seed: int, spacing: tuple[float, float, float]) -> None:
    case = scene(seed, spacing)
    case["lesion_known"][1] = False  # the rest of that region is ignored
    targets, want = targets_of(case, gate=GATE), references(case)
    assert len(want) == len(targets.positive) == 3
    for r, region in enumerate(want):
        assert region["peaks"] == pytest.approx(region["best"], rel=1e-9)  # the argmax of the direct convolution
        assert np.array_equal(targets.positive[r].numpy(), region["positive"])
        assert np.array_equal(targets.background[r].numpy(), region["background"])
        assert targets.foreground[r].numpy() == pytest.approx(region["foreground"], abs=1e-6)
    plan = plan_balls(case["region"], case["lesion_index"], case["lesion_diameters_mm"], case["spacing_mm"])
    loss = np.mean(
        [float(region["loss"]) * case["weight"][row].item() for region, row in zip(want, plan.rows, strict=True)]
    )
    assert BallLoss(gate=GATE)(**case).item() == pytest.approx(loss, rel=1e-5)


def test_float32_finds_the_same_centres() -> None:
    case = scene(5, (1.0, 0.9, 1.3))
    exact, single = targets_of(case), targets_of({**case, "logits": case["logits"].float()})
    assert torch.equal(exact.centre, single.centre)
    assert torch.equal(exact.positive, single.positive)


def test_the_teacher_chooses() -> None:
    case = scene(2, (1.0, 1.0, 1.0))
    teacher = scene(3, (1.0, 1.0, 1.0))["logits"]
    own, taught = ball_loss(**case), ball_loss(**case, teacher_logits=teacher)
    assert own < taught  # the own likeliest voxels cost less than another's
    assert ball_loss(**case, teacher_logits=case["logits"]) == own


def one_region(size: int = 16, lesions: int = 1, diameter: float = 6.0, **changes: Tensor) -> dict[str, Tensor]:
    case = {
        "logits": torch.full((1, 1, size, size, size), -4.0),
        "region": torch.ones(1, 1, size, size, size, dtype=torch.uint8),
        "lesion_index": torch.zeros(lesions, 3, dtype=torch.long),
        "lesion_diameters_mm": torch.full((lesions, 3), diameter),
        "lesion_volume_mm3": torch.full((lesions,), torch.pi / 6 * diameter**3),
        "lesion_known": torch.ones(lesions, dtype=torch.bool),
        "rest_negative": torch.ones(1, 1, 1, dtype=torch.bool),
        "weight": torch.ones(1, 1, 1),
        "spacing_mm": torch.ones(1, 3),
    }
    return case | changes


def test_a_target_has_point_eight_of_the_volume_and_lesions_do_not_share_voxels() -> None:
    case = one_region(lesions=4)
    case["logits"] += torch.randn(case["logits"].shape, generator=torch.Generator().manual_seed(0))
    targets = targets_of(case, gate=1e-3)
    n = round(torch.pi / 6 * 6**3)
    assert targets.positive.sum() == 4 * round(0.8 * n)
    assert targets.foreground.sum().item() == pytest.approx(4 * round(0.8 * n), rel=1e-5)


def test_a_lesion_smaller_than_a_voxel_gets_one() -> None:
    case = one_region(diameter=0.3, spacing_mm=torch.tensor([[2.0, 2.0, 5.0]]))
    case["logits"][0, 0, 7, 8, 9] = 2.0
    targets = targets_of(case)
    assert targets.positive.nonzero().tolist() == [[0, 7, 8, 9]]


def test_a_volume_beyond_the_candidates_is_clamped() -> None:
    case = one_region(size=6, lesion_volume_mm3=torch.tensor([1e9]), lesion_diameters_mm=torch.full((1, 3), 50.0))
    targets = targets_of(case)
    assert targets.positive.sum() == round(0.8 * 6**3)
    assert not targets.background.any()


def test_more_lesions_than_voxels_leave_later_ones_without_a_target() -> None:
    case = one_region(size=2, lesions=40, diameter=1.0)
    loss = ball_loss(**case)
    assert loss.isfinite() and targets_of(case).region_trust.item() == 0


def test_nothing_seen_is_not_trusted() -> None:
    unseen, seen = one_region(), one_region()
    unseen["logits"] = torch.full_like(unseen["logits"], -14.0)
    seen["logits"][0, 0, 4:9, 4:9, 4:9] = 3.0
    unseen["logits"].requires_grad_()
    loss = ball_loss(**unseen)
    loss.backward()
    assert unseen["logits"].grad is not None
    assert unseen["logits"].grad.abs().sum() < 1e-4
    assert targets_of(unseen).peak.item() == pytest.approx(torch.tensor(-14.0).sigmoid().item(), rel=1e-3)
    assert targets_of(seen).region_trust.item() == 1


def test_one_lesion_that_is_not_found_keeps_the_rest_from_being_erased() -> None:
    case = one_region(lesions=2)
    case["logits"][:] = -14.0
    case["logits"][0, 0, 4:9, 4:9, 4:9] = 5.0  # 125 voxels; a lesion takes 113
    targets = targets_of(case, gate=0.3)
    assert targets.peak[0] > 0.9 and targets.foreground.max() > 1
    assert targets.region_trust.item() < 0.4


def test_rest_is_ignored_where_it_is_not_known() -> None:
    for change in ({"rest_negative": torch.zeros(1, 1, 1, dtype=torch.bool)}, {"lesion_known": torch.tensor([False])}):
        assert not targets_of(one_region(**change)).background.any()


def test_no_lesion_is_zero_with_zero_gradient() -> None:
    for case in (one_region(lesions=0), one_region(region=torch.zeros(1, 1, 16, 16, 16, dtype=torch.uint8))):
        case["logits"].requires_grad_()
        loss = ball_loss(**case)
        loss.backward()
        assert loss.item() == 0
        assert case["logits"].grad is not None and not case["logits"].grad.any()


def test_regions_of_weight_zero_count_nothing() -> None:
    case = scene(0, (1.0, 1.0, 1.0))
    case["weight"][0] = 0
    case["logits"].requires_grad_()
    ball_loss(**case).backward()
    assert case["logits"].grad is not None
    assert not case["logits"].grad[0].any() and case["logits"].grad[1].any()


def test_gradient() -> None:
    case = scene(1, (1.0, 0.8, 1.2))
    teacher = case.pop("logits")
    logits = teacher[:, :, :, :, ::2].clone().requires_grad_()
    case["region"] = case["region"][..., ::2]
    chosen = teacher[..., ::2]
    assert torch.autograd.gradcheck(lambda z: ball_loss(z, **case, teacher_logits=chosen), (logits,), fast_mode=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("logit", [-50.0, 50.0])
def test_extreme_bf16_logits(logit: float) -> None:
    case = scene(0, (1.0, 1.0, 2.0))
    case["logits"] = torch.full(case["logits"].shape, logit, dtype=torch.bfloat16, requires_grad=True)
    loss = ball_loss(**case)
    loss.backward()
    assert loss.isfinite() and loss.dtype == torch.float32
    assert case["logits"].grad is not None and case["logits"].grad.isfinite().all()


def test_a_step_never_waits_for_the_device() -> None:
    """Tensors without values: `.item()`, `nonzero`, boolean indexing and the like would raise."""
    case = scene(0, (1.0, 1.0, 1.0))
    plan = plan_balls(case["region"], case["lesion_index"], case["lesion_diameters_mm"], case["spacing_mm"])
    meta = torch.device("meta")
    loss = ball_loss(**{name: value.to(meta) for name, value in case.items()}, plan=plan.to(meta))
    assert loss.device == meta and loss.shape == ()
