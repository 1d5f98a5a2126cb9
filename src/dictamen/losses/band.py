"""Band loss: nothing far from the initial mask, and no half-hearted probabilities."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

OUTSIDE, UNDECIDED = 10.0, 10.0
"""Means over many voxels are small: a hundredth of the volume outside counts .1."""


def band_loss(probability: Float[Tensor, "B L X Y Z"], band: Bool[Tensor, "B L X Y Z"]) -> Float[Tensor, ""]:
    """10 * mean of p outside the band + 10 * mean of p (1 - p) everywhere; without a voxel outside the first is 0.

    Args:
        probability: p in [0, 1].
        band: the mask and what lies within some millimetres of it.
    """
    outside = ~band
    far = (probability * outside).sum() / outside.sum().clamp(min=1)
    return OUTSIDE * far + UNDECIDED * (probability * (1 - probability)).mean()
