"""Masked Dice + BCE against a voxel-by-voxel numpy sum."""

import numpy as np
import pytest
import torch

from dictamen.losses.overlap import MaskedDiceBCE, masked_dice_bce


def slow_dice_bce(logits: np.ndarray, state: np.ndarray, batch_dice: bool, weight: np.ndarray | None = None) -> float:
    p = 1 / (1 + np.exp(-logits))
    weight = np.ones(logits.shape) if weight is None else weight
    bces, dices = [], []
    for label in range(logits.shape[1]):
        known = state[:, label] != 2
        t = state[:, label] == 1
        if known.any():
            cost = -np.where(t, np.log(p[:, label]), np.log(1 - p[:, label]))
            bces.append(np.average(cost[known], weights=weight[:, label][known]))
        groups = [slice(None)] if batch_dice else [slice(b, b + 1) for b in range(len(logits))]
        for group in groups:
            mask, true, prob, w = known[group], t[group], p[group, label], weight[group, label]
            if true.any():
                dices.append(1 - 2 * (w * prob)[true].sum() / ((w * prob)[mask].sum() + w[true].sum()))
    return (np.mean(bces) if bces else 0.0) + (np.mean(dices) if dices else 0.0)


@pytest.mark.parametrize("batch_dice", [False, True])
@pytest.mark.parametrize("values", [(0, 1, 2), (0, 2), (2,), (1,), (0, 1)])
def test_equals_a_slow_reference(values: tuple[int, ...], batch_dice: bool) -> None:
    rng = np.random.default_rng(0)
    logits, state = rng.normal(size=(2, 3, 4, 5, 6)), rng.choice(values, size=(2, 3, 4, 5, 6)).astype(np.uint8)
    state[0, 0] = 2
    got = MaskedDiceBCE(batch_dice=batch_dice)(torch.tensor(logits), torch.tensor(state))
    assert got.item() == pytest.approx(slow_dice_bce(logits, state, batch_dice), rel=1e-6)


@pytest.mark.parametrize("batch_dice", [False, True])
def test_weights_of_voxels(batch_dice: bool) -> None:
    rng = np.random.default_rng(1)
    shape = (2, 3, 4, 5, 6)
    logits, state = rng.normal(size=shape), rng.integers(0, 3, size=shape).astype(np.uint8)
    weight = rng.uniform(0.1, 1.5, size=shape)
    got = masked_dice_bce(*map(torch.tensor, (logits, state, weight)), batch_dice=batch_dice)
    assert got.item() == pytest.approx(slow_dice_bce(logits, state, batch_dice, weight), rel=1e-6)


def test_unknown_voxels_have_no_gradient() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 2, 4, 4, 4, requires_grad=True)
    state = torch.randint(0, 3, logits.shape, dtype=torch.uint8)
    masked_dice_bce(logits, state).backward()
    assert logits.grad is not None
    assert (logits.grad[state == 2] == 0).all()
    assert (logits.grad[state == 1] < 0).all()
    assert (logits.grad[state == 0] > 0).all()


def test_nothing_known_is_zero_with_zero_gradient() -> None:
    logits = torch.randn(1, 2, 3, 3, 3, requires_grad=True)
    loss = masked_dice_bce(logits, torch.full(logits.shape, 2, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and not logits.grad.any()


def test_gradient_and_extremes() -> None:
    state = torch.randint(0, 3, (1, 2, 2, 2, 3), dtype=torch.uint8)
    logits = torch.randn(state.shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: masked_dice_bce(z, state), (logits,))
    extreme = torch.where(torch.rand(state.shape) > 0.5, 50.0, -50.0).to(torch.bfloat16).requires_grad_()
    masked_dice_bce(extreme, state).backward()
    assert extreme.grad is not None and extreme.grad.isfinite().all()
