"""Distances between the surfaces of two masks: surface Dice (NSD), HD95, average symmetric surface distance.

Surface elements (surfels) lie between voxels, where eight neighbours disagree; each has an area that depends on the
spacing, so that results do not depend on how finely a surface is sampled (Nikolov et al. 2021, "Clinically applicable
segmentation of head and neck anatomy"). Areas come from the table of Google DeepMind's `surface-distance` package; the
distances are computed here, since that package fails with numpy 2 when a mask is empty and sorts in pure Python.

Empty masks: both empty gives nan everywhere; one empty gives NSD 0, and HD95 and ASSD nan, since no distance exists
(Dice, NSD and sensitivity carry the miss; summaries say how many studies a mean is over).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dictamen.evaluation.overlap import Mask, Spacing, bounding_box, check_masks

FloatArray = npt.NDArray[np.float64]

TOLERANCE_MM = 2.0
"""Default of the surface Dice: about the disagreement of two readers on a lesion's border in portal-venous CT."""
ROUNDING_MM = 1e-6
"""A distance of exactly the tolerance counts as near, whatever the square root made of it."""
_FULL = 255  # code of a neighbourhood that lies wholly inside


@dataclass(frozen=True, slots=True)
class SurfaceMetrics:
    """Surface Dice in [0, 1], and distances in mm."""

    nsd: float
    hd95_mm: float
    assd_mm: float


@dataclass(frozen=True, slots=True)
class SurfaceDistances:
    """Distance in mm from each surfel to the other surface, and the surfel's area in mm2."""

    truth_to_prediction: FloatArray
    truth_area: FloatArray
    prediction_to_truth: FloatArray
    prediction_area: FloatArray


def surface_metrics(
    truth: Mask, prediction: Mask, *, spacing_mm: Spacing, tolerance_mm: float = TOLERANCE_MM
) -> SurfaceMetrics:
    """All surface metrics of two masks [X, Y, Z] in one pass.

    Args:
        truth, prediction: boolean, one grid.
        spacing_mm: distance of voxel centres along each axis; may be anisotropic.
        tolerance_mm: a surfel counts as right for the NSD if the other surface is at most so far.
    """
    check_masks(truth, prediction)
    some_truth, some_prediction = bool(truth.any()), bool(prediction.any())
    if not (some_truth and some_prediction):
        return SurfaceMetrics(0.0 if some_truth or some_prediction else math.nan, math.nan, math.nan)
    distances = surface_distances(truth, prediction, spacing_mm=spacing_mm)
    return SurfaceMetrics(
        surface_dice(distances, tolerance_mm), hausdorff(distances, 0.95), average_distance(distances)
    )


def surface_distances(truth: Mask, prediction: Mask, *, spacing_mm: Spacing) -> SurfaceDistances:
    """Surfels of two masks, neither of them empty."""
    from scipy.spatial import cKDTree

    (true, true_area), (predicted, predicted_area) = (_surfels(mask, spacing_mm) for mask in (truth, prediction))
    return SurfaceDistances(
        # a tree of surfels, not a distance transform: lesions far apart span a box of mostly nothing
        truth_to_prediction=cKDTree(predicted).query(true)[0],
        truth_area=true_area,
        prediction_to_truth=cKDTree(true).query(predicted)[0],
        prediction_area=predicted_area,
    )


def surface_dice(distances: SurfaceDistances, tolerance_mm: float) -> float:
    """Area of both surfaces that lies within the tolerance of the other one, as a fraction of their whole area."""
    within = tolerance_mm + ROUNDING_MM
    near = (
        distances.truth_area[distances.truth_to_prediction <= within].sum()
        + distances.prediction_area[distances.prediction_to_truth <= within].sum()
    )
    return float(near / (distances.truth_area.sum() + distances.prediction_area.sum()))


def hausdorff(distances: SurfaceDistances, quantile: float) -> float:
    """Larger of the two directed distances at this quantile of area (0.95: HD95; 1: the Hausdorff distance), mm."""
    return max(
        _weighted_quantile(distances.truth_to_prediction, distances.truth_area, quantile),
        _weighted_quantile(distances.prediction_to_truth, distances.prediction_area, quantile),
    )


def average_distance(distances: SurfaceDistances) -> float:
    """Average symmetric surface distance: mean over the area of both surfaces, mm."""
    total = (
        distances.truth_to_prediction @ distances.truth_area + distances.prediction_to_truth @ distances.prediction_area
    )
    return float(total / (distances.truth_area.sum() + distances.prediction_area.sum()))


def _surfels(mask: Mask, spacing_mm: Spacing) -> tuple[FloatArray, FloatArray]:
    """Positions [N, 3] in mm and areas [N] in mm2 of all surface elements of a mask that is not empty."""
    box = bounding_box(mask) or ()
    codes = _neighbour_codes(mask[box])
    border = (codes != 0) & (codes != _FULL)
    corner = [side.start for side in box]
    positions: FloatArray = (np.argwhere(border) + corner) * np.asarray(spacing_mm)
    return positions, _surfel_areas(spacing_mm)[codes[border]]


def _neighbour_codes(mask: Mask) -> npt.NDArray[np.uint8]:
    """Code [X+1, Y+1, Z+1] of the eight voxels around each corner of the grid, in the bit order of the area table."""
    padded = np.pad(mask, 1).astype(np.uint8)
    code = np.zeros([n + 1 for n in mask.shape], dtype=np.uint8)
    for bit, (x, y, z) in enumerate(np.ndindex(2, 2, 2)):
        end = [offset + n + 1 for offset, n in zip((x, y, z), mask.shape, strict=True)]
        code |= padded[x : end[0], y : end[1], z : end[2]] << np.uint8(7 - bit)
    return code


@lru_cache(maxsize=64)
def _surfel_areas(spacing_mm: Spacing) -> FloatArray:
    """Area in mm2 of the surfel of each of the 256 neighbourhoods."""
    from surface_distance import lookup_tables

    table = lookup_tables.create_table_neighbour_code_to_surface_area(spacing_mm)
    return np.asarray(table, dtype=np.float64)


def _weighted_quantile(values: FloatArray, weights: FloatArray, quantile: float) -> float:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    index = int(np.searchsorted(cumulative, quantile * cumulative[-1]))
    return float(values[order][min(index, values.size - 1)])
