"""Everything that can be set about a pretraining run, with its default and the reason for it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dictamen.losses.tag_recognition import CLIP, GAMMA_NEGATIVE
from dictamen.models.normalise import IntensityWindow
from dictamen.models.precision import Precision
from dictamen.models.tag_heads import QUERY_HEADS, HeadKind
from dictamen.models.text_encoder import TextSettings
from dictamen.supervision.tags import FEWEST_STUDIES, Unmentioned
from dictamen.training.config import PatchSide, merged, settings_of

Slices = Annotated[int, Field(ge=1)]
"""An encoder of slices (`network.spatial_dims=2`) takes any number of them; a single one is an image."""


class PretrainConfig(BaseModel):
    """One pretraining run. Written resolved to RUN/config.toml; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str = "unet"
    network: dict[str, Any] = Field(default_factory=dict)  # overrides of the preset's arguments
    tags: tuple[str, ...] | None = None  # None: all that the training reports can teach
    fewest: int = Field(default=FEWEST_STUDIES, ge=1)  # studies with a tag, and without it, that make it teachable
    unmentioned: Unmentioned = "unknown"  # "absent" for captions, which list what is seen
    contrastive: float = Field(default=1.0, ge=0)  # weights of the two losses; 0 leaves one out
    recognition: float = Field(default=1.0, ge=0)
    gamma_negative: float = Field(default=GAMMA_NEGATIVE, ge=0)  # 0 where absent tags are as many as present ones
    clip: float = Field(default=CLIP, ge=0, lt=1)  # as published; with gamma_negative 0 and clip 0: cross-entropy
    soft_targets: bool = False  # reports with the same tags are no negatives of each other; for large batches
    head: HeadKind = "pooling"  # it trains the very map that is transferred
    dimension: int = Field(default=256, ge=8)
    text: TextSettings = TextSettings()
    steps: int = Field(default=1000, ge=1)
    batch: int = Field(default=16, ge=2)  # pairs; contrast needs many
    patch_size: tuple[PatchSide, PatchSide, Slices] = (64, 64, 64)
    shrink: int = Field(default=1, ge=1)  # voxels averaged along each axis: a report speaks of the whole scan
    shift: float = Field(default=0.25, ge=0, le=1)  # of the patch; without shifts the maps learn positions, not tissue
    noise_std: float = Field(default=0.05, ge=0)  # in normalised units
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    warm_up_steps: int = Field(default=50, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    ema_decay: float = Field(default=0.99, ge=0, lt=1)
    window: IntensityWindow = IntensityWindow()
    checkpoint_every: int = Field(default=250, ge=1)
    log_every: int = Field(default=25, ge=1)
    seed: int = Field(default=0, ge=0)
    precision: Precision = "auto"
    accelerator: str = "auto"
    devices: int = Field(default=1, ge=1)  # processes share the pairs of a batch, and contrast them all
    nodes: int = Field(default=1, ge=1)
    loader_threads: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> PretrainConfig:
        if self.contrastive == 0 and self.recognition == 0:
            raise ValueError("one of `contrastive` and `recognition` must be positive")
        if self.head == "query" and self.dimension % QUERY_HEADS:
            raise ValueError(f"`dimension` must be a multiple of {QUERY_HEADS} for the head `query`")
        if self.batch % (self.devices * self.nodes):
            raise ValueError("`batch` must be a multiple of `devices` x `nodes`")
        if self.text.width % self.text.heads:
            raise ValueError("`text.width` must be a multiple of `text.heads`")
        return self


def resolve(file: Path | None = None, assignments: Iterable[str] = (), **values: object) -> PretrainConfig:
    """Defaults, then the toml `file`, then `values` that are not None, then `key=value` assignments (dotted keys).

    Raises:
        UsageError: an unknown key or a value out of range, with the key's name.
        InputError: the file can't be read as toml.
    """
    settings = merged(file, assignments, values)
    return settings_of(PretrainConfig, settings, file=file, what="pretraining configuration")
