"""Overlap of two masks, voxel by voxel.

Conventions for empty masks, as in most challenges: both empty is nan (nothing to overlap: the study is left out of
means over Dice), exactly one empty is 0. Studies without truth are judged by the volume of their false
positives instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError

Mask = npt.NDArray[np.bool_]
Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Voxel counts of one truth and one prediction, and what follows from them.

    Attributes:
        intersection, truth, prediction: numbers of voxels.
        voxel_mm3: volume of one voxel.
    """

    intersection: int
    truth: int
    prediction: int
    voxel_mm3: float

    @property
    def dice(self) -> float:
        """2 |T and P| / (|T| + |P|) in [0, 1]; nan where both are empty."""
        return 2 * self.intersection / total if (total := self.truth + self.prediction) else math.nan

    @property
    def iou(self) -> float:
        """|T and P| / |T or P| in [0, 1]; nan where both are empty."""
        union = self.truth + self.prediction - self.intersection
        return self.intersection / union if union else math.nan

    @property
    def truth_mm3(self) -> float:
        """Volume of the truth."""
        return self.truth * self.voxel_mm3

    @property
    def prediction_mm3(self) -> float:
        """Volume of the prediction."""
        return self.prediction * self.voxel_mm3

    @property
    def false_positive_mm3(self) -> float:
        """Volume that was predicted and is not true."""
        return (self.prediction - self.intersection) * self.voxel_mm3

    @property
    def volume_difference(self) -> float:
        """(|P| - |T|) / |T|, signed; nan where the truth is empty."""
        return (self.prediction - self.truth) / self.truth if self.truth else math.nan


def overlap(truth: Mask, prediction: Mask, *, spacing_mm: Spacing = (1.0, 1.0, 1.0)) -> Overlap:
    """Count the voxels of two masks [X, Y, Z] and of their intersection.

    Raises:
        InputError: different shapes.
    """
    check_masks(truth, prediction)
    return Overlap(
        intersection=int(np.count_nonzero(truth & prediction)),
        truth=int(np.count_nonzero(truth)),
        prediction=int(np.count_nonzero(prediction)),
        voxel_mm3=float(np.prod(spacing_mm)),
    )


def dice(truth: Mask, prediction: Mask) -> float:
    """Dice of two masks; nan where both are empty."""
    return overlap(truth, prediction).dice


def iou(truth: Mask, prediction: Mask) -> float:
    """Intersection over union of two masks; nan where both are empty."""
    return overlap(truth, prediction).iou


def check_masks(truth: Mask, prediction: Mask) -> None:
    """Raise InputError unless both are boolean and of one shape."""
    if truth.shape != prediction.shape:
        raise InputError(
            "Truth and prediction must have the same shape.",
            got=prediction.shape,
            expected=truth.shape,
            next_step="bring the prediction to the grid of the truth first",
        )
    if truth.dtype != np.bool_ or prediction.dtype != np.bool_:
        raise InputError("Masks must be boolean.", got=(str(truth.dtype), str(prediction.dtype)), expected="bool")


def bounding_box(*masks: Mask, margin: int = 0) -> tuple[slice, ...] | None:
    """Slices of the smallest box that holds all masks, with a margin in voxels; None where all are empty."""
    bounds = []
    for axis in range(masks[0].ndim):
        others = tuple(a for a in range(masks[0].ndim) if a != axis)
        hit = np.flatnonzero(np.logical_or.reduce([mask.any(axis=others) for mask in masks]))
        if hit.size == 0:
            return None
        bounds.append(slice(max(int(hit[0]) - margin, 0), min(int(hit[-1]) + 1 + margin, masks[0].shape[axis])))
    return tuple(bounds)
