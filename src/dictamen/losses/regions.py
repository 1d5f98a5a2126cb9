"""Sums over regions in one pass over the voxels, however many regions there are; nothing here waits for the device."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor


def working_precision(logits: Float[Tensor, " ..."]) -> Float[Tensor, " ..."]:
    """float32 for half precisions, because sums over 10^5 voxels and logarithms need it; float64 stays."""
    return logits if logits.dtype == torch.float64 else logits.float()


def row_of_voxel(region: UInt8[Tensor, "B L X Y Z"], rows: int) -> Int[Tensor, " N"]:
    """Where each voxel's region stands in a flattened table [B, L, rows + 1], whose column 0 means "no region"."""
    batch, labels = region.shape[:2]
    first = torch.arange(batch * labels, device=region.device, dtype=torch.int32) * (rows + 1)
    return (region.flatten(2) + first.view(batch, labels, 1)).flatten()


def sum_by_region(
    values: Float[Tensor, "B L X Y Z"], row: Int[Tensor, " N"], shape: tuple[int, int, int]
) -> Float[Tensor, "B L K"]:
    """Sum of `values` over each region, for `row = row_of_voxel(region, K)` and `shape` = (B, L, K)."""
    batch, labels, rows = shape
    sums = values.new_zeros(batch * labels * (rows + 1)).index_add(0, row, values.flatten())
    return sums.view(batch, labels, rows + 1)[..., 1:]


def weighted_mean(
    losses: Float[Tensor, "*rows"], weight: Float[Tensor, "*rows"], used: Bool[Tensor, "*rows"]
) -> Float[Tensor, ""]:
    """Sum of weight x loss over the used rows, divided by their *number*: a doubtful constraint stays a weak one even
    when it is alone in its batch. 0 when no row is used. Rows of weight 0 are padding and count as unused.
    """
    used = used & (weight > 0)
    total = torch.where(used, losses * weight.to(losses.dtype), torch.zeros_like(losses)).sum()
    return total / used.sum().clamp(min=1)
