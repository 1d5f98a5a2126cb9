"""Everything that can be set about a refiner, with its default and the reason for it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dictamen.errors import UsageError
from dictamen.losses.refinement import RefinementWeights
from dictamen.models.normalise import IntensityWindow


class RefineConfig(BaseModel):
    """One training run of a refiner and how it is applied; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=200, ge=1)  # of four cases: the loss on fifty cases is flat by then
    starts: int = Field(default=1, ge=1)  # first weights that are tried for a third of the steps; rarely worth it
    batch: int = Field(default=4, ge=1)  # cases a step, padded to one size
    learning_rate: float = Field(default=1e-2, gt=0)  # as for the same small network in `dictamen train`
    weight_decay: float = Field(default=0.01, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    ema_decay: float = Field(default=0.98, ge=0, lt=1)  # the mean over about fifty steps is what is kept
    score: float = Field(default=1.0, ge=0)  # weights of the loss terms: see losses.refinement
    direction: float = Field(default=3.0, ge=0)
    edge: float = Field(default=0.3, ge=0)
    band: float = Field(default=0.2, ge=0)
    likely: float = Field(default=1.0, ge=0)  # voxels that a score means, learned like a drawn mask
    score_mode: Literal["centre", "hinge", "barrier", "ordinal"] = "centre"
    rater_noise: float = Field(default=0.03, gt=0)  # in Dice, for the ordinal mode
    balance: bool = True  # each direction counts the same: else the rare one, missing tissue, is not learned
    edges: Literal["gradient", "intensity"] = "gradient"
    window: IntensityWindow = IntensityWindow()  # its width: it is centred on each structure's own median
    jitter: float = Field(default=0.1, ge=0)  # random contrast and brightness of a crop, in normalised units
    most_change: float = Field(default=0.3, gt=0, le=1)  # larger changes of a region are left to people
    least_certainty: float = Field(default=0.2, ge=0, le=1)  # mean |2p - 1| of the changed voxels
    keep_perfect: bool = True  # where the proposed change is below what raters call an error, none is made
    seed: int = Field(default=0, ge=0)
    log_every: int = Field(default=25, ge=1)

    @property
    def weights(self) -> RefinementWeights:
        """Of the loss."""
        return RefinementWeights(
            score=self.score,
            direction=self.direction,
            edge=self.edge,
            band=self.band,
            likely=self.likely,
            mode=self.score_mode,
            noise=self.rater_noise,
        )


def resolve(assignments: Iterable[str] = (), **values: object) -> RefineConfig:
    """Defaults, then `values` that are not None, then `key=value` assignments.

    Raises:
        UsageError: an unknown key or a value out of range, with the key's name.
    """
    merged: dict[str, Any] = {key: value for key, value in values.items() if value is not None}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator:
            raise UsageError("`--set` takes key=value.", got=assignment)
        try:
            merged[key.strip()] = json.loads(text)
        except (ValueError, RecursionError):
            merged[key.strip()] = text
    try:
        return RefineConfig.model_validate(merged)
    except ValidationError as error:
        problems = "; ".join(f"`{'.'.join(map(str, e['loc']))}`: {e['msg']}" for e in error.errors(include_url=False))
        raise UsageError(
            f"The settings of the refiner are wrong: {problems}.",
            expected="keys " + ", ".join(RefineConfig.model_fields),
        ) from error
