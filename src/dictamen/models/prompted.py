"""The prompted network: an image and any number of texts in, one mask and one presence score a text out.

    tokens   = memory of the encoder's levels on the deepest grid
    q_n      = what text n finds among the tokens (`query_decoder`)
    logits_n = k(q_n) . features + b(q_n)              at every voxel; k, b: MLPs with a linear last layer
             + sum over coarser levels i of upsampled k_i(q_n) . features_i, where `scales` is set
    present_n = w . q_n + c + a max(logits_n)           what was found, and how sure its surest voxel is; a begins at 1

The image is encoded once, however many texts are asked (`encode`), and texts are answered in any chunks (`decode`):
nothing depends on which other texts are asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dictamen.models import name_encoder
from dictamen.models.levels import captured, find_levels
from dictamen.models.presets import NEGATIVE_SLOPE, PRIOR, check_patch
from dictamen.models.query_decoder import Memory, QueryDecoder, QuerySettings
from dictamen.models.text_encoder import TextSettings


class PromptedOutput(NamedTuple):
    """Answers to N texts.

    Attributes:
        logits: of each text at every voxel; independent (sigmoid), they may overlap.
        auxiliary: None; the place of the auxiliary head of other networks.
        maps: None; the place of their tag maps.
        presence: logit of "it is in this image".
        levels: logits of the coarser levels, fine to coarse, for deep supervision.
    """

    logits: Float[Tensor, "B N X Y Z"]
    auxiliary: None
    maps: None
    presence: Float[Tensor, "B N"]
    levels: tuple[Float[Tensor, "B N x y z"], ...]


@dataclass(frozen=True)
class ImageFeatures:
    """All that the texts need of images.

    Attributes:
        fine: features at full resolution.
        coarse: those of the coarser levels, fine to coarse; the last are the tokens.
    """

    fine: Float[Tensor, "B F X Y Z"]
    coarse: tuple[Float[Tensor, "B C x y z"], ...]

    @property
    def tokens(self) -> Float[Tensor, "B D x y z"]:
        """What the queries attend to."""
        return self.coarse[-1]


class PromptedNetwork(nn.Module):
    """A backbone, a text encoder and a query decoder between them.

    Args:
        backbone: maps [B, C, X, Y, Z] to features [B, F, X, Y, Z] at full resolution.
        features: F.
        in_channels: C.
        divisor: what each side of an image must be a multiple of.
        labels: how many texts `table` holds.
        dimension: of the text embeddings.

    Attributes:
        table: embeddings of the texts that are asked where none are given: the labels of the run.
    """

    table: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        *,
        features: int,
        in_channels: int,
        divisor: int,
        query: QuerySettings,
        text: TextSettings,
        dimension: int,
        labels: int,
    ) -> None:
        super().__init__()
        self.backbone, self.divisor, self.scales = backbone, divisor, query.scales
        self.found = find_levels(backbone, in_channels=in_channels, divisor=divisor)
        leaky = nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True)
        self.activate = nn.Sequential(nn.InstanceNorm3d(features, affine=True), leaky)
        self.memory = Memory([level.channels for level in self.found.encoder], query.width, scales=query.scales)
        self.text = name_encoder.build(text, dimension=dimension)
        self.decoder = QueryDecoder(query, dimension=dimension)
        coarse = [level.channels for level in self.found.decoder] + [query.width]
        self.norms = nn.ModuleList(nn.InstanceNorm3d(n, affine=True) for n in coarse[:-1])
        self.kernel = _kernel(query.width, features, bias=math.log(PRIOR / (1 - PRIOR)))
        self.kernels = nn.ModuleList(_kernel(query.width, n, bias=0.0) for n in coarse)
        self.presence = nn.Linear(query.width, 1)
        self.evidence = nn.Parameter(torch.ones(1))
        self.register_buffer("table", torch.zeros(labels, dimension))

    def forward(
        self, image: Float[Tensor, "B C X Y Z"], asked: Sequence[str] | Float[Tensor, "N E"] | None = None
    ) -> PromptedOutput:
        """Answers to texts, to embeddings of texts, or to the run's labels (`table`) where none are given.

        Raises:
            UsageError: a side of the image is not a multiple of `divisor`.
        """
        asked = self.table if asked is None else asked
        return self.decode(self.encode(image), asked if isinstance(asked, Tensor) else self.embed(asked))

    def embed(self, texts: Sequence[str]) -> Float[Tensor, "N E"]:
        """Embeddings of texts, which must be in normal form (`anatomy.asking.normal`)."""
        embeddings: Tensor = self.text(list(texts))
        return embeddings

    def encode(self, image: Float[Tensor, "B C X Y Z"]) -> ImageFeatures:
        """What the texts need of an image; once an image."""
        check_patch(tuple(image.shape[2:]), self.divisor)
        with captured(self.backbone, self.found.modules) as maps:
            fine: Tensor = self.activate(self.backbone(image))
        tokens = self.memory([maps[level.module] for level in self.found.encoder])
        middle = [
            functional.leaky_relu(norm(maps[level.module]), 0.01)
            for norm, level in zip(self.norms, self.found.decoder, strict=True)
        ]
        return ImageFeatures(fine, (*middle, tokens))

    def decode(self, image: ImageFeatures, embeddings: Float[Tensor, "N E"]) -> PromptedOutput:
        """Answers to texts."""
        queries = self.decoder(embeddings, image.tokens)
        logits = _dot(self.kernel(queries), image.fine)
        levels = tuple(
            _dot(kernel(queries), features) for kernel, features in zip(self.kernels, image.coarse, strict=True)
        )
        if self.scales:
            size = list(logits.shape[2:])
            for level in levels:
                logits = logits + functional.interpolate(level, size=size, mode="trilinear", align_corners=False)
        present = self.presence(queries)[..., 0] + self.evidence * logits.flatten(2).amax(2)
        return PromptedOutput(logits, None, None, present, levels)

    @torch.no_grad()
    def write_table(self, texts: Sequence[str]) -> None:
        """Remember these texts as the ones that are asked where none are given."""
        self.table.copy_(self.embed(texts))


def _kernel(width: int, channels: int, *, bias: float) -> nn.Sequential:
    """MLP from a query to one weight a channel and an offset, which begins at `bias`."""
    last = nn.Linear(width, channels + 1)
    with torch.no_grad():
        last.bias[-1] = bias
    return nn.Sequential(nn.Linear(width, width), nn.GELU(), last)


def _dot(kernel: Float[Tensor, "B N C+1"], features: Float[Tensor, "B C *grid"]) -> Float[Tensor, "B N *grid"]:
    """The kernels' weights times the features of every voxel, plus the kernels' offsets."""
    flat = torch.baddbmm(kernel[..., -1:], kernel[..., :-1], features.flatten(2).to(kernel.dtype))
    return flat.view(*flat.shape[:2], *features.shape[2:])
