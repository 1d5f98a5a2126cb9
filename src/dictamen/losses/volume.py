"""Volume loss: how much of a label a region may hold."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from dictamen.errors import UsageError
from dictamen.losses.regions import row_of_voxel, sum_by_region, weighted_mean, working_precision

Mode = Literal["interval", "published"]

SMALL_MM3 = 14.0
"""`interval`: volumes below a 3 mm ball, the least that a radiologist measures, are all alike."""

PUBLISHED_SMALL_MM3 = 500.0
PUBLISHED_FLOOR_MM3 = 100.0
"""`published`: E of the denominator, and the volume up to which no tolerance is given."""


def soft_volume(
    logits: Float[Tensor, "B L X Y Z"],
    region: UInt8[Tensor, "B L X Y Z"],
    spacing_mm: Float[Tensor, "B 3"],
    *,
    rows: int,
    sharpness: float = 1.0,
) -> Float[Tensor, "B L K"]:
    """Sum of sigmoid(sharpness x logit) over each region times the volume of a voxel, mm3."""
    logits = working_precision(logits)
    batch, labels = region.shape[:2]
    sums = sum_by_region(torch.sigmoid(sharpness * logits), row_of_voxel(region, rows), (batch, labels, rows))
    return sums * spacing_mm.to(logits.dtype).prod(1).view(batch, 1, 1)


def volume_loss(
    logits: Float[Tensor, "B L X Y Z"],
    region: UInt8[Tensor, "B L X Y Z"],
    volume_lo: Float[Tensor, "B L K"],
    volume_hi: Float[Tensor, "B L K"],
    weight: Float[Tensor, "B L K"],
    spacing_mm: Float[Tensor, "B 3"],
    *,
    mode: Mode = "interval",
    tolerance: float = 0.1,
    sharpness: float = 1.0,
) -> Float[Tensor, ""]:
    """Distance of each region's soft volume V' from what the report allows; the weighted mean over regions.

    `interval` (default), e = 14 mm3, the distance in log volume:
      loss = relu(log((lo + e) / (V' + e))) + relu(log((V' + e) / (hi + e)))
    Zero inside [lo, hi], equal for half and double outside. d loss / d log V' has size V'/(V' + e), for a 5 mm lesion
    as for a 10 cm one, and for a volume a thousand times too large as for one slightly so. (The bounded form
    1 - exp(-loss) has the same zero set, but a pull 195 times weaker on a region of 200 mL at p = .5 that should hold
    .5 mL.)

    `published` (R-Super, arXiv 2507.05582), E = 500 mm3:
      raw(V') = |V' - V| / (V' + V + E),   loss = clamp(raw(V') - raw(v), 0, 1),
      v = max((1 - tolerance) V, min(V, 100))
    where V is the middle of [lo, hi], or lo where hi is unbounded.

    Rows with volume_hi = 0 ("no lesion") are left to `absence_loss`; rows of weight 0 and regions without a voxel count
    nothing. No row at all: 0.

    A uniform haze satisfies any volume: p = .01 over 150 mL is a lesion of 1.5 mL, and the gradient p (1 - p) does not
    prefer one voxel to another of the same p. The ball loss says where; `sharpness` > 1 counts sigmoid(sharpness x
    logit), in which haze weighs little and which the likeliest voxels are the first to raise. It keeps the volume at
    the threshold .5.

    Args:
        logits: any float dtype; half precision is computed in float32.
        region: 0 none, k + 1 row k of the tables.
        volume_lo, volume_hi: allowed volume, mm3; hi may be inf.
        weight: of each constraint; 0 for padding.
        spacing_mm: of each study.
        mode: "interval" or "published".
        tolerance: of `published`; .1 as published.
        sharpness: 1 is the soft volume of the paper.

    Raises:
        UsageError: an unknown mode.
    """
    volume = soft_volume(logits, region, spacing_mm, rows=volume_lo.shape[-1], sharpness=sharpness)
    lo, hi = volume_lo.to(volume.dtype), volume_hi.to(volume.dtype)
    if mode == "interval":
        losses = _interval(volume, lo, hi)
    elif mode == "published":
        losses = _published(volume, torch.where(torch.isinf(hi), lo, (lo + hi) / 2), tolerance)
    else:
        raise UsageError("`mode` of the volume loss is unknown.", got=mode, expected='"interval" or "published"')
    # a sigmoid is never exactly 0 above a logit of -88: a volume of 0 is a region without voxels
    return weighted_mean(losses, weight, (hi > 0) & (volume > 0))


def _interval(
    volume: Float[Tensor, "B L K"], lo: Float[Tensor, "B L K"], hi: Float[Tensor, "B L K"]
) -> Float[Tensor, "B L K"]:
    log_volume = (volume + SMALL_MM3).log()
    return functional.relu((lo + SMALL_MM3).log() - log_volume) + functional.relu(log_volume - (hi + SMALL_MM3).log())


def _published(
    volume: Float[Tensor, "B L K"], reported: Float[Tensor, "B L K"], tolerance: float
) -> Float[Tensor, "B L K"]:
    def raw(v: Float[Tensor, "B L K"]) -> Float[Tensor, "B L K"]:
        return (v - reported).abs() / (v + reported + PUBLISHED_SMALL_MM3)

    tolerated = torch.maximum((1 - tolerance) * reported, reported.clamp(max=PUBLISHED_FLOOR_MM3))
    return (raw(volume) - raw(tolerated)).clamp(0, 1)


class VolumeLoss(nn.Module):
    """`volume_loss` with its options bound."""

    def __init__(self, *, mode: Mode = "interval", tolerance: float = 0.1, sharpness: float = 1.0) -> None:
        super().__init__()
        self.mode: Mode = mode
        self.tolerance, self.sharpness = tolerance, sharpness

    def forward(
        self,
        logits: Float[Tensor, "B L X Y Z"],
        region: UInt8[Tensor, "B L X Y Z"],
        volume_lo: Float[Tensor, "B L K"],
        volume_hi: Float[Tensor, "B L K"],
        weight: Float[Tensor, "B L K"],
        spacing_mm: Float[Tensor, "B 3"],
    ) -> Float[Tensor, ""]:
        """The loss, a scalar."""
        return volume_loss(
            logits, region, volume_lo, volume_hi, weight, spacing_mm,
            mode=self.mode, tolerance=self.tolerance, sharpness=self.sharpness,
        )  # fmt: skip
