"""The losses of reports at each resolution of a network of nnU-Net."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Shaped
from torch import Tensor

from dictamen.losses.ball_plan import BallPlan
from dictamen.losses.total import LossWeights, Tissue, report_losses
from dictamen.nnunet.outputs import Outputs
from dictamen.supervision.patch import PatchSupervision


def deep_report_losses(
    output: Sequence[Tensor],
    outputs: Outputs,
    supervision: PatchSupervision,
    resolution_weights: Sequence[float],
    weights: LossWeights,
    *,
    targets: int,
    plan: BallPlan | None = None,
    tissue: Tissue | None = None,
) -> dict[str, Tensor]:
    """The terms of `report_losses`, summed over the resolutions with nnU-Net's weights.

    Lesions are placed, and compared with their organ, at full resolution alone; overlap, volume and absence are asked
    of all. Supervision of a lower resolution is that of the voxel at the centre of each of its voxels, as nnU-Net
    samples its label maps, with the spacing that fits.

    Args:
        output: of the studies with reports, [R, heads, x, y, z] of each resolution, full first.
        supervision: of the same studies, of all outputs, lesions first.
        resolution_weights: of each resolution; those of weight 0 are skipped.
        targets: how many of the outputs are lesions.
        plan, tissue: see `report_losses`.
    """
    coarse = replace(weights, ball=0.0, attenuation=0.0)
    sums: dict[str, Tensor] = {}
    for index, (scores, share) in enumerate(zip(output, resolution_weights, strict=True)):
        if share == 0:
            continue
        at = supervision if index == 0 else at_resolution(supervision, scores.shape[2:])
        own = plan if index == 0 else _NOWHERE
        terms = report_losses(
            outputs.logits(scores), None, at.state, at.narrow(0, targets), weights if index == 0 else coarse,
            plan=own, tissue=tissue if index == 0 else None,
        )  # fmt: skip
        for name, value in terms.items():
            sums[name] = sums[name] + share * value if name in sums else share * value
    return sums


_NOWHERE = BallPlan(
    (), (), (1, 1, 1), (), (0, 0, 0), torch.zeros(0, 3, dtype=torch.long), torch.zeros(0, dtype=torch.long)
)


def at_resolution(supervision: PatchSupervision, size: Sequence[int]) -> PatchSupervision:
    """The same patch on a grid of `size` voxels."""
    whole = supervision.state.shape[2:]
    factors = [old / new for old, new in zip(whole, size, strict=True)]
    return replace(
        supervision,
        state=_sampled(supervision.state, size),
        region=_sampled(supervision.region, size),
        spacing_mm=supervision.spacing_mm * supervision.spacing_mm.new_tensor(factors),
    )


def _sampled(maps: Shaped[Tensor, "B L X Y Z"], size: Sequence[int]) -> Shaped[Tensor, "B L x y z"]:
    for axis, (new, old) in enumerate(zip(size, maps.shape[2:], strict=True), start=2):
        if new != old:
            centres = ((torch.arange(new, device=maps.device) + 0.5) * (old / new)).long()
            maps = maps.index_select(axis, centres)
    return maps
