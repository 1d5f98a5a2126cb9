"""Tag maps in training."""

import torch

from dictamen.training.tag_supervision import matching, supervised_maps


def test_tags_find_their_output() -> None:
    tags = ("kidney", "kidney:left", "kidney/cyst", "liver", "kidney/tumour")
    assert set(matching(tags, ("kidney_tumour", "kidney"))) == {(0, 1), (4, 0)}


def test_maps_that_are_right_cost_less() -> None:
    state = torch.zeros(1, 2, 8, 8, 8, dtype=torch.uint8)
    state[:, 1, :4] = 1
    maps = torch.zeros(1, 3, 2, 2, 2)
    maps[:, 0], maps[:, 2, 0] = 0.5, 0.9
    right = supervised_maps(maps, state, ((1, 1),))
    assert right < supervised_maps(maps.flip(2), state, ((1, 1),))
