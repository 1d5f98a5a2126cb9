"""Soft sizes of masks within regions: what the losses of region feedback are made of."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float, UInt8
from torch import Tensor

from dictamen.losses.regions import row_of_voxel, sum_by_region

OVER, UNDER, MIXED, NONE = 1, 2, 3, 4
"""Values of a direction table; 0 is "not answered"."""


class FeedbackTable(NamedTuple):
    """What was said about the K regions of each study; weight 0: nothing.

    Attributes:
        target, lo, hi: Dice that the score stands for, and its bin.
        direction: OVER, UNDER, MIXED or NONE; 0 not answered.
        weight: of each region.
    """

    target: Float[Tensor, "B L K"]
    lo: Float[Tensor, "B L K"]
    hi: Float[Tensor, "B L K"]
    direction: UInt8[Tensor, "B L K"]
    weight: Float[Tensor, "B L K"]


class RegionSizes(NamedTuple):
    """Sums over each region: of p, of the mask y0, and of p * y0."""

    predicted: Float[Tensor, "B L K"]
    initial: Float[Tensor, "B L K"]
    both: Float[Tensor, "B L K"]

    @property
    def dice(self) -> Float[Tensor, "B L K"]:
        """D = (2 I + 1) / (P + Y + 1) in (0, 1]."""
        return (2 * self.both + 1) / (self.predicted + self.initial + 1)


def region_sizes(
    probability: Float[Tensor, "B L X Y Z"],
    mask: Float[Tensor, "B L X Y Z"],
    region: UInt8[Tensor, "B L X Y Z"],
    *,
    rows: int,
) -> RegionSizes:
    """Soft sizes in each region, in one pass.

    Args:
        probability: p in [0, 1].
        mask: the initial mask y0, 0 or 1.
        region: 0 none, k + 1 row k of the tables.
        rows: K.
    """
    shape = (region.shape[0], region.shape[1], rows)
    row = row_of_voxel(region, rows)
    return RegionSizes(
        sum_by_region(probability, row, shape),
        sum_by_region(mask, row, shape),
        sum_by_region(probability * mask, row, shape),
    )
