import copy

import pytest
import torch
from torch import nn

from dictamen.errors import UsageError
from dictamen.models.ema import WARM_UP, ExponentialMovingAverage


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def walk(model: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn(parameter.shape, generator=generator)


def test_it_is_the_recursion_of_its_docstring() -> None:
    model = network()
    ema, mean = ExponentialMovingAverage(model, decay=0.5), model[0].weight.detach().clone().double()
    for step in range(20):
        walk(model, step)
        ema.update(model)
        decay = min(0.5, (1 + step) / (WARM_UP + step))
        mean = decay * mean + (1 - decay) * model[0].weight.detach().double()
    assert torch.allclose(ema.model[0].weight.double(), mean, atol=1e-5)


def test_buffers_are_taken_over() -> None:
    model = network()
    ema = ExponentialMovingAverage(model)
    model(torch.randn(8, 3))
    ema.update(model)
    assert torch.equal(ema.model[1].running_mean, model[1].running_mean)


def test_resumed_equals_uninterrupted() -> None:
    model = network()
    whole, first = ExponentialMovingAverage(model, decay=0.9), ExponentialMovingAverage(model, decay=0.9)
    for step in range(4):
        walk(model, step)
        whole.update(model)
        first.update(model)
    second = ExponentialMovingAverage(network(), decay=0.9)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for step in range(4, 9):
        walk(model, step)
        whole.update(model)
        second.update(model)
    assert int(second.updates) == 9
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True))


def test_swap_gives_the_mean_and_takes_it_back_even_after_an_error() -> None:
    model = network()
    ema = ExponentialMovingAverage(model)
    walk(model, 0)
    own = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError, match="stop"), ema.swap(model) as swapped:
        assert torch.equal(swapped[0].weight, ema.model[0].weight)
        raise RuntimeError("stop")
    assert all(torch.equal(own[name], value) for name, value in model.state_dict().items())


def test_the_mean_never_trains() -> None:
    ema = ExponentialMovingAverage(network())
    ema.train()
    assert not ema.model.training
    assert not any(parameter.requires_grad for parameter in ema.parameters())


def test_wrong_decay() -> None:
    with pytest.raises(UsageError, match="decay"):
        ExponentialMovingAverage(network(), decay=1.0)
