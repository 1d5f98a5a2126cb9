"""Everything that can be set about teaching an encoder the knowledge of anatomy, with the reason for its default."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dictamen.models.normalise import IntensityWindow
from dictamen.models.text_encoder import TextSettings
from dictamen.training.config import PatchSide, merged, settings_of


class LookSettings(BaseModel):
    """What structures look like, where a cohort with organ masks is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = Field(default=1.0, gt=0)  # of the contrast of looks and names, beside that of texts
    preset: str = "unet"
    features: int = Field(default=32, ge=1)  # of each voxel, pooled under the masks: more than a label's output needs
    patch_size: tuple[PatchSide, PatchSide, PatchSide] = (64, 64, 64)  # many structures beside each other
    batch: int = Field(default=2, ge=1)


class KnowledgeConfig(BaseModel):
    """One run of `dictamen anatomy pretrain`. Written resolved to RUN/config.toml; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: TextSettings = TextSettings(layers=1, most_words=64)  # names are short
    dimension: int = Field(default=128, ge=8)
    steps: int = Field(
        default=900, ge=1
    )  # about a minute of one core; 300 know two held-out synonyms in a hundred less
    concepts: int = Field(default=24, ge=2)  # drawn a step; their mirrors and siblings come on top
    siblings: int = Field(default=2, ge=0)  # of each: the hardest to tell apart
    hard_negatives: bool = True  # the other side of each concept too
    definitions: int = Field(default=16, ge=0)  # of the concepts of a step; they are long, hence slow
    questions: int = Field(default=40, ge=0)  # relations asked for in a step
    variations: bool = True  # names in other word orders, plural, with typing errors ...
    roots: bool = True  # nephr-, hepat-: Greek and Latin roots
    hold_out: float = Field(default=0.0, ge=0, lt=1)  # share of synonyms and relations that are not taught but measured
    hold_out_whole: bool = True  # a synonym with the same words of its left, right and pair; otherwise each by itself
    look: LookSettings = LookSettings()
    window: IntensityWindow = IntensityWindow()  # of the scans of a cohort
    temperature: float = Field(default=0.05, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    pieces_rate: float = Field(
        default=5.0, gt=0
    )  # times that rate, of the table of words and trigrams: each is met rarely
    weight_decay: float = Field(default=0.01, ge=0)
    warm_up_steps: int = Field(default=30, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    ema_decay: float = Field(default=0.95, ge=0, lt=1)
    checkpoint_every: int = Field(default=100, ge=1)
    log_every: int = Field(default=25, ge=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> KnowledgeConfig:
        if self.text.width % self.text.heads:
            raise ValueError("`text.width` must be a multiple of `text.heads`")
        return self


def resolve_knowledge(file: Path | None = None, assignments: Iterable[str] = (), **values: object) -> KnowledgeConfig:
    """Defaults, then the toml `file`, then `values` that are not None, then `key=value` assignments (dotted keys).

    Raises:
        UsageError: an unknown key or a value out of range, with the key's name.
        InputError: the file can't be read as toml.
    """
    return settings_of(KnowledgeConfig, _with_text(merged(file, assignments, values)), file=file)


def _with_text(values: dict[str, object]) -> dict[str, object]:
    """`text.width=64` alone leaves the other settings of the text encoder as they are by default here."""
    text = values.get("text")
    if not isinstance(text, dict):
        return values
    return {**values, "text": {**KnowledgeConfig().text.model_dump(), **text}}
