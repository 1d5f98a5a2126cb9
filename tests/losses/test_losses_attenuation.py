"""Attenuation loss against a loop over regions, its direction, and its empty cases."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dictamen.losses.attenuation import attenuation_loss
from dictamen.supervision.patch import HYPER, HYPO, ISO, NOT_SAID

SIZE = 12
SPACING = torch.tensor([[3.0, 2.0, 2.5], [4.0, 4.0, 4.0]])


def scene(seed: int = 0) -> dict[str, Tensor]:
    """Two studies, two labels, three rows, of which the last is padding."""
    rng = torch.Generator().manual_seed(seed)
    shape = (2, 2, SIZE, SIZE, SIZE)
    region = torch.randint(0, 3, shape, generator=rng).to(torch.uint8)
    return {
        "logits": torch.randn(shape, generator=rng) - 1,
        "image": torch.randn((2, 1, SIZE, SIZE, SIZE), generator=rng) * 0.3,
        "organ": torch.rand(shape, generator=rng) < 0.7,
        "region": region,
        "attenuation": torch.tensor(
            [[[HYPO, ISO, 0], [HYPER, NOT_SAID, 0]], [[HYPER, HYPO, 0], [ISO, HYPO, 0]]], dtype=torch.int8
        ),
        "weight": torch.tensor([[[1.0, 0.5, 0], [1.0, 1.0, 0]], [[0.7, 1.0, 0], [1.0, 0.0, 0]]]),
        "spacing_mm": SPACING,
    }  # fmt: skip


def slow(s: dict[str, Tensor], step: float) -> float:
    losses = []
    for b in range(2):
        for label in range(2):
            for row in range(3):
                said, weight = int(s["attenuation"][b, label, row]), float(s["weight"][b, label, row])
                inside = s["region"][b, label] == row + 1
                if said == NOT_SAID or weight == 0 or not inside.any():
                    continue
                p, x = s["logits"][b, label][inside].sigmoid(), s["image"][b, 0][inside]
                around = (1 - p) * s["organ"][b, label][inside]
                d = float(((p * x).sum() / p.sum() - (around * x).sum() / around.sum()) / step)
                wrong = max(0.0, {HYPO: d, HYPER: -d, ISO: abs(d) - 1}[said])
                losses.append(weight * wrong / (1 + wrong))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("seed", range(4))
def test_equals_a_loop_over_regions(seed: int) -> None:
    s = scene(seed)
    assert attenuation_loss(**s, step=0.01).item() == pytest.approx(slow(s, 0.01), rel=1e-4)
    half = {**s, "logits": s["logits"].bfloat16()}
    assert attenuation_loss(**half, step=0.01).item() == pytest.approx(slow(s, 0.01), rel=0.05)


def one(said: int, lesion: float, organ: float = 0.2) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """A cube of another intensity in an organ, half found; (logits, cube, the other arguments)."""
    cube = torch.zeros(1, 1, SIZE, SIZE, SIZE, dtype=torch.bool)
    cube[..., 4:8, 4:8, 4:8] = True
    logits = torch.where(cube, 0.0, -6.0).requires_grad_()
    others = {
        "image": torch.where(cube, lesion, organ),
        "organ": torch.ones_like(cube),
        "region": torch.ones_like(cube, dtype=torch.uint8),
        "attenuation": torch.tensor([[[said]]], dtype=torch.int8),
        "weight": torch.ones(1, 1, 1),
        "spacing_mm": torch.full((1, 3), 3.0),
    }
    return logits, cube, others


@pytest.mark.parametrize(
    ("said", "lesion", "zero"),
    [
        (HYPO, 0.0, True),
        (HYPO, 0.4, False),
        (HYPER, 0.4, True),
        (HYPER, 0.0, False),
        (ISO, 0.22, True),
        (ISO, 0.5, False),
    ],
)
def test_zero_where_the_sign_agrees_and_otherwise_the_lesion_is_pushed_away(
    said: int, lesion: float, zero: bool
) -> None:
    logits, cube, others = one(said, lesion)
    loss = attenuation_loss(logits, **others, step=0.1)
    loss.backward()
    assert logits.grad is not None
    assert (loss.item() == 0) is zero and (not logits.grad.any()) is zero
    if not zero:
        assert 0 < loss < 1
        assert (logits.grad[cube] > 0).all() and (logits.grad[~cube] <= 0).all()


def test_nothing_to_compare() -> None:
    for change in (
        {"attenuation": torch.zeros(1, 1, 1, dtype=torch.int8)},
        {"weight": torch.zeros(1, 1, 1)},
        {"organ": torch.zeros(1, 1, SIZE, SIZE, SIZE, dtype=torch.bool)},
        {"region": torch.zeros(1, 1, SIZE, SIZE, SIZE, dtype=torch.uint8)},
        {"spacing_mm": torch.full((1, 3), 0.5)},  # less than 1 mL of organ
    ):
        logits, _, others = one(HYPO, 0.4)
        loss = attenuation_loss(logits, **{**others, **change}, step=0.1)
        loss.backward()
        assert loss == 0 and logits.grad is not None and not logits.grad.any()
