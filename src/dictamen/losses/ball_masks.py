"""Ball targets as masks: the voxels of the reported lesions join the voxels that readers drew, in one loss.

The published ball loss is a loss of its own, whose foreground and background are averaged apart: on a kidney of 150 mL
a false lesion of 1 mL then costs a hundredth of a missed one, and networks over-paint. Written into the state of the
voxels, the same targets meet the Dice and the cross-entropy of the masks, whose balance of both is proven.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dictamen.losses.ball_plan import BallPlan
from dictamen.losses.ball_targets import BallTargets
from dictamen.losses.crops import box
from dictamen.losses.overlap import NEGATIVE, POSITIVE


@torch.no_grad()
def write_targets(
    state: UInt8[Tensor, "B L X Y Z"],
    voxel_weight: Float[Tensor, "B L X Y Z"],
    targets: BallTargets,
    plan: BallPlan,
    weight: Float[Tensor, "B L K"],
) -> None:
    """Write the targets of every region into the state, and the weight of each such voxel, both in place.

    Target voxels become positive, with the region's weight x the trust in their lesion x their rank's; the background
    becomes negative, with the region's weight x the least trust of its lesions. Other voxels keep what they have.

    Args:
        state: 0 negative, 1 positive, 2 unknown.
        voxel_weight: 1 is the weight of a voxel that a reader drew.
        targets: of the same batch and plan.
        weight: of each region's constraint.
    """
    of_region = weight[plan.row_index[:, 0], plan.row_index[:, 1], plan.row_index[:, 2]]
    for index, (row, start) in enumerate(zip(plan.rows, plan.start, strict=True)):
        values, weights = box(state, row, start, plan.size), box(voxel_weight, row, start, plan.size)
        positive, background = targets.positive[index], targets.background[index]
        values.masked_fill_(positive, POSITIVE).masked_fill_(background, NEGATIVE)
        known = of_region[index] * (targets.foreground[index] + background * targets.region_trust[index])
        weights.copy_(torch.where(positive | background, known, weights))
