"""As many voxels as a score says, and the likeliest ones."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from dictamen.losses.likely_masks import likely_masks
from dictamen.losses.overlap import NEGATIVE, POSITIVE, UNKNOWN
from dictamen.losses.region_tables import MIXED, NONE, OVER, UNDER, FeedbackTable
from dictamen.supervision.score_scale import fraction_to_add, fraction_to_remove

SHAPE = (6, 5, 8)
INSIDE = 0.2 + 0.6 * torch.rand(1, 1, *SHAPE, generator=torch.Generator().manual_seed(3))


def table(direction: int, lo: float, hi: float, weight: float = 1.0) -> FeedbackTable:
    one = lambda value, dtype=torch.float32: torch.tensor([[[value]]], dtype=dtype)  # noqa: E731
    return FeedbackTable(one((lo + hi) / 2), one(lo), one(hi), one(direction, torch.uint8), one(weight))


def volume(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(logits, mask of 96 voxels, one region over all but the last slice)."""
    torch.manual_seed(seed)
    mask = torch.zeros(1, 1, *SHAPE)
    mask[..., 1:5, 1:4, :] = 1
    region = torch.ones(1, 1, *SHAPE, dtype=torch.uint8)
    region[..., -1] = 0
    return torch.randn(1, 1, *SHAPE), mask, region


def smoothed(values: torch.Tensor) -> np.ndarray:
    """Mean over the voxels within one step, by a loop."""
    p = values[0, 0].numpy()
    out = np.zeros_like(p)
    for x, y, z in np.ndindex(p.shape):
        out[x, y, z] = p[max(x - 1, 0) : x + 2, max(y - 1, 0) : y + 2, max(z - 1, 0) : z + 2].mean()
    return out


def depth(mask: torch.Tensor) -> np.ndarray:
    """Erosions that a voxel withstands, at most three."""
    inside = mask[0, 0].numpy() > 0
    cube = np.ones((3, 3, 3))
    return np.sum([ndimage.binary_erosion(inside, cube, iterations=n, border_value=1) for n in (1, 2, 3)], axis=0)


@pytest.mark.parametrize(("direction", "changed"), [(OVER, NEGATIVE), (UNDER, POSITIVE)])
def test_the_likeliest_voxels_change_as_many_as_the_bin_says(direction: int, changed: int) -> None:
    logits, mask, region = volume()
    state, weight = likely_masks(logits, mask, region, table(direction, 0.85, 0.92), inside=INSIDE)
    y, got, here = mask[0, 0].numpy() > 0, state[0, 0].numpy(), region[0, 0].numpy() > 0
    among, fraction = (y, fraction_to_remove) if direction == OVER else (~y, fraction_to_add)
    among = among & here
    size = int((y & here).sum())
    likely = logits + torch.logit(INSIDE)
    order = likely[0, 0].numpy()
    order = (-order - depth(mask) if direction == OVER else order + 2 * smoothed(likely))[among]
    ranked = got[among][np.argsort(-order, kind="stable")]
    least, most = round(size * fraction(0.92)), round(size * fraction(0.85))
    assert 0 < least < most
    assert set(ranked[:least]) == {changed} and set(ranked[least:most]) == {UNKNOWN}
    assert set(ranked[most:]) == {POSITIVE if direction == OVER else NEGATIVE}
    kept = ~among
    assert np.array_equal(got[kept] == POSITIVE, y[kept]) and set(np.unique(got[kept])) <= {NEGATIVE, POSITIVE}
    assert torch.equal(weight, torch.ones_like(weight))


def test_a_mixed_region_changes_on_both_sides() -> None:
    logits, mask, region = volume()
    state, _ = likely_masks(logits, mask, region, table(MIXED, 0.7, 0.85), inside=INSIDE)
    y, got, here = mask[0, 0].numpy() > 0, state[0, 0].numpy(), region[0, 0].numpy() > 0
    size = int((y & here).sum())
    least, most = round(0.5 * size * 0.15), round(1.5 * size * 0.3)
    for side, changed in ((y & here, NEGATIVE), (~y & here, POSITIVE)):
        assert np.count_nonzero(got[side] == changed) == least
        assert np.count_nonzero(got[side] == UNKNOWN) == most - least


def test_right_regions_stay_and_unanswered_ones_are_unknown() -> None:
    logits, mask, region = volume()
    state, _ = likely_masks(logits, mask, region, table(NONE, 0.97, 1.0), inside=INSIDE)
    assert torch.equal(state, mask.to(torch.uint8))
    state, weight = likely_masks(logits, mask, region, table(0, 0.0, 1.0, weight=0.0), inside=INSIDE)
    assert set(state[region > 0].tolist()) == {UNKNOWN} and not weight[region > 0].any()
    assert torch.equal(state[region == 0], mask[region == 0].to(torch.uint8))


def test_a_region_without_mask_and_the_worst_score_leave_all_open() -> None:
    logits, mask, region = volume()
    state, _ = likely_masks(logits, torch.zeros_like(mask), region, table(UNDER, 0.7, 0.85), inside=INSIDE)
    assert not state.any()  # a part of nothing is nothing
    state, _ = likely_masks(logits, mask, region, table(UNDER, 0.0, 0.7), inside=INSIDE)
    outside = (mask == 0) & (region > 0)
    assert set(state[outside].tolist()) == {POSITIVE, UNKNOWN}


def test_before_training_intensities_choose() -> None:
    _, mask, region = volume()
    sure = torch.where(torch.arange(SHAPE[2]) < 3, 0.01, 0.99).expand(1, 1, *SHAPE)
    state, _ = likely_masks(6 * mask - 3, mask, region, table(OVER, 0.7, 0.85), inside=sure)
    removed = (state == NEGATIVE) & (mask > 0)
    assert removed.any() and not removed[..., 3:].any()
