"""Losses of region feedback against slow references; signs of gradients; what is skipped has none."""

import math
from typing import Any

import pytest
import torch
from feedback_cases import SHAPE, random_feedback, random_table

from dictamen.errors import UsageError
from dictamen.losses.band import band_loss
from dictamen.losses.direction import direction_loss
from dictamen.losses.edge import edge_loss
from dictamen.losses.refinement import FeedbackTable, RefinementWeights, refinement_losses
from dictamen.losses.region_tables import MIXED, NONE, OVER, UNDER, region_sizes
from dictamen.losses.score import BARRIER, score_loss


def sizes_by_loop(case: dict[str, torch.Tensor], b: int, k: int) -> tuple[float, float, float]:
    p, y, r = case["logits"][b].sigmoid(), case["mask"][b], case["region"][b]
    both = predicted = initial = 0.0
    for pi, yi, ri in zip(p.flatten().tolist(), y.flatten().tolist(), r.flatten().tolist(), strict=True):
        if ri == k + 1:
            predicted, initial, both = predicted + pi, initial + yi, both + pi * yi
    return predicted, initial, both


def dice_by_loop(case: dict[str, torch.Tensor], b: int, k: int) -> float:
    predicted, initial, both = sizes_by_loop(case, b, k)
    return (2 * both + 1) / (predicted + initial + 1)


def sizes(case: dict[str, torch.Tensor]) -> Any:
    return region_sizes(case["logits"].sigmoid(), case["mask"], case["region"], rows=3)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def psi(z: float) -> float:
    log = -math.log(-z) / BARRIER if z < 0 else math.inf
    return log if z <= -1 / BARRIER**2 else BARRIER * z - math.log(1 / BARRIER**2) / BARRIER + 1 / BARRIER


def one_score_loss(mode: str, dice: float, target: float, lo: float, hi: float, noise: float) -> float:
    """One region, in plain arithmetic."""
    if mode == "centre":
        off = abs(dice - target)
        return 4 * (0.5 * off**2 / 0.05 if off < 0.05 else off - 0.025)
    if mode == "hinge":
        return 4 * (max(lo - dice, 0) + max(dice - hi, 0))
    if mode == "barrier":
        return psi(lo - dice) + psi(dice - hi)
    return -math.log(max(sigmoid((hi - dice) / noise) - sigmoid((lo - dice) / noise), 1e-6))


@pytest.mark.parametrize("mode", ["centre", "hinge", "barrier", "ordinal"])
def test_score_loss_against_a_loop(mode: str) -> None:
    case, table = random_feedback(), random_table()
    got = score_loss(sizes(case), table.target, table.lo, table.hi, table.weight, mode=mode, noise=0.1)  # type: ignore[arg-type]
    rows = [(b, k) for b in range(2) for k in range(3) if table.weight[b, 0, k] > 0]
    want = [
        one_score_loss(mode, dice_by_loop(case, b, k), *(float(t[b, 0, k]) for t in table[:3]), 0.1) for b, k in rows
    ]
    assert got.item() == pytest.approx(sum(want) / len(want), rel=1e-5)


@pytest.mark.parametrize("mode", ["centre", "hinge", "barrier", "ordinal"])
def test_score_loss_gradient(mode: str) -> None:
    case, table = random_feedback(), random_table()
    logits = case.pop("logits")

    def loss(values: torch.Tensor) -> torch.Tensor:
        return score_loss(sizes({**case, "logits": values}), *table[:3], table.weight, mode=mode, noise=0.1)  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(loss, (logits,))


def test_ordinal_is_open_at_the_ends_of_the_scale() -> None:
    case, table = random_feedback(), random_table()
    whole = table._replace(lo=torch.zeros_like(table.lo), hi=torch.ones_like(table.hi))
    assert score_loss(sizes(case), *whole[:3], whole.weight, mode="ordinal").item() == pytest.approx(0, abs=1e-9)


def test_a_region_without_mask_says_only_the_direction() -> None:
    case, table = random_feedback(), random_table()
    case["mask"] = torch.zeros(SHAPE, dtype=torch.float64)
    assert score_loss(sizes(case), *table[:3], table.weight).item() == 0
    assert direction_loss(sizes(case), table.direction, table.weight).item() > 0


def test_unknown_mode_is_an_error() -> None:
    table = random_table()
    with pytest.raises(UsageError, match="mode"):
        score_loss(sizes(random_feedback()), *table[:3], table.weight, mode="exact")  # type: ignore[arg-type]


def test_direction_loss_against_a_loop() -> None:
    case, table = random_feedback(), random_table()
    want = []
    for b in range(2):
        for k in range(3):
            side = int(table.direction[b, 0, k])
            if not side or not table.weight[b, 0, k]:
                continue
            predicted, initial, both = sizes_by_loop(case, b, k)
            grown, shrunk = (predicted - both) / (initial + 1), (initial - both) / (initial + 1)
            want.append((grown if side in (OVER, NONE) else 0) + (shrunk if side in (UNDER, NONE) else 0))
    got = direction_loss(sizes(case), table.direction, table.weight)
    assert got.item() == pytest.approx(sum(want) / len(want), rel=1e-6)


def gradient(
    side: int, *, score: bool, weight: float = 1.0, likely: float = 0.0
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Gradient of the logits with all of region 1 answered `side`, from p = the initial mask's own."""
    case = random_feedback()
    case["logits"] = (3 * (2 * case["mask"] - 1)).requires_grad_()
    case["region"] = torch.ones(SHAPE, dtype=torch.uint8)
    full = torch.ones(2, 1, 1, dtype=torch.float64)
    table = FeedbackTable(
        0.6 * full, 0.5 * full, 0.7 * full, torch.full((2, 1, 1), side, dtype=torch.uint8), weight * full
    )
    weights = RefinementWeights(score=float(score), edge=0, band=0, likely=likely)
    terms = refinement_losses(
        case["logits"], mask=case["mask"], region=case["region"], band=case["band"], edge=case["edge"],
        inside=case["inside"], table=table,
        weights=weights,
    )  # fmt: skip
    terms["total"].backward()
    grad = case["logits"].grad
    assert grad is not None
    return case, grad


@pytest.mark.parametrize("score", [False, True])
def test_gradient_signs(score: bool) -> None:
    case, grad = gradient(OVER, score=score)
    inside = case["mask"] > 0
    assert (grad[~inside] > 0).all()  # descent pushes p down: no growth where there is too much
    if score:
        assert (grad[inside] > 0).all()  # and shrinks the mask, since its Dice with the right one is below 1
    case, grad = gradient(UNDER, score=score)
    inside = case["mask"] > 0
    assert (grad[inside] < 0).all()  # descent pushes p up: nothing is lost where there is too little
    assert (grad[~inside] < 0).all() if score else not grad[~inside].any()  # and the score makes it grow
    case, grad = gradient(NONE, score=False)
    inside = case["mask"] > 0
    assert (grad[inside] < 0).all() and (grad[~inside] > 0).all()
    _, grad = gradient(MIXED, score=False)
    assert not grad.any()


def test_skipped_regions_have_no_gradient() -> None:
    for likely in (0.0, 1.0):
        _, grad = gradient(0, score=True, weight=0.0, likely=likely)
        assert not grad.any()


def test_gradient_signs_with_likely_voxels() -> None:
    case, grad = gradient(OVER, score=True, likely=1.0)
    assert (grad[case["mask"] == 0] > 0).all()
    case, grad = gradient(UNDER, score=True, likely=1.0)
    assert (grad[case["mask"] > 0] < 0).all()


def test_edge_loss_against_a_loop() -> None:
    case = random_feedback()
    p, e = case["logits"].sigmoid().detach(), case["edge"]
    top = bottom = 0.0
    for b in range(2):
        for x in range(SHAPE[2]):
            for y in range(SHAPE[3]):
                for z in range(SHAPE[4]):
                    here = p[b, 0, x, y, z].item()
                    steps = [
                        p[b, 0, x + dx, y + dy, z + dz].item() - here
                        for dx, dy, dz in ((1, 0, 0), (0, 1, 0), (0, 0, 1))
                        if x + dx < SHAPE[2] and y + dy < SHAPE[3] and z + dz < SHAPE[4]
                    ]
                    length = math.sqrt(sum(s * s for s in steps))
                    top, bottom = top + length * (1 - e[b, 0, x, y, z].item()), bottom + length
    assert edge_loss(p, e).item() == pytest.approx(top / bottom, rel=5e-3)
    assert edge_loss(torch.full(SHAPE, 0.3), torch.rand(SHAPE)).item() == pytest.approx(0, abs=1e-5)
    assert edge_loss(p, torch.ones_like(e)).item() == 0


def test_edge_loss_has_finite_gradients_where_nothing_changes() -> None:
    logits = torch.zeros(SHAPE, requires_grad=True)
    edge_loss(logits.sigmoid(), torch.rand(SHAPE)).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_band_loss_against_a_loop() -> None:
    case = random_feedback()
    p, band = case["logits"].sigmoid().detach(), case["band"]
    outside = [a for a, inside in zip(p.flatten().tolist(), band.flatten().tolist(), strict=True) if not inside]
    undecided = [a * (1 - a) for a in p.flatten().tolist()]
    want = 10 * sum(outside) / len(outside) + 10 * sum(undecided) / len(undecided)
    assert band_loss(p, band).item() == pytest.approx(want)
    everywhere = torch.ones(SHAPE, dtype=torch.bool)
    assert band_loss(torch.ones(SHAPE), everywhere).item() == 0


def test_total_is_the_weighted_sum() -> None:
    case, table = random_feedback(), random_table()
    weights = RefinementWeights()
    logits = case.pop("logits")
    terms = refinement_losses(logits, **case, table=table, weights=weights)
    want = sum(getattr(weights, name) * terms[name].item() for name in ("score", "direction", "edge", "band", "likely"))
    assert terms["total"].item() == pytest.approx(want)
    terms["total"].backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
