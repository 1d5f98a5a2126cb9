"""Which voxels a score means: as many as it says, and the likeliest ones by the network's own probabilities.

A score and a direction say how many voxels of a region are wrong and on which side, not which ones: learning from label
proportions. As in its hard expectation-maximisation (proportion-SVM, Yu et al., arXiv 1306.0886), the network's present
probabilities choose the voxels, and these are then learned like a drawn mask. What the bin of the score leaves open
stays unknown, so that a wide bin presses nothing.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from dictamen.losses.overlap import NEGATIVE, POSITIVE, UNKNOWN
from dictamen.losses.region_tables import MIXED, OVER, UNDER, FeedbackTable

SMALLEST_DICE = 1e-3
"""A region of which nothing is right would have to grow without end."""
MOST_SURE = 0.97
"""Of the intensity prior: a network that is surer than this is believed."""
NEIGHBOURS = 2.0
"""Times the mean around a voxel that may be missing, beside its own."""
DEEPEST = 3
"""Voxels below the surface from which depth says no more; each adds 1 to the logit. This and `NEIGHBOURS` were chosen
by how many of the wrong voxels of training cases are found at the first step."""
LEAST_SIDE, MOST_SIDE = 0.5, 1.5
"""Of a mixed region: each side of its error is between so many times half of it ("mixed" means neither side has two
thirds)."""


@torch.no_grad()
def likely_masks(
    logits: Float[Tensor, "B L X Y Z"],
    mask: Float[Tensor, "B L X Y Z"],
    region: UInt8[Tensor, "B L X Y Z"],
    table: FeedbackTable,
    *,
    inside: Float[Tensor, "B L X Y Z"],
) -> tuple[UInt8[Tensor, "B L X Y Z"], Float[Tensor, "B L X Y Z"]]:
    """States of voxels (of `losses.overlap`) and their weights, for `masked_dice_bce`.

    In a region of Y voxels of the mask whose score stands for a Dice in [lo, hi], with the fractions of
    `supervision.score_scale`:
      over:  the a(hi) Y least likely voxels of the mask are negative, the next up to a(lo) Y unknown, the others
             positive; outside the mask all are negative
      under: the b(hi) Y likeliest voxels outside are positive, the next up to b(lo) Y unknown, the rest negative;
             inside all are positive
      mixed: both, with (1 - D) Y voxels on each side, half as many to half as many again
      none:  the mask as it is
    Likely: by logit(p) + logit(inside). At the first step, when p knows nothing but the mask, intensities decide; they
    count less as the network becomes sure. What is too much may be a rim of one voxel, so each voxel stands for itself,
    and the likelier the deeper it lies (vessels within an organ are no leak); what is missing lies against the mask and
    together, so twice the mean over 3 x 3 x 3 voxels is added. Regions without an answer are unknown; voxels of no
    region stay as the mask has them.

    Args:
        logits: of the refined mask; no gradient flows.
        mask: the initial mask y0, 0 or 1.
        region: 0 none, k + 1 row k of the table.
        table: what was said.
        inside: probability by intensity alone that a voxel belongs to the structure; .5: can't tell.
    """
    prior = torch.logit(inside.clamp(1 - MOST_SURE, MOST_SURE))
    likely = logits + prior
    beside = likely + NEIGHBOURS * functional.avg_pool3d(likely, 3, stride=1, padding=1, count_include_pad=False)
    deep = likely + _depth(mask)
    state = (mask > 0).to(torch.uint8)
    weight = torch.cat([torch.ones_like(table.weight[..., :1]), table.weight], dim=-1).to(logits.dtype)
    weights = torch.gather(weight, 2, region.flatten(2).long()).view_as(logits)
    for study, label, row in torch.nonzero(table.weight > 0).tolist():
        where = region[study, label] == row + 1
        inside = where & (mask[study, label] > 0)
        direction = int(table.direction[study, label, row])
        size = int(inside.sum())
        if direction == MIXED:
            least, most = (size * (1 - float(d[study, label, row])) for d in (table.hi, table.lo))
            removed, added = [(LEAST_SIDE * least, MOST_SIDE * most)] * 2
        else:
            lo, hi = (float(d[study, label, row]) for d in (table.lo, table.hi))
            removed = (size * _removed(hi), size * _removed(lo)) if direction == OVER else (0.0, 0.0)
            added = (size * _added(hi), size * _added(lo)) if direction == UNDER else (0.0, 0.0)
        _choose(state[study, label], -deep[study, label], inside, NEGATIVE, removed)
        _choose(state[study, label], beside[study, label], where & ~inside, POSITIVE, added)
    state[weights == 0] = UNKNOWN
    return state, weights


def _depth(mask: Float[Tensor, "B L X Y Z"]) -> Float[Tensor, "B L X Y Z"]:
    """Voxels between each voxel of a mask and its surface, at most `DEEPEST`; 0 outside and at the surface."""
    core, depth = mask, torch.zeros_like(mask)
    for _ in range(DEEPEST):
        core = -functional.max_pool3d(-core, 3, stride=1, padding=1)
        depth = depth + core
    return depth


def _removed(dice: float) -> float:
    return 2 * (1 - dice) / (2 - dice)


def _added(dice: float) -> float:
    return 2 * (1 - dice) / max(dice, SMALLEST_DICE)


def _choose(
    state: UInt8[Tensor, "X Y Z"], order: Float[Tensor, "X Y Z"], among: Tensor, value: int, amount: tuple[float, float]
) -> None:
    """`value` for the `amount[0]` voxels of highest `order` among some, unknown for the next up to `amount[1]`."""
    if amount[1] <= 0:
        return
    voxels = torch.nonzero(among.flatten()).flatten()
    voxels = voxels[torch.argsort(order.flatten()[voxels], descending=True, stable=True)]
    least, most = (min(round(number), len(voxels)) for number in amount)
    flat = state.view(-1)
    flat[voxels[:least]] = value
    flat[voxels[least:most]] = UNKNOWN
