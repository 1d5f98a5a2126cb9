"""Losses of pretraining against slow references, and what must hold of them."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from dictamen.errors import UsageError
from dictamen.losses.contrastive import TEMPERATURES, ContrastiveLoss, contrastive_loss, soft_targets
from dictamen.losses.tag_maps import IGNORED, grid_labels, tag_map_loss
from dictamen.losses.tag_recognition import TagRecognitionLoss, tag_recognition_loss


def slow_contrastive(image: np.ndarray, text: np.ndarray, temperature: float, targets: np.ndarray) -> float:
    total, size = 0.0, len(image)
    for first, second in ((image, text), (text, image)):
        for i in range(size):
            scores = [
                float(first[i] @ second[j] / np.linalg.norm(first[i]) / np.linalg.norm(second[j]) / temperature)
                for j in range(size)
            ]
            log_sum = math.log(sum(math.exp(score) for score in scores))
            total -= sum(targets[i, j] * (scores[j] - log_sum) for j in range(size))
    return total / (2 * size)


def slow_asymmetric(x: np.ndarray, y: np.ndarray, w: np.ndarray, plus: float, minus: float, clip: float) -> float:
    total, known = 0.0, 0
    for index in np.ndindex(x.shape):
        p = 1 / (1 + math.exp(-x[index]))
        p_m = max(p - clip, 0.0)
        cost = -((1 - p) ** plus * math.log(p)) if y[index] else -(p_m**minus * math.log(1 - p_m))
        total += w[index] * cost
        known += w[index] > 0
    return total / max(known, 1)


@pytest.mark.parametrize("soft", [False, True])
def test_contrastive_equals_its_definition(soft: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    image, text = torch.randn(2, 5, 7, generator=generator, dtype=torch.float64)
    target = (torch.rand(5, 4, generator=generator) > 0.5).double()
    weight = (torch.rand(5, 4, generator=generator) > 0.3).double()
    targets = soft_targets(target, weight) if soft else None
    got = contrastive_loss(image, text, torch.tensor(0.2), targets)
    want = slow_contrastive(image.numpy(), text.numpy(), 0.2, np.eye(5) if targets is None else targets.numpy())
    assert got.item() == pytest.approx(want, rel=1e-6)


def test_soft_targets_share_among_reports_that_say_the_same() -> None:
    target = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    weight = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    targets = soft_targets(target, weight)
    torch.testing.assert_close(targets.sum(1), torch.ones(4))
    torch.testing.assert_close(targets[0, 0], targets[0, 1])
    assert targets[0, 2] < 1e-6
    assert targets[3, 3] > 0.99  # a silent report is its own


def test_at_the_start_the_loss_is_the_logarithm_of_the_batch() -> None:
    torch.manual_seed(0)
    loss = ContrastiveLoss()(torch.randn(64, 256), torch.randn(64, 256))
    assert loss.item() == pytest.approx(
        math.log(64), rel=0.15
    )  # random directions in 256 dimensions are near orthogonal


def test_a_batch_of_one_is_refused() -> None:
    with pytest.raises(UsageError, match="two pairs"):
        ContrastiveLoss()(torch.randn(1, 8), torch.randn(1, 8))


def test_the_temperature_stays_in_its_bounds_and_half_precision_is_finite() -> None:
    loss = ContrastiveLoss()
    assert loss.temperature.item() == pytest.approx(0.07)
    for extreme, bound in zip((-30.0, 5.0), TEMPERATURES, strict=True):
        loss.log_temperature.data.fill_(extreme)
        assert loss.temperature.item() == pytest.approx(bound)
        assert loss(torch.randn(4, 8).bfloat16(), torch.randn(4, 8).bfloat16()).isfinite()


@pytest.mark.parametrize(("plus", "minus", "clip"), [(0.0, 4.0, 0.05), (1.0, 2.0, 0.0), (0.0, 1.0, 0.2)])
def test_asymmetric_equals_its_definition(plus: float, minus: float, clip: float) -> None:
    generator = torch.Generator().manual_seed(2)
    logits = 3 * torch.randn(4, 6, generator=generator, dtype=torch.float64)
    target = (torch.rand(4, 6, generator=generator) > 0.5).double()
    weight = torch.rand(4, 6, generator=generator).double() * (torch.rand(4, 6, generator=generator) > 0.3)
    got = TagRecognitionLoss(gamma_positive=plus, gamma_negative=minus, clip=clip)(logits, target, weight)
    want = slow_asymmetric(logits.numpy(), target.numpy(), weight.numpy(), plus, minus, clip)
    assert got.item() == pytest.approx(want, rel=1e-6)


def test_without_gammas_and_clip_it_is_cross_entropy_even_of_extreme_logits() -> None:
    logits, target = torch.tensor([[-40.0, 40.0, 0.3, -0.2]]), torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    got = tag_recognition_loss(logits, target, torch.ones(1, 4), gamma_negative=0.0, clip=0.0)
    torch.testing.assert_close(got, functional.binary_cross_entropy_with_logits(logits, target))


def test_as_published_an_undecided_present_tag_pulls_seven_times_as_hard_as_an_absent_one() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)
    tag_recognition_loss(logits, torch.tensor([[1.0, 0.0]]), torch.ones(1, 2)).backward()
    assert logits.grad is not None
    present, absent = logits.grad[0].tolist()
    assert -present / absent == pytest.approx(6.8, abs=0.1)


def test_unknown_tags_have_no_gradient() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    weight = torch.tensor([[1.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
    tag_recognition_loss(logits, torch.ones(2, 3), weight).backward()
    assert logits.grad is not None
    assert ((logits.grad != 0) == (weight > 0)).all()
    assert tag_recognition_loss(logits, torch.ones(2, 3), torch.zeros(2, 3)).item() == 0


@pytest.mark.parametrize("axes", [2, 3])
def test_map_loss_equals_a_loop_over_known_cells(axes: int) -> None:
    generator = torch.Generator().manual_seed(3)
    maps = (torch.rand(2, 3, *(2,) * axes, generator=generator, dtype=torch.float64) * 2 - 1).requires_grad_()
    labels = torch.randint(0, 3, (2, *(2,) * axes), generator=generator)
    labels.view(-1)[::3] = IGNORED
    costs = []
    for place in np.ndindex(*labels.shape):
        if labels[place] != IGNORED:
            row = np.exp(maps[place[0], :, *place[1:]].detach().numpy() / 0.07)
            costs.append(-math.log(row[labels[place]] / row.sum()))
    loss = tag_map_loss(maps, labels)
    assert loss.item() == pytest.approx(np.mean(costs), rel=1e-6)
    loss.backward()
    assert maps.grad is not None
    assert (maps.grad.abs().sum(1)[labels == IGNORED] == 0).all()
    assert tag_map_loss(maps, torch.full_like(labels, IGNORED)).item() == 0


def test_cells_take_the_tag_that_fills_half_of_them() -> None:
    state = torch.zeros(1, 3, 4, 2, 2, dtype=torch.uint8)
    state[0, 2, :2] = 1  # tag 0 is channel 2
    state[0, 0, 2:] = 2  # tag 1 is channel 0, unknown in the second half
    labels = grid_labels(state, (2, 0), (2, 1, 1))
    assert labels.flatten().tolist() == [1, IGNORED]
    state[0, 0, 2:] = 0
    state[0, 0, 3, 0] = 1  # a quarter of the cell
    assert grid_labels(state, (2, 0), (2, 1, 1)).flatten().tolist() == [1, 0]
