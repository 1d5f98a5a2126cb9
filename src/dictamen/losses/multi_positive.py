"""Contrastive loss where a text may have several right answers: names of one concept, tails of one relation."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from dictamen.errors import UsageError
from dictamen.losses.regions import working_precision


def multi_positive_loss(
    queries: Float[Tensor, "N D"],
    keys: Float[Tensor, "M D"],
    *,
    positive: Bool[Tensor, "N M"],
    ignored: Bool[Tensor, "N M"],
    temperature: float = 0.05,
) -> Float[Tensor, ""]:
    """InfoNCE with several positives, each of them against the negatives alone.

      L = mean_i mean_{j in P_i} -log( e^{s_ij} / (e^{s_ij} + sum_{k in N_i} e^{s_ik}) )
        = mean_i mean_{j in P_i} softplus( log sum_{k in N_i} e^{s_ik} - s_ij ),   s = cosine / temperature

    In the second form nothing is exponentiated that could overflow, at any temperature. A positive is no negative of
    another positive of its row. Source: supervised contrastive learning (arXiv 2004.11362), with the denominator of
    each pair restricted to its negatives.

    Args:
        queries, keys: embeddings of any length; half precision is computed in float32.
        positive: right answers; rows without one count for nothing, and a batch without any gives 0.
        ignored: neither right nor wrong: a text with itself, the same words for something else.
        temperature: positive.

    Raises:
        UsageError: a temperature that is not positive, masks of another shape.
    """
    if temperature <= 0 or not positive.shape == ignored.shape == (len(queries), len(keys)):
        raise UsageError(
            "The contrast can't be computed.",
            got=f"temperature {temperature}, masks {tuple(positive.shape)} and {tuple(ignored.shape)}",
            expected=f"a positive temperature, masks ({len(queries)}, {len(keys)})",
        )
    queries, keys = (functional.normalize(working_precision(one), dim=1) for one in (queries, keys))
    scores = queries @ keys.T / temperature
    right = positive & ~ignored
    lowest = torch.finfo(scores.dtype).min / 2  # not -inf: a row without negatives would have no gradient
    against = scores.masked_fill(right | ignored, lowest).logsumexp(dim=1, keepdim=True)
    pairs = functional.softplus(against - scores).masked_fill(~right, 0.0)
    count = right.sum(dim=1)
    rows = pairs.sum(dim=1) / count.clamp(min=1)
    return rows.sum() / (count > 0).sum().clamp(min=1)
