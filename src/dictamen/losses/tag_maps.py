"""Loss of tag maps: where a voxel is labelled, the map of its tag should be the highest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from dictamen.losses.regions import working_precision

NEGATIVE, POSITIVE, UNKNOWN = 0, 1, 2
"""Values of `state`, as in `supervision.patch`."""
IGNORED = -100
"""Cells of which not enough is known; PyTorch's own sign for it."""
TEMPERATURE = 0.07
"""Of the cosines, as in the contrastive loss."""
HALF = 0.5


def tag_map_loss(
    maps: Float[Tensor, "batch tags *grid"], labels: Int[Tensor, "*batch_and_grid"], *, temperature: float = TEMPERATURE
) -> Float[Tensor, ""]:
    """Cross-entropy of softmax([S_background, S_1 ... S_K] / temperature) against `labels`, mean over known cells.

    Args:
        maps: cosines in [-1, 1], background first; half precision is computed in float32.
        labels: 0 background, k + 1 tag k, `IGNORED` unknown. No known cell: 0, gradient 0.
    """
    cost = functional.cross_entropy(
        working_precision(maps) / temperature, labels, ignore_index=IGNORED, reduction="sum"
    )
    return cost / (labels != IGNORED).sum().clamp(min=1)


def grid_labels(
    state: UInt8[Tensor, "batch labels *voxels"], channels: Sequence[int], grid: Sequence[int]
) -> Int[Tensor, "*batch_and_grid"]:
    """Labels of the cells of a coarse grid, for `tag_map_loss`.

    A cell belongs to the tag that fills most of it if that is at least half, else to the background. A cell of which
    less than half is known for some tag is `IGNORED`, unless another tag fills it.

    Args:
        state: 0 negative, 1 positive, 2 unknown.
        channels: the label channel of each tag, in the order of the maps.
        grid: cells along each axis.
    """
    chosen = state[:, list(channels)]
    filled = _means((chosen == POSITIVE).float(), grid)
    known = _means((chosen != UNKNOWN).float(), grid).amin(dim=1) >= HALF
    most, which = filled.max(dim=1)
    labels = torch.where(most >= HALF, which + 1, 0)
    return torch.where(known | (most >= HALF), labels, IGNORED)


def _means(values: Float[Tensor, "batch labels *voxels"], grid: Sequence[int]) -> Float[Tensor, "batch labels *cells"]:
    """Means of the voxels of each cell, in 2D or 3D."""
    if len(grid) == 2:
        return functional.adaptive_avg_pool2d(values, (grid[0], grid[1]))
    return functional.adaptive_avg_pool3d(values, (grid[0], grid[1], grid[2]))
