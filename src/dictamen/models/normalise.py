"""CT intensities as the network sees them; training and inference share this one function."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, model_validator


class IntensityWindow(BaseModel):
    """Clip to [lo_hu, hi_hu] Hounsfield units and scale linearly to [-1, 1].

    The default is the abdominal soft-tissue window (width 400, level 40): fat, fluid and every enhanced parenchyma lie
    inside, so that the 10-30 HU between a lesion and its organ keep 5-15 % of the range; air and dense bone saturate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lo_hu: float = -160.0
    hi_hu: float = 240.0

    @model_validator(mode="after")
    def _ordered(self) -> IntensityWindow:
        if not (np.isfinite(self.lo_hu) and np.isfinite(self.hi_hu) and self.lo_hu < self.hi_hu):
            raise ValueError(f"lo_hu must be below hi_hu, both finite; received {self.lo_hu}, {self.hi_hu}")
        return self

    @property
    def air(self) -> float:
        """What surrounds a volume, normalised."""
        return -1.0

    def shown(self, array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Grey values in [0, 1]: black and white are the ends of the window."""
        return (IntensityWindow.apply(self, array) + np.float32(1)) / np.float32(2)

    def scaled(self, difference_hu: float) -> float:
        """A difference in Hounsfield units, in the normalised unit."""
        return difference_hu * 2.0 / (self.hi_hu - self.lo_hu)

    def apply(self, array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Normalise Hounsfield units of any shape and numeric dtype to float32 in [-1, 1]; NaN counts as air."""
        scaled = np.asarray(array, dtype=np.float32) - np.float32(self.lo_hu)
        scaled = np.clip(scaled * np.float32(2.0 / (self.hi_hu - self.lo_hu)) - np.float32(1.0), -1.0, 1.0)
        known: npt.NDArray[np.float32] = np.nan_to_num(scaled, copy=False, nan=-1.0)
        return known


class Standardised(IntensityWindow):
    """Clip to [lo_hu, hi_hu], subtract `mean_hu`, divide by `sd_hu`: nnU-Net's normalisation of CT."""

    mean_hu: float
    sd_hu: float

    @model_validator(mode="after")
    def _usable(self) -> Standardised:
        if not (np.isfinite(self.mean_hu) and np.isfinite(self.sd_hu) and self.sd_hu > 0):
            raise ValueError(f"mean_hu and sd_hu must be finite, sd_hu positive; received {self.mean_hu}, {self.sd_hu}")
        return self

    @property
    def air(self) -> float:
        """Zero, the mean, as nnU-Net pads."""
        return 0.0

    def apply(self, array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Normalise Hounsfield units; NaN counts as the lowest value."""
        known = np.nan_to_num(np.asarray(array, dtype=np.float32), copy=False, nan=self.lo_hu)
        clipped = np.clip(known, np.float32(self.lo_hu), np.float32(self.hi_hu))
        found: npt.NDArray[np.float32] = (clipped - np.float32(self.mean_hu)) / np.float32(self.sd_hu)
        return found
