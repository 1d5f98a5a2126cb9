"""A model on disk: a folder with model.safetensors, model.json and README.md. Never pickle."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dictamen.errors import InputError, UsageError, resource_errors
from dictamen.files import atomic_path, write_json, write_text
from dictamen.models import presets, prompt_presets
from dictamen.models.card import FORMAT_VERSION, ModelCard, readme
from dictamen.models.tag_maps import attach_tag_maps

logger = logging.getLogger(__name__)

WEIGHTS, CARD, README = "model.safetensors", "model.json", "README.md"
MOST_NAMED = 3
"""Wrong tensors named in an error; the first ones say it all."""


def save_model(folder: Path, model: nn.Module, card: ModelCard) -> Path:
    """Write a model folder; an older model there is replaced as a whole, or not at all.

    Args:
        folder: RUN/model.
        model: what `presets.build` gave, with its weights (on any device).
        card: must describe `model`.

    Raises:
        UsageError: the card's architecture is not that of the model.
        ResourceError: disk full or folder not writable.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    _check(tensors, _network(card).state_dict(), where=folder, error=UsageError)
    with resource_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".partial-{folder.name}-"))
        try:
            with atomic_path(temporary / WEIGHTS) as weights:  # which others may read, as they may all else
                # one entry: safetensors writes several in an order of chance, and equal weights in unequal bytes
                save_file(tensors, weights, metadata={"format": "pt"})
            write_json(temporary / CARD, card.model_dump(mode="json"))
            write_text(temporary / README, readme(card))
            temporary.chmod(0o755)
            _replace(folder, temporary)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def load_model(folder: Path, *, trust_code: bool = False) -> tuple[nn.Module, ModelCard]:
    """Read a model folder; the network is on the CPU and in evaluation mode.

    Args:
        folder: a model folder, or a run folder with `model/` inside.
        trust_code: allow the preset `custom`, which imports and runs the function that model.json names.

    Raises:
        InputError: no model there, damaged, of a newer format, or weights of another configuration (which tensor, got,
            expected).
        UsageError: a `custom` model without `trust_code`.
    """
    folder = model_folder(Path(folder))
    card = load_card(folder)
    if card.architecture.preset == "custom" and not trust_code:
        raise UsageError(
            "This model runs code of its own.",
            where=folder / CARD,
            got=card.architecture.overrides.get("backbone"),
            next_step="load it in Python with load_model(..., trust_code=True) if you trust its author",
        )
    network = _network(card)
    try:
        tensors = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise InputError(
            "The weights can't be read.",
            where=folder / WEIGHTS,
            got=error,
            next_step="copy the model again, or train it again",
        ) from error
    _check(tensors, network.state_dict(), where=folder / WEIGHTS, error=InputError)
    network.load_state_dict(tensors)
    logger.warning("%s", card.intended_use)
    return network.eval(), card


def load_card(folder: Path) -> ModelCard:
    """Read and check model.json of a model folder or a run folder.

    Raises:
        InputError: missing, not JSON, of a newer format, or wrong fields (named).
    """
    path = model_folder(Path(folder)) / CARD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError("The model card can't be read.", where=path, got=type(error).__name__) from error
    found = values.get("format_version") if isinstance(values, dict) else None
    if isinstance(found, int) and found > FORMAT_VERSION:
        raise InputError(
            "The model was saved by a newer dictamen.",
            where=path,
            got=found,
            expected=FORMAT_VERSION,
            next_step="update dictamen",
        )
    try:
        return ModelCard.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(f"`{'.'.join(map(str, e['loc']))}`: {e['msg']}" for e in error.errors(include_url=False))
        raise InputError(f"The model card is wrong: {problems}.", where=path) from error


def model_folder(folder: Path) -> Path:
    """The model folder itself, or the one inside a run folder.

    Raises:
        InputError: neither.
    """
    for candidate in (folder, folder / "model"):
        missing = [name for name in (CARD, WEIGHTS) if not (candidate / name).is_file()]
        if len(missing) == 1:
            raise InputError(
                f"The model has no {missing[0]}.", where=candidate, next_step="copy the model again, or train it again"
            )
        if not missing:
            return candidate
    raise InputError(
        "There is no model here.",
        where=folder,
        expected=f"a run folder with model/, or a folder with {WEIGHTS} and {CARD}",
        next_step="finish the training first, or give another folder",
    )


def _network(card: ModelCard) -> nn.Module:
    """The card's network with weights of no meaning; the caller's random numbers are left as they were."""
    made = card.architecture
    with torch.random.fork_rng(devices=[]):
        if made.prompts is not None:
            return prompt_presets.build(made.prompts, in_channels=made.in_channels, labels=made.out_channels)
        network = presets.build(
            made.preset,
            in_channels=made.in_channels,
            out_channels=made.out_channels + made.exclusive,
            auxiliary_head=made.auxiliary_head,
            **made.overrides,
        )
        network.exclusive = made.exclusive
        if made.tags:
            attach_tag_maps(network, torch.zeros(len(made.tags), made.tag_dimension), channels=made.tag_channels)
        return network


def _check(
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    *,
    where: Path,
    error: type[InputError] | type[UsageError],
) -> None:
    """Raise `error` naming the tensors that are missing, too many, or of another shape."""
    problems = [f"{name} is missing" for name in expected if name not in tensors]
    problems += [f"{name} is not known" for name in tensors if name not in expected]
    problems += [
        f"{name} is {list(tensors[name].shape)} instead of {list(value.shape)}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    if problems:
        more = f" and {len(problems) - MOST_NAMED} more" if len(problems) > MOST_NAMED else ""
        raise error(
            "The weights are of another configuration.",
            where=where,
            got="; ".join(problems[:MOST_NAMED]) + more,
            expected=f"the {len(expected)} tensors of the network in {CARD}",
            next_step="use the model.json that was saved with these weights",
        )


def _replace(folder: Path, temporary: Path) -> None:
    """Put `temporary` in the place of `folder`; between the two renames the old model stands beside, complete."""
    old = folder.with_name(f".old-{folder.name}-{os.getpid()}")
    if folder.exists():
        folder.rename(old)
    try:
        temporary.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
