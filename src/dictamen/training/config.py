"""Everything that can be set about a training run, with its default and the reason for it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from dictamen.errors import InputError, UsageError
from dictamen.losses.total import BallMode
from dictamen.models.normalise import IntensityWindow
from dictamen.models.precision import Precision

Supervision = Literal["masks", "reports"]
PatchSide = Annotated[int, Field(ge=8)]  # voxels; the presets halve the grid up to five times, and pad below that
ROUNDING = 1e-6
Settings = TypeVar("Settings", bound=BaseModel)
UNKNOWN_KEY = "extra_forbidden"
"""pydantic's word for it."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LossSettings(_Section):
    """Weights of the terms; those of reports are relative to the masks' Dice + cross-entropy of 1."""

    reports: float = Field(default=1.0, ge=0)
    volume: float = Field(default=0.4, ge=0)  # without it on the final head, lesions stay too small
    ball: float = Field(default=1.0, ge=0)  # a voxel of a reported lesion weighs as much as one that a reader drew
    absence: float = Field(default=0.01, ge=0)  # absent regions are ordinary negatives of the masked Dice + BCE already
    attenuation: float = Field(default=0.01, ge=0)  # as published
    presence: float = Field(default=0.0, ge=0)  # "there is a lesion in it", which volume and ball say better
    volume_mode: Literal["interval", "published"] = "interval"
    ball_mode: BallMode = "masks"  # "published": a loss of its own; it over-paints, see docs/supervision.md
    # cross-entropy of a pretrained encoder's tag maps with the labels, so that they stay maps of their tags
    tag_maps: float = Field(default=0.4, ge=0)
    teacher: bool = True  # the EMA model, not the model itself, chooses where the ball targets lie


class Augmentation(_Section):
    """Random changes of a training patch; sizes in mm stay true, since a zoom changes the patch's spacing."""

    # probability along x, y, z; outputs carry no side, craniocaudal order is kept
    flip: tuple[float, float, float] = (0.5, 0.5, 0.0)
    rotate_degrees: float = Field(default=15.0, ge=0, le=180)  # about the craniocaudal axis, as a patient lies
    rotate_probability: float = Field(default=0.3, ge=0, le=1)
    zoom: tuple[float, float] = (0.85, 1.2)  # span of body sizes among adults
    intensity_probability: float = Field(default=0.15, ge=0, le=1)  # nnU-Net's
    noise_std: float = Field(default=0.05, ge=0)  # in normalised units


class TrainConfig(_Section):
    """One training run. Written resolved to RUN/config.toml; unknown keys are errors."""

    preset: str = "unet"
    network: dict[str, Any] = Field(default_factory=dict)  # overrides of the preset's arguments
    pretrained: str | None = None  # run folder of `dictamen pretrain`, whose encoder is the start
    tag_maps: bool = True  # of a pretrained encoder: the network sees where each tag is, too
    supervision: tuple[Supervision, ...] = ("masks", "reports")
    targets: tuple[str, ...] | None = None  # lesion labels; None: all lesion labels of the cohort
    organs: tuple[str, ...] | None = None  # structures trained beside them; None: the targets' organs
    # use the masks of only so many studies; the others count as reports
    max_mask_studies: int | None = Field(default=None, ge=1)
    max_report_studies: int | None = Field(default=None, ge=1)  # the others are left out
    steps: int = Field(default=2000, ge=1)
    # stage 1: first the masks, then masks and reports. Reports teach a network that finds some lesions to find more;
    # joined earlier (0.2), they taught it nothing on generated abdomens, see benchmarks/results/phantom_arms.md
    masks_only_fraction: float = Field(default=0.4, ge=0, lt=1)
    patch_size: tuple[PatchSide, PatchSide, PatchSide] = (64, 64, 64)
    # patches of each kind, on average over the steps (0.5: one in every other batch), a whole number together. A few
    # masks that fill half of every batch are learned by heart
    masks_per_batch: float = Field(default=0.5, ge=0)
    reports_per_batch: float = Field(default=1.5, ge=0)
    # how far a reported region reaches beyond its organ mask; None: as far as lesions do in the studies that have both
    # masks, 10 where there are too few
    organ_dilation_mm: float | None = Field(default=None, ge=0)
    part_dilation_mm: float = Field(default=15.0, ge=0)  # borders of parts are conventions; as published
    # from which end the slices are numbered that reports name ("series 3, image 45"); "measured" on the studies that
    # have both a mask and such a report, "unknown" leaves the numbers aside
    image_order: Literal["measured", "from_head", "from_feet", "unknown"] = "measured"
    # studies with a lesion are drawn so often, however rare they are
    positive_share: float = Field(default=0.67, ge=0, le=1)
    # share of patches centred on a lesion, or on a region that has one
    lesion_centred: float = Field(default=0.5, ge=0, le=1)
    # share of patches at a random place of the volume: without them nothing is learned of what lies outside the organs
    anywhere: float = Field(default=0.25, ge=0, le=1)
    learning_rate: float = Field(default=1e-2, gt=0)  # of the small default network; lower it for large ones
    second_stage_rate: float = Field(default=1.0, gt=0)  # factor on the learning rate once reports join
    report_ramp_steps: int = Field(default=0, ge=0)  # the reports' weight grows so long, from 0, once they join
    weight_decay: float = Field(default=0.05, ge=0)
    warm_up_steps: int = Field(default=50, ge=0)
    decay_power: float = Field(default=0.9, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    ema_decay: float = Field(default=0.99, ge=0, lt=1)
    auxiliary_head: bool = True  # a second head on the same features; the published volume loss acts on it alone
    losses: LossSettings = LossSettings()
    augmentation: Augmentation = Augmentation()
    window: IntensityWindow = IntensityWindow()
    validate_every: int = Field(default=500, ge=1)
    # at most so many, with and without lesion in turn: fewer say little about thresholds, more cost minutes each time
    validation_studies: int = Field(default=32, ge=0)
    checkpoint_every: int = Field(default=250, ge=1)
    log_every: int = Field(default=25, ge=1)
    seed: int = Field(default=0, ge=0)
    precision: Precision = "auto"  # bfloat16 where the device computes in it, see models.precision
    accelerator: str = "auto"
    devices: int = Field(default=1, ge=1)
    nodes: int = Field(default=1, ge=1)
    loader_threads: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if not self.supervision:
            raise ValueError("`supervision` must name at least one of masks, reports")
        size = self.masks_per_batch + self.reports_per_batch
        if self.batch_size == 0 or abs(size - self.batch_size) > ROUNDING:
            raise ValueError(
                f"`masks_per_batch` + `reports_per_batch` must be a whole number of at least 1, not {size:g}"
            )
        return self

    @property
    def batch_size(self) -> int:
        """Patches of one step."""
        return round(self.masks_per_batch + self.reports_per_batch)

    @property
    def first_report_step(self) -> int:
        """The step at which reports join the masks."""
        if "masks" not in self.supervision:
            return 0
        return round(self.masks_only_fraction * self.steps) if "reports" in self.supervision else self.steps


def resolve(file: Path | None = None, assignments: Iterable[str] = (), **values: object) -> TrainConfig:
    """Defaults, then the toml `file`, then `values` that are not None, then `key=value` assignments (dotted keys).

    Raises:
        UsageError: an unknown key or a value out of range, with the key's name.
        InputError: the file can't be read as toml.
    """
    return validated(merged(file, assignments, values), where=file)


def merged(file: Path | None, assignments: Iterable[str], values: Mapping[str, object]) -> dict[str, Any]:
    """The toml `file`, then `values` that are not None, then `key=value` assignments, not yet checked."""
    settings: dict[str, Any] = _read_toml(file) if file else {}
    settings.update({key: value for key, value in values.items() if value is not None})
    for assignment in assignments:
        _assign(settings, assignment)
    return settings


def merge(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the changes; a section keeps what the changes don't name."""
    sections = {key: merge(settings[key], new) for key, new in changes.items() if _are_sections(settings.get(key), new)}
    return {**settings, **changes, **sections}


def _are_sections(*values: object) -> bool:
    return all(isinstance(value, dict) for value in values)


def validated(values: dict[str, Any], *, where: object = None) -> TrainConfig:
    """The configuration of these values, or a UsageError that names each wrong key."""
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        problems = "; ".join(f"`{'.'.join(map(str, e['loc']))}`: {_said(e)}" for e in found)
        unknown = [e["loc"] for e in found if e["type"] == UNKNOWN_KEY]
        raise UsageError(
            f"The training configuration is wrong: {problems}.",
            where=where,
            expected="keys " + ", ".join(_keys_beside(unknown[0])) if unknown else None,
            next_step="correct the key in --set or in the configuration file",
        ) from error


def settings_of(
    model: type[Settings], values: Mapping[str, Any], *, file: Path | None, what: str = "configuration"
) -> Settings:
    """The settings `model` of these values; a UsageError says what is wrong with the `what` and names the keys."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        problems = "; ".join(f"`{'.'.join(map(str, e['loc']))}`: {e['msg']}" for e in found)
        raise UsageError(
            f"The {what} is wrong: {problems}.",
            where=file,
            expected="keys " + ", ".join(model.model_fields),
        ) from error


def _said(error: ErrorDetails) -> str:
    return "there is no such key" if error["type"] == UNKNOWN_KEY else error["msg"]


def _keys_beside(place: tuple[str | int, ...]) -> list[str]:
    """The keys of the section that the unknown key at `place` stands in."""
    section: type[BaseModel] = TrainConfig
    for name in place[:-1]:
        inner = section.model_fields[str(name)].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        section = inner
    return list(section.model_fields)


def to_toml(config: BaseModel) -> str:
    """The configuration as toml, one key a line, None left out; `resolve` reads it back."""
    scalars, tables = [], []
    for key, value in config.model_dump(mode="json", exclude_none=True).items():
        if isinstance(value, dict):
            tables.append(f"\n[{key}]\n" + "".join(f"{name} = {json.dumps(item)}\n" for name, item in value.items()))
        else:
            scalars.append(f"{key} = {json.dumps(value)}\n")
    return "".join(scalars + tables)


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError("The configuration file can't be read.", where=file, got=error) from error


def _assign(values: dict[str, Any], assignment: str) -> None:
    key, separator, text = assignment.partition("=")
    if not separator or not key.strip():
        raise UsageError("`--set` takes key=value.", got=assignment)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    *sections, name = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise UsageError("`--set` names a key inside something that is no section.", got=assignment)
    values[name] = value
