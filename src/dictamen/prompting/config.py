"""Everything that can be set about the training of a prompted network, with its default and the reason for it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dictamen.errors import UsageError
from dictamen.models.prompt_presets import PROMPT_PRESETS, architecture
from dictamen.models.prompt_settings import PromptArchitecture
from dictamen.training.config import Augmentation, LossSettings, TrainConfig, merged

PromptSupervision = Literal["prompts", "masks", "reports"]
NOT_USED = (
    "organs", "max_mask_studies", "masks_per_batch", "reports_per_batch", "positive_share", "auxiliary_head",
    "tag_maps", "pretrained", "targets",
)  # fmt: skip
"""Settings of the training of fixed labels that mean nothing here."""


class PromptLosses(BaseModel):
    """Weights of the terms beside those of masks and reports (`losses`), relative to the masks' Dice + BCE of 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    levels: float = Field(default=0.5, ge=0)  # deep supervision: level i weighs 2^-i of it, normalised
    presence: float = Field(default=0.1, ge=0)  # it needs no more: one number a prompt
    hierarchy: float = Field(default=0.0, ge=0)  # what is in a part is in its whole; an option
    exclusion: float = Field(default=0.0, ge=0)  # what anatomy keeps apart shares no voxel; an option
    sentences: float = Field(default=0.2, ge=0)  # the sentences of one study against each other


class PromptConfig(TrainConfig):
    """One training run. Written resolved to RUN/config.toml; unknown keys are errors.

    Settings that are not here are those of `TrainConfig`; `network` overrides arguments of the backbone, as there, and
    `patch_size` is the preset's where it is not given.
    """

    preset: str = "tiny"
    query: dict[str, Any] = Field(default_factory=dict)  # overrides of the preset's query decoder, see QuerySettings
    text: dict[str, Any] = Field(default_factory=dict)  # of its encoder of texts, see TextSettings
    dimension: int | None = Field(default=None, ge=8)  # of the embeddings of texts; None: the preset's
    # masks: of organs and lesions; reports: their sentences as prompts, and their constraints where there is no mask
    supervision: tuple[PromptSupervision, ...] = ("prompts", "masks", "reports")  # type: ignore[assignment]
    labels: tuple[str, ...] | None = None  # None: all that the cohorts' masks can teach
    batch: int = Field(default=2, ge=1)  # patches a step, of the cohorts in turn
    positives: int = Field(default=8, ge=1)  # labels asked of a patch that has them, at most
    negatives: float = Field(default=0.5, ge=0)  # labels asked that are absent, for each one that is there; SAT's
    # patches that end above or below one of their structures, as scans do: what is always there is never absent
    cut_views: float = Field(default=0.2, ge=0, le=1)
    sentences: int = Field(default=4, ge=0)  # sentences of the study's report asked of a patch, at most
    synonyms: float = Field(default=0.5, ge=0, le=1)  # how often a label is asked by another of its names
    text_encoder: str | None = None  # run folder of `dictamen anatomy pretrain`; its encoder of names is the start
    train_text: bool | None = None  # go on training the encoder of names; None: only where it is a fresh one
    learning_rate: float = Field(default=2e-3, gt=0)  # attention diverges at the 1e-2 of the plain U-Net
    masks_only_fraction: float = Field(default=0.0, ge=0, lt=1)  # sentences need their words from the start
    augmentation: Augmentation = Augmentation(flip=(0.0, 0.0, 0.0))  # a flip along x swaps left and right in the texts
    losses: LossSettings = LossSettings()
    prompt_losses: PromptLosses = PromptLosses()

    @model_validator(mode="before")
    @classmethod
    def _patch_of_preset(cls, values: dict[str, Any]) -> dict[str, Any]:
        preset = PROMPT_PRESETS.get(values.get("preset", ""), PROMPT_PRESETS["tiny"])
        return {"patch_size": preset.patch_size, **values}

    @model_validator(mode="after")
    def _of_prompts(self) -> PromptConfig:
        if "prompts" not in self.supervision or len(self.supervision) < 2:
            raise ValueError("`supervision` must name prompts, and masks or reports or both")
        fields = TrainConfig.model_fields
        if unused := [name for name in NOT_USED if getattr(self, name) != fields[name].default]:
            raise ValueError(f"`{unused[0]}` has no meaning with prompts; labels are chosen with `labels`")
        return self

    @property
    def batch_size(self) -> int:
        """Patches of one step."""
        return self.batch

    @property
    def architecture(self) -> PromptArchitecture:
        """All sizes of the network.

        Raises:
            UsageError: unknown preset, or sizes that are not possible.
        """
        size = {} if self.dimension is None else {"dimension": self.dimension}
        return architecture(self.preset, arguments=self.network, query=self.query, text=self.text, **size)


def resolve(file: Path | None = None, assignments: Iterable[str] = (), **values: object) -> PromptConfig:
    """Defaults, then the toml `file`, then `values` that are not None, then `key=value` assignments (dotted keys).

    Raises:
        UsageError: an unknown key or a value out of range, with the key's name.
        InputError: the file can't be read as toml.
    """
    return validated(merged(file, assignments, values), where=file)


def validated(values: dict[str, Any], *, where: object = None) -> PromptConfig:
    """The configuration of these values, or a UsageError that names each wrong key."""
    try:
        return PromptConfig.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        problems = "; ".join(f"`{'.'.join(map(str, e['loc'])) or 'configuration'}`: {e['msg']}" for e in found)
        keys = [name for name in PromptConfig.model_fields if name not in NOT_USED]
        raise UsageError(
            f"The training configuration is wrong: {problems}.",
            where=where,
            expected="keys " + ", ".join(keys),
            next_step="correct the key in --set or in the configuration file",
        ) from error
