"""Direction loss: which way a region may not change."""

from __future__ import annotations

from jaxtyping import Float, UInt8
from torch import Tensor

from dictamen.losses.region_tables import NONE, OVER, UNDER, RegionSizes
from dictamen.losses.regions import weighted_mean


def direction_loss(
    sizes: RegionSizes, direction: UInt8[Tensor, "B L K"], weight: Float[Tensor, "B L K"]
) -> Float[Tensor, ""]:
    """Penalise growth where the mask is too large or right, and shrinking where it is too small or right.

      [over or none]  * sum p (1 - y0) / (Y + 1)
    + [under or none] * sum (1 - p) y0 / (Y + 1)        weighted mean over answered regions
    "mixed" says neither; not answered (0): no gradient.

    Args:
        sizes: of `region_tables.region_sizes`.
        direction: OVER, UNDER, MIXED, NONE of `region_tables`, 0 for not answered.
        weight: 0 for padding.
    """
    scale = 1 / (sizes.initial + 1)
    grown = (sizes.predicted - sizes.both) * scale
    shrunk = (sizes.initial - sizes.both) * scale
    keeps = direction == NONE
    losses = grown * ((direction == OVER) | keeps) + shrunk * ((direction == UNDER) | keeps)
    return weighted_mean(losses, weight, direction > 0)
