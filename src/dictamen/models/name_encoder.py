"""An encoder of anatomical names and sentences on disk, and how it is used: texts in, unit vectors out. Never pickle.

`dictamen anatomy pretrain` writes one; `load_name_encoder(folder).embed(texts)` is all that a user of it needs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from dictamen.errors import DictamenError, InputError
from dictamen.files import atomic_path, write_json
from dictamen.models.card import RESEARCH_USE, versions
from dictamen.models.text_encoder import TextSettings, build_text_encoder

WEIGHTS, CARD = "names.safetensors", "names.json"
CHUNK = 256
"""Texts that are read at once: memory does not grow with a list of thousands of names."""


class NameEncoderCard(BaseModel):
    """What the encoder is and what it was taught.

    Attributes:
        text: the encoder's settings; for a language model of a folder, they name it.
        dimension: of the embeddings.
        concepts, names: how many it was taught.
        knowledge_sha256: of all names, definitions and relations that it was taught.
        metrics: measured after training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    text: TextSettings
    dimension: int = Field(ge=1)
    concepts: int = Field(default=0, ge=0)
    names: int = Field(default=0, ge=0)
    knowledge_sha256: str = ""
    metrics: dict[str, float] = Field(default_factory=dict)
    intended_use: str = RESEARCH_USE
    versions: dict[str, str] = Field(default_factory=versions)
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(frozen=True)
class NameEncoder:
    """A trained encoder, ready to be asked.

    Attributes:
        network: texts -> embeddings [N, D], not normalised; trainable, for those who go on training it.
    """

    network: nn.Module
    card: NameEncoderCard

    @property
    def dimension(self) -> int:
        """D, of the embeddings."""
        return self.card.dimension

    @property
    def fingerprint(self) -> str:
        """Hash of weights and settings: embeddings that are kept may be used again where it is the same."""
        return fingerprint(self.network, self.card.text)

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Float[Tensor, "N D"]:
        """Embeddings of length 1, float32, on the CPU; their products are cosines. An empty text gives a finite one."""
        if isinstance(texts, str):
            raise TypeError("`texts` must be a list of texts, not one text")
        self.network.eval()
        chunks = [self.network(list(texts[at : at + CHUNK])) for at in range(0, len(texts), CHUNK)]
        if not chunks:
            return torch.zeros(0, self.dimension)
        return functional.normalize(torch.cat(chunks).float(), dim=1).cpu()


def build(settings: TextSettings, *, dimension: int) -> nn.Module:
    """An encoder with weights of no meaning, or, where the settings name its folder, a language model."""
    return build_text_encoder(settings, dimension=dimension)


def fingerprint(network: nn.Module, settings: TextSettings) -> str:
    """SHA-256 of the settings and of all weights."""
    found = hashlib.sha256(settings.model_dump_json().encode())
    for name, value in sorted(network.state_dict().items()):
        found.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def save_name_encoder(folder: Path, network: nn.Module, card: NameEncoderCard) -> None:
    """Write names.safetensors and names.json; the card comes last, so that a folder with one is complete."""
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in network.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_json(folder / CARD, card.model_dump(mode="json"))


def load_name_encoder(folder: str | Path) -> NameEncoder:
    """Read the encoder of a folder, or of the run folder around it.

    Raises:
        InputError: there is none, it is damaged, or its weights are of other settings.
    """
    place = next((p for p in (Path(folder), Path(folder) / "model") if (p / CARD).is_file()), None)
    if place is None:
        raise InputError(
            "There is no encoder of names here.",
            where=folder,
            expected=f"a run folder of `dictamen anatomy pretrain`, or a folder with {CARD}",
        )
    try:
        card = NameEncoderCard.model_validate(json.loads((place / CARD).read_text(encoding="utf-8")))
        network = build(card.text, dimension=card.dimension)
        network.load_state_dict(load_file(place / WEIGHTS))
    except DictamenError:
        raise
    except (OSError, ValueError, ValidationError, SafetensorError, RuntimeError) as error:
        raise InputError(
            "The encoder of names can't be read.",
            where=place,
            got=type(error).__name__,
            expected=f"{CARD} and {WEIGHTS} as they were written",
            next_step="copy the folder again, or make it again with `dictamen anatomy pretrain`",
        ) from error
    return NameEncoder(network.eval(), card)
