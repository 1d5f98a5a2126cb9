"""From a feature map to scores of tags, by one of two heads; both give a map of each tag as well."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

HeadKind = Literal["pooling", "query"]
POOLING_TEMPERATURE = 0.1
"""Of the softmax over cells: the score looks at those that resemble the tag most, and all share the gradient."""
QUERY_HEADS = 4
"""Of attention; the dimension must be a multiple of it."""
SCALE, BIAS = 10.0, -3.0
"""At the start: a cosine of .3 is undecided, as tags are absent more often than not."""


class TagScores(NamedTuple):
    """Logits of tags, and where each was seen: cosines (pooling) or attention (query)."""

    logits: Float[Tensor, "B K"]
    maps: Float[Tensor, "B K *grid"]


def similarity_maps(cells: Float[Tensor, "B D *grid"], tags: Float[Tensor, "K D"]) -> Float[Tensor, "B K *grid"]:
    """S_k(u) = cosine of cell u and tag k, in [-1, 1]; permuting the tags permutes the maps."""
    return torch.einsum("bd...,kd->bk...", functional.normalize(cells, dim=1), functional.normalize(tags, dim=1))


class SimilarityPooling(nn.Module):
    """H2: the score is the mean of the similarity map, weighted by its own softmax.

      w = softmax_u(S / .1), s_k = scale * sum_u w_k(u) S_k(u) + bias_k

    It trains the very map that is transferred to a segmenter.
    """

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(SCALE))
        self.bias = nn.Parameter(torch.full((tags,), BIAS))

    def forward(self, cells: Float[Tensor, "B D *grid"], tags: Float[Tensor, "K D"]) -> TagScores:
        """Logits and cosines."""
        maps = similarity_maps(cells, tags)
        flat = maps.flatten(2)
        pooled = ((flat / POOLING_TEMPERATURE).softmax(dim=2) * flat).sum(2)
        return TagScores(self.scale * pooled + self.bias, maps)


class QueryDecoder(nn.Module):
    """H1: each tag attends to the cells, without regard to other tags; a linear layer scores what it gathered.

    After Query2Label (arXiv 2107.10834), one layer without self-attention.
    """

    def __init__(self, dimension: int, *, heads: int = QUERY_HEADS) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(dimension, heads, batch_first=True)
        self.norm = nn.LayerNorm(dimension)
        self.score = nn.Linear(dimension, 1)

    def forward(self, cells: Float[Tensor, "B D *grid"], tags: Float[Tensor, "K D"]) -> TagScores:
        """Logits and attention, which sums to 1 over the cells."""
        flat = cells.flatten(2).transpose(1, 2)
        queries = tags.expand(len(cells), *tags.shape)
        gathered, attention = self.attend(queries, flat, flat)
        logits = self.score(self.norm(queries + gathered))[..., 0]
        return TagScores(logits, attention.reshape(*attention.shape[:2], *cells.shape[2:]))


def build_head(kind: HeadKind, *, tags: int, dimension: int) -> SimilarityPooling | QueryDecoder:
    """The head of this kind."""
    return QueryDecoder(dimension) if kind == "query" else SimilarityPooling(tags)
