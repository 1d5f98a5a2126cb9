"""Queries that look at an image: each prompt attends to the image's deepest features, and to no other prompt.

Without attention between queries the answer to a prompt does not depend on what else is asked: prompts can be cached,
cut into chunks and streamed without any change of the result. After SAT (arXiv 2312.17183): pre-norm cross-attention,
sine position code on the keys only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

LOCAL_KERNELS = (3, 5)
"""Sides of the neighbourhoods that the scale-aware memory sees beside each cell itself (after LSMS, arXiv 2408.17347,
which attends at several kernel sizes); in cells of the deepest grid."""
LONGEST_WAVE = 64.0
"""Cells of the position code's longest wavelength: longer than any patch has on its deepest grid."""


class QuerySettings(BaseModel):
    """Sizes of the query decoder; written into the model card."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(default=96, ge=8)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    feedforward: int = Field(default=192, ge=8)
    # words meet features at every resolution: neighbourhoods of several sizes in the memory, and every level of the
    # decoder votes. Of use for sentences ("the larger one in the upper pole"), see docs/prompts.md
    scales: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> QuerySettings:
        if self.width % self.heads or self.width % 2:
            raise ValueError("`width` must be even and a multiple of `heads`")
        return self


class Memory(nn.Module):
    """All encoder levels pooled to the deepest grid, joined, and mixed by an MLP.

    Args:
        channels: of the levels.
        width: of the tokens.
        scales: each token also sees neighbourhoods of several sizes.
    """

    def __init__(self, channels: Sequence[int], width: int, *, scales: bool) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.Linear(sum(channels), width), nn.GELU(), nn.Linear(width, width))
        self.around = nn.ModuleList(
            nn.Conv3d(width, width, kernel, padding=kernel // 2, groups=width) for kernel in LOCAL_KERNELS if scales
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, levels: Sequence[Float[Tensor, "B C *grid"]]) -> Float[Tensor, "B D x y z"]:
        """The tokens on the grid of the last (deepest) level."""
        x, y, z = levels[-1].shape[2:]
        pooled = [functional.adaptive_avg_pool3d(level, (x, y, z)) for level in levels]
        mixed = self.mix(torch.cat(pooled, dim=1).movedim(1, -1)).movedim(-1, 1)
        for conv in self.around:
            mixed = mixed + functional.gelu(conv(mixed))
        tokens: Tensor = self.norm(mixed.movedim(1, -1)).movedim(-1, 1)
        return tokens


class QueryDecoder(nn.Module):
    """Text embeddings and image tokens in, one vector a prompt out.

    Args:
        dimension: of the text embeddings.
    """

    def __init__(self, settings: QuerySettings, *, dimension: int) -> None:
        super().__init__()
        width = settings.width
        self.enter = nn.Sequential(nn.LayerNorm(dimension), nn.Linear(dimension, width))
        self.layers = nn.ModuleList(_Layer(width, settings.heads, settings.feedforward) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, embeddings: Float[Tensor, "N E"], tokens: Float[Tensor, "B D x y z"]) -> Float[Tensor, "B N D"]:
        """What each prompt found in each image."""
        values = tokens.flatten(2).transpose(1, 2)
        keys = values + position_code(tokens.shape[2:], values.shape[2]).to(values)
        queries: Tensor = self.enter(embeddings)[None].expand(len(tokens), -1, -1)
        for layer in self.layers:
            queries = layer(queries, keys, values)
        found: Tensor = self.norm(queries)
        return found


class _Layer(nn.Module):
    """Pre-norm cross-attention and feed-forward."""

    def __init__(self, width: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.feed = nn.Sequential(nn.Linear(width, feedforward), nn.GELU(), nn.Linear(feedforward, width))

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        q = self._split(self.query(self.before(queries)))
        found = functional.scaled_dot_product_attention(q, self._split(self.key(keys)), self._split(self.value(values)))
        queries = queries + self.out(found.transpose(1, 2).flatten(2))
        answered: Tensor = queries + self.feed(self.between(queries))
        return answered

    def _split(self, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B H N d"]:
        batch, count, width = tokens.shape
        return tokens.view(batch, count, self.heads, width // self.heads).transpose(1, 2)


def position_code(grid: Sequence[int], width: int) -> Float[Tensor, "S D"]:
    """Sines and cosines of the three coordinates of each cell, measured from the middle of the grid, in cells.

    Made from the actual grid, so that any patch size has one; channels are shared out among the axes, what is left
    over is 0.
    """
    waves = max(1, width // 6)
    wavelengths = torch.logspace(math.log10(4.0), math.log10(LONGEST_WAVE), waves)
    code = torch.zeros(*grid, width)
    for axis, size in enumerate(grid):
        place = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        angles = 2 * math.pi * place[:, None] / wavelengths
        along = torch.cat([angles.sin(), angles.cos()], dim=1)  # [size, 2 waves]
        shape = [1, 1, 1, 2 * waves]
        shape[axis] = size
        first = 2 * waves * axis
        code[..., first : first + 2 * waves] = along.view(shape)[..., : max(0, width - first)]
    return code.flatten(0, 2)
