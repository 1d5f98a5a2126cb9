"""The model card: what a saved model is, for programs (model.json) and for people (README.md)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dictamen.models.normalise import IntensityWindow, Standardised
from dictamen.models.prompt_settings import PromptArchitecture

FORMAT_VERSION = 1
RESEARCH_USE = "Research use only; not a medical device."
SALT_BYTES = 16
"""Against tables of hashes of likely study ids made beforehand."""
_PACKAGES = ("dictamen", "torch", "monai")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Architecture(_Part):
    """What `models.presets.build` was called with, and the tag maps attached to it.

    Attributes:
        exclusive: the labels exclude each other: the network's first channel is background and is no label, and a
            voxel has the label with the largest logit. Else each label has a probability of its own.
        tags: names of the tags (`supervision.tags.Tag.name`); empty: no maps.
        tag_dimension, tag_channels: of the embeddings of the tags, and of the features that the maps are made of.
        prompts: sizes of a network that is asked in words; its labels are those that it was trained on. None: others.
    """

    preset: str
    in_channels: int = Field(default=1, ge=1)
    out_channels: int = Field(ge=1)
    auxiliary_head: bool = False
    exclusive: bool = False
    overrides: dict[str, Any] = Field(default_factory=dict)
    tags: tuple[str, ...] = ()
    tag_dimension: int = Field(default=0, ge=0)
    tag_channels: int = Field(default=0, ge=0)
    prompts: PromptArchitecture | None = None


class OutputLabel(_Part):
    """One output channel.

    Attributes:
        name: of the label (`kidney_tumour`, `kidney`).
        kind: lesions override organs where both are predicted.
        structure: id of the whole organ in the vocabulary.
        snomed_ct: code of that structure, where known.
        threshold: probability from which a voxel counts, chosen on validation.
        lesion_threshold: probability that a connected lesion must reach somewhere, chosen on validation.
    """

    name: str = Field(min_length=1)
    kind: Literal["lesion", "organ"]
    structure: str | None = None
    snomed_ct: str | None = None
    threshold: float = Field(default=0.5, gt=0, lt=1)
    lesion_threshold: float = Field(default=0.0, ge=0, lt=1)


class TrainingStudies(_Part):
    """SHA-256 of salt + study id: a site can check its own ids, nobody can list the others'."""

    salt: str = ""
    sha256: tuple[str, ...] = ()

    @classmethod
    def of(cls, study_ids: Iterable[str], *, salt: str | None = None) -> TrainingStudies:
        """Hash the ids with a random salt, or with `salt` (hexadecimal)."""
        salt = secrets.token_hex(SALT_BYTES) if salt is None else salt
        return cls(salt=salt, sha256=tuple(sorted({_hash(salt, study_id) for study_id in study_ids})))

    def __contains__(self, study_id: object) -> bool:
        return _hash(self.salt, str(study_id)) in self.sha256


def _hash(salt: str, study_id: str) -> str:
    return hashlib.sha256(f"{salt}{study_id}".encode()).hexdigest()


def versions() -> dict[str, str]:
    """Versions of the packages that made a model."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


class ModelCard(_Part):
    """Everything needed to use a model rightly; no study id, no text of a report.

    Attributes:
        labels: output channels, in order.
        spacing_mm: voxel size of the grid that the network was trained on, mm.
        orientation: of that grid.
        patch_size: voxels of a training patch, which is the window of prediction.
        supervision: how many training studies each source of supervision had.
        validation: score and number of studies, where there was a validation.
    """

    format_version: int = FORMAT_VERSION
    architecture: Architecture
    labels: tuple[OutputLabel, ...]
    spacing_mm: tuple[float, float, float]
    orientation: Literal["RAS"] = "RAS"
    patch_size: tuple[int, int, int]
    intensity: Standardised | IntensityWindow = IntensityWindow()
    modality: str = "CT"
    supervision: dict[str, int] = Field(default_factory=dict)
    training_studies: TrainingStudies = TrainingStudies()
    validation: dict[str, float] = Field(default_factory=dict)
    intended_use: str = RESEARCH_USE
    versions: dict[str, str] = Field(default_factory=versions)
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @model_validator(mode="after")
    def _consistent(self) -> ModelCard:
        names = [label.name for label in self.labels]
        if len(names) != self.architecture.out_channels:
            raise ValueError(f"{self.architecture.out_channels} output channels but {len(names)} labels")
        if len(set(names)) != len(names):
            raise ValueError(f"labels must differ from each other; received {', '.join(names)}")
        if not all(side > 0 for side in (*self.spacing_mm, *self.patch_size)):
            raise ValueError("spacing_mm and patch_size must be positive")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the output channels."""
        return tuple(label.name for label in self.labels)


def readme(card: ModelCard) -> str:
    """The card in Markdown."""
    architecture = card.architecture
    rows = [
        f"| {index} | {one.name} | {one.kind} | {one.structure or ''} | {one.snomed_ct or ''} | {one.threshold:g} |"
        for index, one in enumerate(card.labels, start=1)
    ]
    sections = [
        "# Segmentation model made with dictamen\n",
        f"**{card.intended_use}** Its errors on your scanners and patients are unknown: measure them first.\n",
        "## What it segments\n",
        "| channel | label | kind | structure | SNOMED CT | threshold |\n|---|---|---|---|---|---|",
        *rows,
        "\n## What goes in\n",
        f"- {card.modality} ({architecture.in_channels} channel), {_times(card.spacing_mm)} mm, {card.orientation}+",
        f"- clipped to [{card.intensity.lo_hu:g}, {card.intensity.hi_hu:g}] HU, {_scaling(card.intensity)}",
        f"- windows of {_times(card.patch_size)} voxels; `dictamen predict` does all of this\n",
        "## How it was made\n",
        f"- network: preset `{architecture.preset}`"
        + (f" with {architecture.overrides}" if architecture.overrides else ""),
        f"- supervision: {_listed(card.supervision) or 'not recorded'}",
        f"- training studies: {len(card.training_studies.sha256)} (hashed ids in model.json)",
        f"- validation: {_listed(card.validation) or 'none'}",
        f"- versions: {_listed(card.versions)}; {card.created}",
    ]
    return "\n".join(sections) + "\n"


def _scaling(intensity: IntensityWindow) -> str:
    if isinstance(intensity, Standardised):
        return f"minus {intensity.mean_hu:g}, divided by {intensity.sd_hu:g}"
    return "scaled to [-1, 1]"


def _times(values: Iterable[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )
