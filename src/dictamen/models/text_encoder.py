"""The text encoder: a small transformer, trained along with the images, so that there is nothing to download.

A language model of a local folder can stand in its place, see `models.text_folder`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from dictamen.models import words
from dictamen.models.text_folder import FolderEncoder


class TextSettings(BaseModel):
    """Which text encoder; written into the model card."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(default=128, ge=8)  # of the transformer
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    most_words: int = Field(default=256, ge=8)  # abdominal reports have a median of 150 words
    # of a Hugging Face model, or an installed package that holds one; it replaces the transformer
    folder: str | None = None
    frozen: bool = True  # the model of a folder is not trained; the projection behind it is
    # with a folder: the small transformer reads along, and both are added. A language model knows that a kneecap is a
    # patella; hashed trigrams know what was taught letter by letter
    beside: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> TextSettings:
        if self.beside and self.folder is None:
            raise ValueError("`beside` needs a language model in `folder`")
        return self


class SmallTransformer(nn.Module):
    """Hashed words -> transformer -> mean over words -> projection."""

    def __init__(self, settings: TextSettings, *, dimension: int) -> None:
        super().__init__()
        self.most_words = settings.most_words
        self.pieces = nn.Embedding(words.BUCKETS, settings.width, padding_idx=words.PADDING)
        self.places = nn.Parameter(0.02 * torch.randn(settings.most_words, settings.width))
        layer = nn.TransformerEncoderLayer(
            settings.width,
            settings.heads,
            dim_feedforward=2 * settings.width,
            dropout=0.0,  # resume then needs no generator state
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, settings.layers, enable_nested_tensor=False)
        self.project = nn.Linear(settings.width, dimension)

    def forward(self, texts: Sequence[str]) -> Float[Tensor, "N D"]:
        """Embeddings of `texts`; an empty text gives a finite one."""
        hashes = words.encode(texts, most_words=self.most_words).to(self.places.device).hashes
        pieces = (hashes != words.PADDING).sum(-1, keepdim=True)
        empty = pieces[..., 0] == 0  # [N, T]
        embedded = self.pieces(hashes).sum(2) / pieces.clamp(min=1)
        read = self.layers(embedded + self.places[: hashes.shape[1]], src_key_padding_mask=_some(empty))
        mean = (read * ~empty[..., None]).sum(1) / (~empty).sum(1, keepdim=True).clamp(min=1)
        return self.project(mean)  # type: ignore[no-any-return]


class BothEncoders(nn.Module):
    """The small transformer and a language model of a folder, whose embeddings are added."""

    def __init__(self, settings: TextSettings, *, dimension: int) -> None:
        super().__init__()
        self.small = SmallTransformer(settings, dimension=dimension)
        self.language = FolderEncoder(settings, dimension=dimension)

    def forward(self, texts: Sequence[str]) -> Float[Tensor, "N D"]:
        """Embeddings of `texts`."""
        embedded: Tensor = self.small(texts) + self.language(texts)
        return embedded


def build_text_encoder(settings: TextSettings, *, dimension: int) -> SmallTransformer | FolderEncoder | BothEncoders:
    """The encoder of these settings, whose embeddings have `dimension` numbers.

    Raises:
        UsageError, InputError: a folder that can't be read, see `FolderEncoder`.
    """
    if settings.folder is not None and settings.beside:
        return BothEncoders(settings, dimension=dimension)
    if settings.folder is not None:
        return FolderEncoder(settings, dimension=dimension)
    return SmallTransformer(settings, dimension=dimension)


def _some(empty: Tensor) -> Tensor:
    """Attention over no word at all is not a number: an empty text attends to its first padding."""
    mask = empty.clone()
    mask[:, 0] = False
    return mask
