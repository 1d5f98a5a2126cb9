"""Boxes of equal size cut from a batch at places known on the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

Index3 = tuple[int, int, int]


def crop(
    values: Shaped[Tensor, "B L X Y Z"], rows: Sequence[Index3], start: Sequence[Index3], size: Index3
) -> Shaped[Tensor, "R x y z"]:
    """For each row (b, l, _) the box of `size` voxels at its start. Differentiable in `values`.

    Plain slicing would write one gradient as large as the batch for each box; this writes one for all.
    """
    cropped: Tensor = _Crop.apply(values, rows, start, size)  # type: ignore[no-untyped-call]  # torch has no annotation
    return cropped


def box(values: Tensor, row: Index3, start: Index3, size: Index3) -> Tensor:
    """The view [x, y, z] of row (b, l, _) of [B, L, X, Y, Z] that begins at `start`."""
    (b, label, _), (x, y, z), (nx, ny, nz) = row, start, size
    return values[b, label, x : x + nx, y : y + ny, z : z + nz]


class _Crop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: Sequence[Index3], start: Sequence[Index3], size: Index3) -> Tensor:
        ctx.shape, ctx.boxes = values.shape, (rows, start, size)
        if not rows:
            return values.new_zeros(0, *size)
        return torch.stack([box(values, row, at, size) for row, at in zip(rows, start, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        rows, start, size = ctx.boxes
        total = gradients[0].new_zeros(ctx.shape)
        for row, at, gradient in zip(rows, start, gradients[0], strict=True):
            box(total, row, at, size).add_(gradient)
        return total, None, None, None
