"""The contrast with several right answers, against a slow version of its formula."""

import math

import pytest
import torch
from torch.nn import functional

from dictamen.errors import UsageError
from dictamen.losses.multi_positive import multi_positive_loss


def slow(queries: torch.Tensor, keys: torch.Tensor, positive: torch.Tensor, ignored: torch.Tensor, t: float) -> float:
    rows = []
    for i, query in enumerate(queries):
        score = [float(functional.cosine_similarity(query, key, dim=0)) / t for key in keys]
        right = [j for j in range(len(keys)) if positive[i, j] and not ignored[i, j]]
        wrong = sum(math.exp(s) for j, s in enumerate(score) if not positive[i, j] and not ignored[i, j])
        if right:
            rows.append(sum(-math.log(math.exp(score[j]) / (math.exp(score[j]) + wrong)) for j in right) / len(right))
    return sum(rows) / len(rows)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_equals_the_slow_version(temperature: float) -> None:
    draw = torch.Generator().manual_seed(0)
    queries, keys = torch.randn(7, 5, generator=draw).double(), torch.randn(9, 5, generator=draw).double()
    positive, ignored = torch.rand(7, 9, generator=draw) < 0.3, torch.rand(7, 9, generator=draw) < 0.2
    positive[3] = False
    found = multi_positive_loss(queries, keys, positive=positive, ignored=ignored, temperature=temperature)
    assert float(found) == pytest.approx(slow(queries, keys, positive, ignored, temperature))


def test_stays_finite_at_any_temperature_and_in_half_precision() -> None:
    queries = torch.randn(4, 8, dtype=torch.bfloat16, requires_grad=True)
    positive, nothing = torch.eye(4, dtype=torch.bool), torch.zeros(4, 4, dtype=torch.bool)
    loss = multi_positive_loss(queries, queries, positive=positive, ignored=nothing, temperature=1e-4)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert queries.grad is not None
    assert queries.grad.isfinite().all()


def test_without_a_positive_or_without_a_negative_there_is_nothing_to_learn() -> None:
    queries = torch.randn(3, 4, requires_grad=True)
    none, every = torch.zeros(3, 3, dtype=torch.bool), torch.ones(3, 3, dtype=torch.bool)
    for positive in (none, every):
        loss = multi_positive_loss(queries, queries, positive=positive, ignored=none)
        assert float(loss.detach()) == 0
        (gradient,) = torch.autograd.grad(loss, queries)
        assert gradient.isfinite().all()


def test_an_ignored_key_changes_nothing() -> None:
    queries, keys = torch.randn(3, 4), torch.randn(5, 4)
    positive, ignored = torch.eye(3, 5, dtype=torch.bool), torch.zeros(3, 5, dtype=torch.bool)
    ignored[:, 4] = True
    with_it = multi_positive_loss(queries, keys, positive=positive, ignored=ignored)
    without = multi_positive_loss(queries, keys[:4], positive=positive[:, :4], ignored=ignored[:, :4])
    assert torch.allclose(with_it, without)


def test_wrong_shapes_are_told() -> None:
    none = torch.zeros(2, 2, dtype=torch.bool)
    with pytest.raises(UsageError, match="contrast"):
        multi_positive_loss(torch.ones(3, 4), torch.ones(2, 4), positive=none, ignored=none)
