"""Absence loss: the top k of each region by a histogram, against a sort."""

import numpy as np
import pytest
import torch

from dictamen.losses.absence import AbsenceLoss, absence_loss, presence_loss


def slow_absence(logits: np.ndarray, region: np.ndarray, absent: np.ndarray, weight: np.ndarray, k: int) -> float:
    losses = []
    for b, label, row in np.ndindex(absent.shape):
        inside = np.sort(logits[b, label][region[b, label] == row + 1])[::-1][:k]
        if absent[b, label, row] and weight[b, label, row] > 0 and inside.size:
            losses.append(weight[b, label, row] * np.log1p(np.exp(inside)).mean())
    return sum(losses) / max(len(losses), 1)


def case(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    region = torch.randint(0, 4, (2, 2, 6, 7, 8), dtype=torch.uint8, generator=generator)
    region[1, 0][region[1, 0] == 2] = 0  # an absent region without a voxel
    logits = torch.randn(region.shape, dtype=torch.float64, generator=generator) * 3
    absent = torch.rand(2, 2, 3, generator=generator) > 0.3
    absent[1, 0, 1] = True
    weight = torch.rand(2, 2, 3, generator=generator) * (torch.rand(2, 2, 3, generator=generator) > 0.2)
    return logits, region, absent, weight


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [1, 5, 1000])
def test_equals_a_sort_up_to_a_bin(seed: int, k: int) -> None:
    logits, region, absent, weight = case(seed)
    got = AbsenceLoss(top_k=k)(logits, region, absent, weight).item()
    want = slow_absence(logits.numpy(), region.numpy(), absent.numpy(), weight.numpy(), k)
    assert got == pytest.approx(want, abs=1 / 16)  # within a bin the top k share
    assert k < 1000 or got == pytest.approx(want, rel=1e-6)


def test_is_exact_on_distinct_bins_and_ties_share() -> None:
    logits = torch.tensor([3.0, 2.0, 2.0, -1.0, 5.0]).view(1, 1, 5, 1, 1).requires_grad_()
    region = torch.tensor([1, 1, 1, 1, 0], dtype=torch.uint8).view(1, 1, 5, 1, 1)
    loss = absence_loss(logits, region, torch.ones(1, 1, 1, dtype=torch.bool), torch.ones(1, 1, 1), top_k=2)
    loss.backward()
    assert loss.item() == pytest.approx((np.log1p(np.exp(3)) + np.log1p(np.exp(2))) / 2, rel=1e-6)
    assert logits.grad is not None
    gradient = logits.grad.flatten()
    assert gradient[1] == gradient[2] > 0
    assert gradient[3] == gradient[4] == 0


def test_fraction_takes_at_least_one_voxel() -> None:
    logits, region, absent, weight = case(1)
    assert absence_loss(logits, region, absent, weight, top_fraction=1e-6) == absence_loss(
        logits, region, absent, weight, top_k=1
    )


def test_mean_term() -> None:
    logits, region, absent, weight = case(2)
    every = slow_absence(logits.numpy(), region.numpy(), absent.numpy(), weight.numpy(), 10**6)
    top = absence_loss(logits, region, absent, weight).item()
    assert absence_loss(logits, region, absent, weight, mean_weight=0.5).item() == pytest.approx(
        top + 0.5 * every, rel=1e-6
    )


def test_nothing_absent_is_zero() -> None:
    logits, region, absent, weight = case(3)
    logits.requires_grad_()
    loss = absence_loss(logits, region, torch.zeros_like(absent), weight)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and not logits.grad.any()


def test_gradient_and_extremes() -> None:
    logits, region, absent, weight = case(0)
    small, where = logits[:, :, :2, :2, :2].clone().requires_grad_(), region[:, :, :2, :2, :2]
    assert torch.autograd.gradcheck(
        lambda z: absence_loss(z, where, absent, weight, top_k=2, mean_weight=0.1), (small,)
    )
    extreme = (logits.sign() * 50).to(torch.bfloat16).requires_grad_()
    absence_loss(extreme, region, absent, weight).backward()
    assert extreme.grad is not None and extreme.grad.isfinite().all()


def test_presence_is_absence_of_the_other_sign_on_the_same_voxels() -> None:
    logits = torch.tensor([3.0, 2.0, 2.0, -1.0, 5.0]).view(1, 1, 5, 1, 1).requires_grad_()
    region = torch.tensor([1, 1, 1, 1, 0], dtype=torch.uint8).view(1, 1, 5, 1, 1)
    present = torch.ones(1, 1, 1, dtype=torch.bool)
    loss = presence_loss(logits, region, present, torch.full((1, 1, 1), 0.5), top_k=1)
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * np.log1p(np.exp(-3)), rel=1e-6)
    assert logits.grad is not None
    assert logits.grad.flatten()[0] < 0 and not logits.grad.flatten()[1:].any()
    assert presence_loss(logits, region, ~present, torch.ones(1, 1, 1)) == 0
