"""Pseudo-labels: as many components as the report has lesions."""

from dataclasses import replace

import torch
from test_losses_total import SIZE, two_organs

from dictamen.losses.ball_plan import plan_of
from dictamen.losses.pseudo_labels import pseudo_label_targets
from dictamen.losses.total import LossWeights, report_losses


def spots() -> torch.Tensor:
    """Three spots in the first organ, of p = .9, .7 and .5, each with a rim of half its probability, and a neighbour
    of p = .95 in the second."""
    p = torch.full((1, 1, 2 * SIZE, SIZE, SIZE), 0.01)
    for x, value in ((5, 0.9), (12, 0.7), (19, 0.5), (40, 0.95)):
        p[..., x - 1 : x + 2, 8:11, 8:11] = value / 2
        p[..., x, 9, 9] = value
    return torch.logit(p)


def test_the_two_best_components_at_four_tenths_of_their_peak() -> None:
    s, logits = two_organs(), spots()
    plan = plan_of(s)
    targets = pseudo_label_targets(logits, s, plan)
    (x, y, z), (nx, ny, nz) = plan.start[0], plan.size
    found = torch.zeros(logits.shape[2:], dtype=torch.bool)
    found[x : x + nx, y : y + ny, z : z + nz] = targets.positive[0]
    expected = torch.zeros_like(found)
    for centre in (5, 12):
        expected[centre - 1 : centre + 2, 8:11, 8:11] = True
    assert torch.equal(found, expected)
    assert int(targets.background.sum()) == int((s.region == 1).sum()) - int(expected.sum())
    open_ended = replace(s, rest_negative=torch.zeros_like(s.rest_negative))
    assert not pseudo_label_targets(logits, open_ended, plan).background.any()


def test_they_join_the_masks() -> None:
    s, logits = two_organs(), spots()
    weights = LossWeights(ball_mode="pseudo_labels", volume=0.0)
    terms = report_losses(logits.requires_grad_(), None, s.state, s, weights)
    terms["total"].backward()
    assert logits.grad is not None
    assert logits.grad[0, 0, 5, 9, 9] < 0 < logits.grad[0, 0, 19, 9, 9]
