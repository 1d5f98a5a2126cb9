"""The refiner starts as the identity, on any grid."""

import pytest
import torch

from dictamen.models.refiner import CONFIDENCE, Refiner


@pytest.mark.parametrize("shape", [(8, 8, 8), (7, 9, 5), (1, 3, 2)])
def test_an_untrained_refiner_returns_the_mask_exactly(shape: tuple[int, int, int]) -> None:
    mask = (torch.rand(2, 1, *shape) < 0.5).float()
    logits = Refiner()(torch.randn(mask.shape), mask, torch.rand(mask.shape), torch.rand(mask.shape))
    assert torch.equal(logits, CONFIDENCE * (2 * mask - 1))
    assert torch.equal((logits.sigmoid() > 0.5).float(), mask)


def test_the_head_learns_from_the_first_step() -> None:
    refiner = Refiner()
    image, prior = torch.randn(1, 1, 8, 8, 8), torch.rand(1, 1, 8, 8, 8)
    refiner(image, torch.ones(1, 1, 8, 8, 8), prior, prior).sum().backward()
    gradient = refiner.network.head.weight.grad
    assert gradient is not None and gradient.abs().sum() > 0


def test_features_below_zero_reach_the_head() -> None:
    """Else some first weights never learn to add."""
    activation = Refiner().network.activate[-1]
    assert isinstance(activation, torch.nn.LeakyReLU) and activation.negative_slope == 0.2
