"""Edge loss: the new boundary should lie on edges of the image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

EPSILON = 1e-3


def edge_loss(probability: Float[Tensor, "B L X Y Z"], edge: Float[Tensor, "B 1 X Y Z"]) -> Float[Tensor, ""]:
    """sum |grad p| (1 - e) / (sum |grad p| + eps) over the batch, in [0, 1]; 0 for a constant p.

    |grad p| is the length of the forward differences along x, y, z; the last voxel of each axis has none.

    Args:
        probability: p in [0, 1].
        edge: e in [0, 1], 1 on edges.
    """
    steepness = gradient_length(probability)
    return (steepness * (1 - edge)).sum() / (steepness.sum() + EPSILON)


def gradient_length(values: Float[Tensor, "B L X Y Z"]) -> Float[Tensor, "B L X Y Z"]:
    """Length of the forward differences, 0 beyond the end; its derivative is finite where it is 0."""
    squares = torch.zeros_like(values)
    for axis in (2, 3, 4):
        last = values.narrow(axis, values.shape[axis] - 1, 1)
        squares = squares + torch.diff(values, dim=axis, append=last) ** 2
    return (squares + EPSILON**2).sqrt() - EPSILON
