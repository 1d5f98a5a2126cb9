"""Losses of prompted networks beside those of masks: presence, order of the anatomy, which lesion is meant."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from dictamen.losses.regions import working_precision

ABSENT, PRESENT, UNKNOWN = 0, 1, 2
"""Values of a presence table."""
NEGATIVE, POSITIVE = 0, 1
"""Values of `state`, as in `supervision.patch`."""


def presence_bce(logits: Float[Tensor, "B N"], presence: UInt8[Tensor, "B N"]) -> Float[Tensor, ""]:
    """Binary cross-entropy of "it is in this image", the mean of those present and those absent; unknown ones count
    nothing, none known: 0.

    The two means are averaged, since most of what can be asked is absent.
    """
    logits = working_precision(logits)
    cost = functional.binary_cross_entropy_with_logits(logits, (presence == PRESENT).to(logits), reduction="none")
    means = []
    for value in (ABSENT, PRESENT):
        own = (presence == value).to(logits)
        means.append((cost * own).sum() / own.sum().clamp(min=1))
    return (means[0] + means[1]) / 2


def hierarchy_loss(logits: Float[Tensor, "B N X Y Z"], pairs: Int[Tensor, "M 2"]) -> Float[Tensor, ""]:
    """What is in a part must be in its whole: sum of p_part relu(p_part - p_whole) over sum of p_part, mean over pairs.

    Args:
        pairs: (part, whole) among the N; none: 0.
    """
    if not len(pairs):
        return logits.flatten()[:0].sum()
    probability = working_precision(logits).sigmoid()
    part, whole = probability[:, pairs[:, 0]], probability[:, pairs[:, 1]]
    excess = (part * (part - whole).relu()).flatten(2).sum(2)
    return (excess / part.flatten(2).sum(2).clamp(min=1)).mean()


def exclusion_loss(logits: Float[Tensor, "B N X Y Z"], pairs: Int[Tensor, "M 2"]) -> Float[Tensor, ""]:
    """Two structures that anatomy keeps apart: sum of p_a p_b over the smaller of their sums, mean over pairs.

    Args:
        pairs: of the N; none: 0.
    """
    if not len(pairs):
        return logits.flatten()[:0].sum()
    probability = working_precision(logits).sigmoid()
    one, two = probability[:, pairs[:, 0]], probability[:, pairs[:, 1]]
    shared = (one * two).flatten(2).sum(2)
    smaller = torch.minimum(one.flatten(2).sum(2), two.flatten(2).sum(2))
    return (shared / smaller.clamp(min=1)).mean()


def sentence_contrast(
    logits: Float[Tensor, "B N X Y Z"], state: UInt8[Tensor, "B N X Y Z"], group: Int[Tensor, "B N"]
) -> Float[Tensor, ""]:
    """Of the sentences that speak of one study, the right one must answer loudest in its lesion.

    In each lesion that is known voxel by voxel, the mean logit of every sentence of the study; cross-entropy of their
    softmax with the sentence whose lesion it is (so "the larger one" is told from "the smaller one", whatever the
    level of both). Where no voxel is known, the sentences of one study may not share voxels: `exclusion_loss`.

    Args:
        state: 1 in the lesion of the sentence.
        group: for each study 1 where the text is one of its sentences about distinct lesions, else 0.

    Returns:
        the mean over lesions of studies with at least two sentences; none: 0.
    """
    logits = working_precision(logits)
    costs = []
    for study in range(len(logits)):
        own = group[study].nonzero()[:, 0]
        if len(own) < 2:
            continue
        inside = (state[study, own] == POSITIVE).flatten(1).to(logits)
        size = inside.sum(1)
        known = size > 0
        if not bool(known.any()):
            continue
        mean = inside @ logits[study, own].flatten(1).T / size.clamp(min=1)[:, None]  # [lesion, sentence]
        costs.append(
            functional.cross_entropy(mean, torch.arange(len(own), device=mean.device), reduction="none")[known]
        )
    return torch.cat(costs).mean() if costs else logits.flatten()[:0].sum()
