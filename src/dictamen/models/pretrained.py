"""A pretrained encoder on disk, and how it starts a segmentation network. Never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dictamen.errors import InputError, UsageError
from dictamen.files import atomic_path, write_json, write_text
from dictamen.models.card import RESEARCH_USE, TrainingStudies, versions
from dictamen.models.inflate import inflate
from dictamen.models.normalise import IntensityWindow
from dictamen.models.presets import IN_PLANE, SegmentationNetwork
from dictamen.models.slicewise import Slicewise
from dictamen.models.tag_heads import HeadKind
from dictamen.models.tag_maps import attach_tag_maps
from dictamen.models.text_encoder import TextSettings

WEIGHTS, CARD, README = "pretrained.safetensors", "pretrained.json", "README.md"
BACKBONE, TABLE = "encoder.backbone.", "tag_table"
PLANE = "network."
"""Before the names of a 2D network within the backbone that goes through slices (`models.slicewise`)."""
MOST_NAMED = 3


class PretrainedCard(BaseModel):
    """What was pretrained, on what, and how well; no study id, no text of a report.

    Attributes:
        preset, network: of the backbone, as `models.presets.build_backbone` takes them.
        channels: of its deepest features.
        dimension: of the embeddings.
        tags: their names, in the order of the tag table.
        spacing_mm: of the voxels that the encoder saw.
        metrics: on the validation studies.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    preset: str
    network: dict[str, Any] = Field(default_factory=dict)
    channels: int = Field(ge=1)
    dimension: int = Field(ge=1)
    head: HeadKind
    tags: tuple[str, ...] = Field(min_length=1)
    text: TextSettings
    spacing_mm: tuple[float, float, float]
    patch_size: tuple[int, int, int]
    intensity: IntensityWindow = IntensityWindow()
    training_studies: TrainingStudies = TrainingStudies()
    metrics: dict[str, float] = Field(default_factory=dict)
    intended_use: str = RESEARCH_USE
    versions: dict[str, str] = Field(default_factory=versions)
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(frozen=True)
class Pretrained:
    """A pretrained folder, read.

    Attributes:
        tensors: those of the encoder, of its heads and of the text encoder, and the tag table [K, D].
    """

    folder: Path
    card: PretrainedCard
    tensors: Mapping[str, Tensor]


def save_pretrained(folder: Path, tensors: Mapping[str, Tensor], card: PretrainedCard) -> None:
    """Write a pretrained folder; the card comes last, so that a folder with one is complete."""
    own = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(own, temporary, metadata={"format": "pt"})
    measured = "\n".join(f"- {name}: {value:.3g}" for name, value in card.metrics.items()) or "- no validation"
    write_text(
        folder / README,
        f"# Encoder pretrained with dictamen\n\n**{card.intended_use}**\n\nPreset `{card.preset}`, "
        f"{len(card.tags)} tags, voxels of {card.spacing_mm} mm, "
        f"{len(card.training_studies.sha256)} pairs of scan and report. "
        f"Use: `dictamen train COHORT -o RUN --pretrained FOLDER`.\n\n{measured}\n",
    )
    write_json(folder / CARD, card.model_dump(mode="json"))


def load_pretrained(folder: Path) -> Pretrained:
    """Read a pretrained folder, or the run folder around it.

    Raises:
        InputError: there is none, or it is damaged.
    """
    found = next((place for place in (folder, folder / "model") if (place / CARD).is_file()), None)
    if found is None:
        raise InputError(
            "There is no pretrained encoder here.",
            where=folder,
            expected=f"a run folder of `dictamen pretrain`, or a folder with {CARD}",
        )
    try:
        card = PretrainedCard.model_validate(json.loads((found / CARD).read_text(encoding="utf-8")))
        tensors = load_file(found / WEIGHTS)
    except (OSError, ValueError, ValidationError, SafetensorError) as error:
        raise InputError("The pretrained encoder can't be read.", where=found, got=type(error).__name__) from error
    if missing := [name for name in (TABLE, "local.weight", "local.bias") if name not in tensors]:
        raise InputError("The pretrained encoder is not complete.", where=found / WEIGHTS, got=f"no {missing[0]}")
    return Pretrained(found, card, tensors)


def start_from(network: SegmentationNetwork, pretrained: Pretrained, *, preset: str, tag_maps: bool = True) -> int:
    """Carry the encoder's weights into `network.backbone`, in place, and attach its tag maps; the decoder stays as is.

    Those of a 2D encoder are inflated where the network is 3D (`models.inflate`); tag maps fit both as they are.

    Args:
        network: what `models.presets.build(preset, ...)` gave.
        tag_maps: attach maps whose projection and tag table are the pretrained ones.

    Returns:
        how many tensors were carried over.

    Raises:
        UsageError: the encoder is of another preset or of other sizes.
    """
    encoder = {
        name.removeprefix(BACKBONE): value for name, value in pretrained.tensors.items() if name.startswith(BACKBONE)
    }
    own = network.backbone.state_dict()
    if pretrained.card.network.get("spatial_dims") == IN_PLANE and not isinstance(network.backbone, Slicewise):
        flat = {name.removeprefix(PLANE): value for name, value in encoder.items()}
        encoder = inflate(flat, {name: tuple(value.shape) for name, value in own.items()})
    wrong = [
        f"{name} is {list(value.shape)} instead of {list(own[name].shape) if name in own else 'none'}"
        for name, value in encoder.items()
        if name not in own or own[name].shape != value.shape
    ]
    if preset != pretrained.card.preset or wrong:
        raise UsageError(
            "The pretrained encoder is of another network.",
            where=pretrained.folder,
            got=f"preset {preset}" + (f", {'; '.join(wrong[:MOST_NAMED])}" if wrong else ""),
            expected=f"preset {pretrained.card.preset} with network settings {pretrained.card.network}",
            next_step="train with the preset and the `network` settings of the pretraining",
        )
    network.backbone.load_state_dict(encoder, strict=False)
    if tag_maps:
        added = attach_tag_maps(network, pretrained.tensors[TABLE], channels=pretrained.card.channels)
        with torch.no_grad():
            added.project.weight.copy_(pretrained.tensors["local.weight"])
            added.project.bias.copy_(pretrained.tensors["local.bias"])
    return len(encoder)
