"""How good an encoder is: retrieval, tags, pointing, and whether its embeddings have collapsed. Pure functions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

CHUNK = 4096
"""Rows compared at a time: 100,000 reports need 1.6 GB then, not 40."""
HALF = 0.5


def retrieval(image: Float[Tensor, "N D"], text: Float[Tensor, "N D"]) -> dict[str, float]:
    """Share of scans whose own report is the nearest, or among the nearest five, of all N; and by chance.

    A report that is exactly as near as the own one counts as nearer, so that equal embeddings retrieve nothing.
    """
    image, text = functional.normalize(image, dim=1), functional.normalize(text, dim=1)
    ranks = []
    for first in range(0, len(image), CHUNK):
        rows = image[first : first + CHUNK] @ text.T
        own = rows.gather(1, torch.arange(first, first + len(rows))[:, None])
        ranks.append((rows >= own).sum(1) - 1)  # its own is one of them
    rank = torch.cat(ranks)
    return {
        "recall_at_1": float((rank < 1).float().mean()),
        "recall_at_5": float((rank < 5).float().mean()),
        "chance_at_1": 1 / len(rank),
    }


def average_precision(scores: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]) -> float | None:
    """Mean over positives of the precision at their score; ties share the lower precision. None without a positive."""
    if not positive.any():
        return None
    values = np.sort(scores[positive])
    found = np.array([np.sum(values >= value) / np.sum(scores >= value) for value in values])
    return float(found.mean())


def tag_metrics(
    logits: npt.NDArray[np.floating], target: npt.NDArray[np.floating], weight: npt.NDArray[np.floating]
) -> dict[str, float]:
    """Mean average precision over tags that are present in some study and absent in another, and balanced accuracy.

    Balanced: the mean of how many present and how many absent tags are recognised at probability .5, so that chance is
    .5 however rare a tag is. Arrays [N, K]; weight 0 is unknown.
    """
    precisions, prevalences, recalls = [], [], []
    for scores, wanted, known in zip(logits.T, target.T > HALF, weight.T > 0, strict=True):
        if wanted[known].any() and not wanted[known].all():
            precisions.append(average_precision(scores[known], wanted[known]))
            prevalences.append(wanted[known].mean())
            called = scores[known] > 0
            recalls.append((called[wanted[known]].mean() + (~called[~wanted[known]]).mean()) / 2)
    if not precisions:
        return {}
    return {
        "tag_map": float(np.mean([value for value in precisions if value is not None])),
        "tag_map_chance": float(np.mean(prevalences)),
        "tag_accuracy": float(np.mean(recalls)),
        "tags_measured": float(len(precisions)),
    }


def points_inside(maps: Float[Tensor, "tags x y z"], masks: Bool[Tensor, "tags X Y Z"]) -> Bool[Tensor, " tags"]:
    """Whether the highest voxel of each map, interpolated to the voxels of the masks, lies inside its mask."""
    fine = functional.interpolate(maps[None], size=masks.shape[1:], mode="trilinear", align_corners=False)[0]
    highest = fine.flatten(1).argmax(dim=1, keepdim=True)
    return masks.flatten(1).gather(1, highest)[:, 0]


def collapse(embeddings: Float[Tensor, "N D"]) -> dict[str, float]:
    """Mean cosine of different pairs (1: all alike), and the effective rank: exp of the entropy of the spectrum."""
    unit = functional.normalize(embeddings.double(), dim=1)
    count = len(unit)
    cosine = (unit.sum(0).square().sum() - count) / max(count * (count - 1), 1)
    spectrum = torch.linalg.svdvals(unit - unit.mean(0))
    share = spectrum / spectrum.sum().clamp(min=1e-12)
    entropy = -(share * share.clamp(min=1e-12).log()).sum()
    return {"mean_cosine": float(cosine), "effective_rank": float(entropy.exp())}
