"""Which voxels the reported lesions are taken to be: steps a-d of the ball loss. No gradient.

Source: the method of R-Super (arXiv 2507.05582, 2510.14803), from its description.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from dictamen.losses.ball_plan import BORDER_MM, CANDIDATE_FACTOR, BallPlan, Round, plan_balls
from dictamen.losses.crops import Index3, crop
from dictamen.losses.regions import working_precision

KERNEL_STD = 1.5
"""Standard deviation of the smoothing ball's Gaussian weights over its radius, as published: nearly flat."""

TARGET, BORDER = 0.8, 1.2
"""The target is the .8 N most probable voxels, the ignored border ends with the 1.2 N most probable, as published."""

LAST_WEIGHT = 0.5
"""Weight of the N-th most probable voxel over the first's: 1 - c with c = .5, as published."""

GATE = 0.5
"""Smoothed probability from which a target is trusted fully: half of a lesion found with certainty. The haze that
fulfils a volume without finding anything counts next to nothing (.5 mL spread over a kidney of 150 mL is .003)."""

TOUCHING = 1 + 1e-4
"""Distances that equal a radius up to rounding count as inside."""


@dataclass(frozen=True)
class BallTargets:
    """What the R regions of a plan should hold, on the plan's crops.

    Attributes:
        positive: target voxels.
        foreground: their weights: mean 1 over each lesion, times the lesion's trust; 0 elsewhere.
        background: voxels pushed to 0. Voxels that are neither are ignored.
        region_trust: in [0, 1], the least trusted lesion's of each region.
        centre: voxel of each lesion's best centre within the crop, in the order of `plan.lesion_order`.
        peak: smoothed probability there.
    """

    positive: Bool[Tensor, "R x y z"]
    foreground: Float[Tensor, "R x y z"]
    background: Bool[Tensor, "R x y z"]
    region_trust: Float[Tensor, " R"]
    centre: Int[Tensor, "M 3"]
    peak: Float[Tensor, " M"]


@torch.no_grad()
def ball_targets(
    logits: Float[Tensor, "B L X Y Z"],
    *,
    region: UInt8[Tensor, "B L X Y Z"],
    lesion_index: Int[Tensor, "M 3"],
    lesion_diameters_mm: Float[Tensor, "M 3"],
    lesion_volume_mm3: Float[Tensor, " M"],
    lesion_known: Bool[Tensor, " M"],
    rest_negative: Bool[Tensor, "B L K"],
    spacing_mm: Float[Tensor, "B 3"],
    gate: float = GATE,
    plan: BallPlan | None = None,
) -> BallTargets:
    """Choose the voxels of every lesion from the (teacher's) logits; the lesions of one region one after the other,
    large to small.

    With q = sigmoid(logit) in the region and 0 outside, of each lesion with largest diameter d and N voxels:
      a. smooth q with a ball of diameter d (Gaussian weights, std 1.5 r, cut at r, normalised); the centre is the
         argmax over the region's voxels that no earlier lesion has taken;
      b. candidates: the untaken voxels of the region in a ball of diameter 1.2 d there; N is at least 1 and at most
         their number;
      c. target: the .8 N most probable candidates (at least one); border: the 1.2 N most probable, dilated by 3 mm,
         without targets;
      d. the N most probable are taken (q = 0); the next lesion follows.
    What else the region holds is background where `rest_negative` and every lesion of it has a known size, else
    ignored.

    The convolution is a product of FFTs and has the argmax of the direct sum up to rounding. Ties: the first in memory
    order among equal smoothed values (up to the rounding of the FFT: without any contrast there is no best centre) and
    among equal logits.

    Args:
        logits: any float dtype; half precision is computed in float32.
        region: 0 none, k + 1 row k of the tables.
        lesion_index: (b, l, k) of each lesion, the lesions of one region adjacent and largest first.
        lesion_diameters_mm: three axes; a seed ball's where the size is unknown.
        lesion_volume_mm3: N times the volume of a voxel.
        lesion_known: whether the size was stated.
        rest_negative: voxels of the region outside its lesions are negative.
        spacing_mm: of each study.
        gate: trust = min(1, smoothed probability / gate).
        plan: of the same batch, made on the host; without it, it is made here, which waits for the device.
    """
    if plan is None:
        plan = plan_balls(region, lesion_index, lesion_diameters_mm, spacing_mm)
    scores = working_precision(crop(logits, plan.rows, plan.start, plan.size))
    inside = crop(region, plan.rows, plan.start, plan.size) == (plan.row_index[:, 2] + 1).view(-1, 1, 1, 1)
    spacing = spacing_mm.to(scores.dtype)[plan.row_index[:, 0]]
    diameter = lesion_diameters_mm.to(scores.dtype).amax(1)[plan.lesion_order]
    volume, known = lesion_volume_mm3.to(scores.dtype)[plan.lesion_order], lesion_known[plan.lesion_order]

    free, border = inside.clone(), torch.zeros_like(inside)
    foreground, region_trust = torch.zeros_like(scores), torch.ones_like(spacing[:, 0])
    rest = rest_negative[plan.row_index[:, 0], plan.row_index[:, 1], plan.row_index[:, 2]]
    centres, peaks, first = [], [], 0
    for this in plan.rounds:
        r, lesions = this.regions, slice(first, first + this.regions)
        first += r
        centre, peak = best_centre(scores[:r], free[:r], diameter[lesions], spacing[:r], this)
        trust = (peak / gate).clamp(max=1)
        voxels = volume[lesions] / spacing[:r].prod(1)
        _paint(
            scores[:r],
            free[:r],
            foreground[:r],
            border[:r],
            centre,
            diameter[lesions],
            voxels,
            trust,
            spacing[:r],
            this,
        )
        region_trust[:r] = torch.minimum(region_trust[:r], trust)
        rest[:r] &= known[lesions]
        centres.append(centre)
        peaks.append(peak)

    positive = foreground > 0
    background = inside & ~positive & ~dilate(border, spacing, plan.border_reach) & rest.view(-1, 1, 1, 1)
    none = spacing.new_zeros(0)
    return BallTargets(
        positive,
        foreground,
        background,
        region_trust,
        torch.cat([none.long().view(0, 3), *centres]),
        torch.cat([none, *peaks]),
    )


def best_centre(
    scores: Float[Tensor, "r x y z"],
    free: Bool[Tensor, "r x y z"],
    diameter_mm: Float[Tensor, " r"],
    spacing_mm: Float[Tensor, "r 3"],
    this: Round,
) -> tuple[Int[Tensor, "r 3"], Float[Tensor, " r"]]:
    """Step a: the voxel whose ball holds the most probability, and the weighted mean probability in that ball."""
    size, fft_size, reach = scores.shape[1:], this.fft_size, this.kernel_reach
    axes = (1, 2, 3)
    probability = torch.where(free, torch.sigmoid(scores), torch.zeros_like(scores))
    kernel = smoothing_kernel(diameter_mm / 2, spacing_mm, reach)
    spectrum = torch.fft.rfftn(probability, s=fft_size, dim=axes) * torch.fft.rfftn(kernel, s=fft_size, dim=axes)
    full = torch.fft.irfftn(spectrum, s=fft_size, dim=axes)
    smooth = full[:, reach[0] : reach[0] + size[0], reach[1] : reach[1] + size[1], reach[2] : reach[2] + size[2]]
    peak, flat = torch.where(free, smooth, smooth.new_full((), -1.0)).flatten(1).max(1)
    centre = torch.stack([flat // (size[1] * size[2]), flat // size[2] % size[1], flat % size[2]], 1)
    return centre, peak.clamp(min=0)


def smoothing_kernel(
    radius_mm: Float[Tensor, " r"], spacing_mm: Float[Tensor, "r 3"], reach: Index3
) -> Float[Tensor, "r x y z"]:
    """Balls in mm, hence ellipsoids in voxels: Gaussian weights of std 1.5 radii, cut at the radius, summing to 1."""
    axes = [torch.arange(-n, n + 1, device=radius_mm.device, dtype=radius_mm.dtype) for n in reach]
    squared = _squared_distance([axis.expand(len(radius_mm), -1) for axis in axes], spacing_mm)
    r2 = radius_mm.square().view(-1, 1, 1, 1)
    weights = torch.where(
        (squared <= r2 * TOUCHING) | (squared == 0), torch.exp(-squared / (2 * KERNEL_STD**2 * r2)), 0
    )
    return weights / weights.sum((1, 2, 3), keepdim=True)


def _squared_distance(
    offsets: list[Float[Tensor, "r n"]], spacing_mm: Float[Tensor, "r 3"]
) -> Float[Tensor, "r x y z"]:
    """Squared distances in mm from offsets in voxels along each axis."""
    x, y, z = ((offset * spacing_mm[:, axis : axis + 1]).square() for axis, offset in enumerate(offsets))
    return x[:, :, None, None] + y[:, None, :, None] + z[:, None, None, :]


def _paint(
    scores: Float[Tensor, "r x y z"],
    free: Bool[Tensor, "r x y z"],
    foreground: Float[Tensor, "r x y z"],
    border: Bool[Tensor, "r x y z"],
    centre: Int[Tensor, "r 3"],
    diameter_mm: Float[Tensor, " r"],
    voxels: Float[Tensor, " r"],
    trust: Float[Tensor, " r"],
    spacing_mm: Float[Tensor, "r 3"],
    this: Round,
) -> None:
    """Steps b-d: writes the lesion into `foreground` and `border`, and takes its voxels from `free`, in place."""
    size = scores.shape[1:]
    axes = _window_axes(centre, this.candidate_window, size)
    squared = _squared_distance([axis - centre[:, i : i + 1] for i, axis in enumerate(axes)], spacing_mm).flatten(1)
    x, y, z = axes
    index = ((x[:, :, None, None] * size[1] + y[:, None, :, None]) * size[2] + z[:, None, None, :]).flatten(1)

    radius = CANDIDATE_FACTOR * diameter_mm[:, None] / 2
    candidate = (squared <= radius.square() * TOUCHING) & free.flatten(1).gather(1, index)
    ranked = torch.where(candidate, scores.flatten(1).gather(1, index), float("-inf"))
    index = index.gather(1, ranked.argsort(dim=1, descending=True, stable=True))
    rank = torch.arange(index.shape[1], device=index.device)[None]

    count = candidate.sum(1)
    n = torch.minimum(voxels.round().clamp(min=1), count)[:, None]
    targets = torch.minimum((TARGET * n).round().clamp(min=1), n)
    is_target, is_taken, is_border = (
        rank < targets,
        rank < n,
        rank < torch.minimum((BORDER * n).round(), count[:, None]),
    )
    weights = torch.where(is_target, LAST_WEIGHT ** (rank / n.clamp(min=1)), 0)
    # trust 0 must not make a target background: the least positive weight keeps it a target
    weights = weights * (targets / weights.sum(1, keepdim=True).clamp(min=1e-6)) * trust.clamp(min=1e-12)[:, None]

    painted = foreground.flatten(1)
    foreground.copy_(painted.scatter(1, index, painted.gather(1, index) + weights).view_as(foreground))
    border |= torch.zeros_like(free).flatten(1).scatter(1, index, is_border).view_as(border)
    free &= ~torch.zeros_like(free).flatten(1).scatter(1, index, is_taken).view_as(free)


def _window_axes(centre: Int[Tensor, "r 3"], window: Index3, size: torch.Size) -> list[Int[Tensor, "r n"]]:
    """Voxel indices along each axis of a window around the centre, shifted where it would leave the crop."""
    axes = []
    for axis, width in enumerate(window):
        start = (centre[:, axis] - width // 2).clamp(0, size[axis] - width)
        axes.append(start[:, None] + torch.arange(width, device=centre.device))
    return axes


def dilate(mask: Bool[Tensor, "R x y z"], spacing_mm: Float[Tensor, "R 3"], reach: Index3) -> Bool[Tensor, "R x y z"]:
    """All voxels within 3 mm of the mask. `reach`: that distance in voxels, at least.

    Squared distances are separable: min over z of (z^2 + min over y of (y^2 + min over x of x^2)).
    """
    squared = torch.where(mask, 0.0, float("inf")).to(spacing_mm.dtype)
    for axis, steps in enumerate(reach, start=1):
        nearest, length = squared.clone(), squared.shape[axis]
        for step in range(1, steps + 1):
            cost = (step * spacing_mm[:, axis - 1]).square().view(-1, 1, 1, 1)
            near, far = squared.narrow(axis, 0, length - step), squared.narrow(axis, step, length - step)
            ahead, behind = nearest.narrow(axis, step, length - step), nearest.narrow(axis, 0, length - step)
            torch.minimum(ahead, near + cost, out=ahead)
            torch.minimum(behind, far + cost, out=behind)
        squared = nearest
    return squared <= BORDER_MM**2 * TOUCHING
