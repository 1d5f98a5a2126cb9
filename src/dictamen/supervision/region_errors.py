"""How a mask errs in each region, against a better one: the truth in experiments, a refined mask in use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dictamen.supervision.feedback import Direction

ONE_SIDED = 2 / 3
"""Share of the wrong voxels on one side from which a region counts as over- or under-segmented, not mixed."""


@dataclass(frozen=True, slots=True)
class RegionError:
    """How one mask differs from another in one region."""

    region: int
    dice: float
    direction: Direction


def region_errors(
    mask: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_], regions: npt.NDArray[np.uint8]
) -> list[RegionError]:
    """Dice of a mask and the right one and the side of the mask's error, in each region 1..K; all are [X, Y, Z].

    A region without a voxel of either has Dice 1.
    """
    count = int(regions.max(initial=0)) + 1

    def sizes(voxels: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(regions[voxels], minlength=count)

    both, over, under = sizes(mask & right), sizes(mask & ~right), sizes(right & ~mask)
    found = []
    for region in range(1, count):
        total = 2 * both[region] + over[region] + under[region]
        dice = float(2 * both[region] / total) if total else 1.0
        found.append(RegionError(region, dice, _direction(int(over[region]), int(under[region]))))
    return found


def _direction(over: int, under: int) -> Direction:
    wrong = over + under
    if not wrong:
        return "none"
    if over >= ONE_SIDED * wrong:
        return "over"
    return "under" if under >= ONE_SIDED * wrong else "mixed"
