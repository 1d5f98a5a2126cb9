"""Absence and presence: none of a label in a region, or some, looking at the voxels that come nearest to it."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional

from dictamen.losses.regions import row_of_voxel, working_precision

BIN_LIMIT = 16.0
"""Logits beyond +-16 (probabilities within 1e-7 of 0 or 1) are alike when the top voxels are chosen."""

BINS_PER_LOGIT = 16
"""A choice of the top k exact to 1/16 of a logit; 16 is 512 bins, whose table stays smaller than the volume."""

BINS = int(2 * BIN_LIMIT) * BINS_PER_LOGIT


def absence_loss(
    logits: Float[Tensor, "B L X Y Z"],
    region: UInt8[Tensor, "B L X Y Z"],
    absent: Bool[Tensor, "B L K"],
    weight: Float[Tensor, "B L K"],
    *,
    top_fraction: float = 0.01,
    top_k: int | None = None,
    mean_weight: float = 0.0,
) -> Float[Tensor, ""]:
    """Mean BCE toward 0 over the k most probable voxels of each absent region; the weighted mean over those regions.

      loss(region) = mean over its top k of softplus(logit) + mean_weight x mean over all its voxels of softplus(logit)

    The top k come from one histogram of logits a region (512 bins), not from a sort: voxels in bins above the one of
    the k-th voxel count fully; those in its bin, equal to 1/16 of a logit, share what remains of k. So ties share, no
    region is visited in a loop, and the cost does not depend on their number. The choice carries no gradient.
    A region without a voxel contributes 0 and counts nothing; no absent region: 0.
    Ours; the published volume loss has no gradient where the report says that nothing is there.

    Args:
        logits: any float dtype; half precision is computed in float32.
        region: 0 none, k + 1 row k of the tables.
        absent: rows that hold nothing.
        weight: of each constraint; 0 for padding.
        top_fraction: k as a fraction of the region, at least one voxel; 1 % of a kidney (150 mL) is a lesion of 14 mm.
        top_k: k in voxels, instead of the fraction.
        mean_weight: of the plain mean; 0 because voxels of an absent region are negatives of the overlap loss already.
    """
    logits = working_precision(logits)
    top = _top_coefficients(logits, region, absent, weight, top_fraction, top_k, mean_weight)
    return (functional.softplus(logits).flatten() * top).sum()


def presence_loss(
    logits: Float[Tensor, "B L X Y Z"],
    region: UInt8[Tensor, "B L X Y Z"],
    present: Bool[Tensor, "B L K"],
    weight: Float[Tensor, "B L K"],
    *,
    top_fraction: float = 0.01,
    top_k: int | None = None,
) -> Float[Tensor, ""]:
    """Mean BCE toward 1 over the k most probable voxels of each region that has a lesion; as `absence_loss` otherwise.

    With the absence loss, this is multiple-instance learning from "lesion in this organ", without sizes or numbers: a
    baseline for the volume and ball losses.

    Args:
        present: rows that hold a lesion.
        logits, region, weight, top_fraction, top_k: as of `absence_loss`.
    """
    logits = working_precision(logits)
    top = _top_coefficients(logits, region, present, weight, top_fraction, top_k, 0.0)
    return (functional.softplus(-logits).flatten() * top).sum()


def _top_coefficients(
    logits: Float[Tensor, "B L X Y Z"],
    region: UInt8[Tensor, "B L X Y Z"],
    wanted: Bool[Tensor, "B L K"],
    weight: Float[Tensor, "B L K"],
    top_fraction: float,
    top_k: int | None,
    mean_weight: float,
) -> Float[Tensor, " N"]:
    """Of each voxel, its part in the weighted mean over the wanted regions of the means over their top k."""
    bins = _bin_of_voxel(logits.detach(), row_of_voxel(region, wanted.shape[2]))
    histogram = _histogram(bins, wanted.shape, logits.dtype)
    share = _share_of_bins(histogram, top_fraction=top_fraction, top_k=top_k) + mean_weight / _count(histogram)
    used = wanted & (weight > 0) & (histogram.sum(3) > 0)[..., 1:]
    of_row = functional.pad(torch.where(used, weight.to(logits.dtype), 0.0) / used.sum().clamp(min=1), (1, 0))
    return (share * of_row[..., None]).flatten().index_select(0, bins)


def _bin_of_voxel(logits: Float[Tensor, "B L X Y Z"], row: Int[Tensor, " N"]) -> Int[Tensor, " N"]:
    """Place of each voxel in a flattened histogram [B, L, K + 1, BINS], largest logits first."""
    return row * BINS + ((BIN_LIMIT - logits.flatten()) * BINS_PER_LOGIT).clamp_(0, BINS - 1).int()


def _histogram(bins: Int[Tensor, " N"], shape: torch.Size, dtype: torch.dtype) -> Float[Tensor, "B L 1+K bins"]:
    """Voxels in each bin; row 0 holds those of no region."""
    batch, labels, rows = shape
    empty = torch.zeros(batch * labels * (rows + 1) * BINS, dtype=dtype, device=bins.device)
    counted = empty.index_add(0, bins, empty.new_ones(()).expand(bins.shape))
    return counted.view(batch, labels, rows + 1, BINS)


def _count(histogram: Float[Tensor, "*rows bins"]) -> Float[Tensor, "*rows 1"]:
    return histogram.sum(-1, keepdim=True).clamp(min=1)


def _share_of_bins(
    histogram: Float[Tensor, "*rows bins"], *, top_fraction: float, top_k: int | None
) -> Float[Tensor, "*rows bins"]:
    """Of a voxel of each bin its part in the mean of the top k: 1 / k, 0, or something between in the last bin."""
    count, through = _count(histogram), histogram.cumsum(-1)
    k = torch.full_like(count, float(top_k)) if top_k is not None else (top_fraction * count).round()
    k = torch.minimum(k, count).clamp(min=1)
    return ((k - (through - histogram)) / histogram.clamp(min=1)).clamp(0, 1) / k


class AbsenceLoss(nn.Module):
    """`absence_loss` with its options bound."""

    def __init__(self, *, top_fraction: float = 0.01, top_k: int | None = None, mean_weight: float = 0.0) -> None:
        super().__init__()
        self.top_fraction, self.top_k, self.mean_weight = top_fraction, top_k, mean_weight

    def forward(
        self,
        logits: Float[Tensor, "B L X Y Z"],
        region: UInt8[Tensor, "B L X Y Z"],
        absent: Bool[Tensor, "B L K"],
        weight: Float[Tensor, "B L K"],
    ) -> Float[Tensor, ""]:
        """The loss, a scalar."""
        return absence_loss(
            logits,
            region,
            absent,
            weight,
            top_fraction=self.top_fraction,
            top_k=self.top_k,
            mean_weight=self.mean_weight,
        )
