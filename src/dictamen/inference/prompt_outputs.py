"""Files of single labels and prompts: masks and probability maps."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume
from dictamen.inference.prompt_study import Sink
from dictamen.models.card import ModelCard
from dictamen.models.prompted import PromptedNetwork

PROBABILITIES, MASKS = "probabilities", "masks"


def write_probabilities(folder: Path, probabilities: Volume, card: ModelCard) -> None:
    """A map a label: `folder`/<label>.nii.gz, uint8, 255 is 1."""
    for channel, name in enumerate(card.names):
        levels = np.rint(probabilities.array[channel].astype(np.float32) * 255).astype(np.uint8)
        write_volume(Volume(levels[None], probabilities.affine, probabilities.study_id), folder / f"{name}.nii.gz")


def writer(output: Path, study_id: str, card: ModelCard, *, masks: bool) -> Sink:
    """Writes each prompt's mask (with `masks`) and probabilities as they come."""

    def write(index: int, mask: Volume, probabilities: Volume | None) -> None:
        name = card.names[index]
        if masks:
            write_volume(mask, output / MASKS / study_id / f"{name}.nii.gz", label_names={1: name})
        if probabilities is not None:
            one = card.model_copy(update={"labels": (card.labels[index],)})
            write_probabilities(output / PROBABILITIES / study_id, probabilities, one)

    return write


@lru_cache(maxsize=4)
def embedded(model: PromptedNetwork, texts: tuple[str, ...]) -> torch.Tensor:
    """Embeddings of the prompts, once a process and model."""
    with torch.inference_mode():
        return model.embed(texts)
