"""Pseudo-labels that a report has filtered: a baseline that the ball targets must beat.

Source: the baseline of R-Super (arXiv 2507.05582), from its description.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor

from dictamen.losses.ball_plan import BallPlan
from dictamen.losses.ball_targets import BallTargets
from dictamen.losses.crops import crop
from dictamen.supervision.patch import PatchSupervision

SHARE_OF_PEAK = 0.4
"""A component is what hangs together at this share of its peak's probability, as published."""


@torch.no_grad()
def pseudo_label_targets(
    logits: Float[Tensor, "B L X Y Z"], supervision: PatchSupervision, plan: BallPlan
) -> BallTargets:
    """In each region, as many components of the (teacher's) prediction as the report has lesions, and nothing else.

    One after the other: the most probable voxel that is left, and all that hangs together with it (through faces) at
    .4 of its probability or more. Sizes in the report play no part. What else the region holds is background where
    `rest_negative`, else ignored. Runs on the host, and waits for the device: a baseline, not a loss for production.

    Args:
        logits: of the R studies and T labels of `supervision`.
        plan: of the same batch.
    """
    s = supervision
    inside = crop(s.region, plan.rows, plan.start, plan.size) == (plan.row_index[:, 2] + 1).view(-1, 1, 1, 1)
    probability = torch.where(inside, torch.sigmoid(crop(logits, plan.rows, plan.start, plan.size).float()), -1.0)
    positive = torch.zeros_like(inside)
    for index, row in enumerate(plan.rows):
        left = probability[index].cpu().numpy()
        for _ in range(int((s.lesion_index.cpu() == torch.tensor(row)).all(1).sum())):
            peak = left.max()
            if peak <= 0:
                break
            components, _ = ndimage.label(left >= SHARE_OF_PEAK * peak)
            found = components == components.flat[left.argmax()]
            positive[index] |= torch.from_numpy(found).to(positive.device)
            left[found] = -1.0
    rest = s.rest_negative[plan.row_index[:, 0], plan.row_index[:, 1], plan.row_index[:, 2]].view(-1, 1, 1, 1)
    regions, lesions = len(plan.rows), len(plan.lesion_order)
    return BallTargets(
        positive,
        positive.float(),
        inside & ~positive & rest,
        probability.new_ones(regions),
        torch.zeros(lesions, 3, dtype=torch.long, device=logits.device),
        probability.new_ones(lesions),
    )
