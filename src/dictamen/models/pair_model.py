"""The model of pretraining: a scan and a report to embeddings that can be compared, and tags to scores and maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dictamen.losses.contrastive import ContrastiveLoss
from dictamen.models.deepest import Encoder
from dictamen.models.tag_heads import HeadKind, TagScores, build_head
from dictamen.models.text_encoder import TextSettings, build_text_encoder


class Embeddings(NamedTuple):
    """Of a batch.

    Attributes:
        image, text: of the pairs, not normalised.
        tags: embeddings of the tags.
        scores: logits of the tags and the head's own maps.
        cells: W F, from which `tag_heads.similarity_maps` gives the maps that are transferred.
    """

    image: Float[Tensor, "B D"]
    text: Float[Tensor, "B D"]
    tags: Float[Tensor, "K D"]
    scores: TagScores
    cells: Float[Tensor, "B D *grid"]


class PairModel(nn.Module):
    """Encoder of scans, encoder of texts, head of tags.

    Args:
        backbone: a segmentation backbone, of which only the encoder is used.
        channels: of its deepest features.
        phrases: what is read for each tag; its embedding is the mean over its phrases.
        dimension: of all embeddings.
        one_projection: cells and the whole scan are projected by the same weights, where nothing else trains those of
            the cells: without a loss of tags, contrast alone makes the maps.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        channels: int,
        phrases: Sequence[Sequence[str]],
        head: HeadKind = "pooling",
        text: TextSettings | None = None,
        dimension: int = 256,
        one_projection: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(backbone)
        self.local = nn.Linear(channels, dimension)
        self.whole = None if one_projection else nn.Linear(channels, dimension)
        self.text = build_text_encoder(text or TextSettings(), dimension=dimension)
        self.head = build_head(head, tags=len(phrases), dimension=dimension)
        self.contrast = ContrastiveLoss()
        self.phrases = [tuple(of_tag) for of_tag in phrases]

    def forward(self, image: Float[Tensor, "B C *voxels"], texts: Sequence[str]) -> Embeddings:
        """Embeddings of the scans, their reports and the tags."""
        features = self.encoder(image)
        cells = functional.linear(features.movedim(1, -1), self.local.weight, self.local.bias).movedim(-1, 1)
        tags = self.tag_embeddings()
        return Embeddings(
            image=(self.whole or self.local)(features.flatten(2).mean(2)),
            text=self.text(texts),
            tags=tags,
            scores=self.head(cells, tags),
            cells=cells,
        )

    def tag_embeddings(self) -> Float[Tensor, "K D"]:
        """The mean of the normalised embeddings of each tag's phrases, without what all tags share.

        Phrases of one kind resemble each other (mean cosine .8 and more), and so would the maps of their tags.
        """
        flat = functional.normalize(self.text([phrase for of_tag in self.phrases for phrase in of_tag]), dim=1)
        counts = [len(of_tag) for of_tag in self.phrases]
        table = torch.stack([part.mean(0) for part in torch.split(flat, counts)])
        return table - table.mean(0) if len(table) > 1 else table
