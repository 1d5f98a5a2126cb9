"""Losses of prompted networks: values by hand, gradients, and what is unknown."""

import math

import torch

from dictamen.losses.prompts import exclusion_loss, hierarchy_loss, presence_bce, sentence_contrast


def test_presence_weighs_there_and_not_there_alike_and_leaves_the_unknown_out() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 50.0]], requires_grad=True)
    loss = presence_bce(logits, torch.tensor([[1, 0, 0, 2]], dtype=torch.uint8))
    assert loss.item() == torch.tensor(math.log(2)).item()
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0].tolist() == [-0.25, 0.125, 0.125, 0.0]
    assert presence_bce(logits, torch.full((1, 4), 2, dtype=torch.uint8)).item() == 0


def test_a_part_within_its_whole_costs_nothing() -> None:
    part, whole = torch.full((1, 1, 2, 2, 2), -9.0), torch.full((1, 1, 2, 2, 2), -9.0)
    part[..., 0, 0, 0], whole[..., :, 0, 0] = 9.0, 9.0
    pairs = torch.tensor([[0, 1]])
    assert hierarchy_loss(torch.cat([part, whole], 1), pairs) < 1e-3
    assert hierarchy_loss(torch.cat([whole, part], 1), pairs) > 0.4  # half of the part is outside
    assert hierarchy_loss(part, torch.zeros(0, 2, dtype=torch.long)) == 0


def test_shared_voxels_of_what_must_be_apart_cost_their_share() -> None:
    one, other = torch.full((1, 1, 4, 1, 1), -20.0), torch.full((1, 1, 4, 1, 1), -20.0)
    one[0, 0, :2], other[0, 0, 1:3] = 20.0, 20.0
    loss = exclusion_loss(torch.cat([one, other], 1), torch.tensor([[0, 1]]))
    assert torch.isclose(loss, torch.tensor(0.5), atol=1e-4)


def test_the_right_sentence_must_answer_loudest_in_its_lesion() -> None:
    state = torch.zeros(1, 3, 4, 1, 1, dtype=torch.uint8)
    state[0, 0, 0], state[0, 1, 2] = 1, 1
    group = torch.tensor([[1, 1, 0]])
    logits = torch.zeros(1, 3, 4, 1, 1, requires_grad=True)
    loss = sentence_contrast(logits, state, group)
    assert torch.isclose(loss, torch.tensor(math.log(2)))
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 0, 0] < 0 < logits.grad[0, 1, 0]
    assert not logits.grad[0, 2].any() and not logits.grad[0, :, 1].any()
    assert sentence_contrast(logits, state, torch.tensor([[1, 0, 0]])) == 0
