"""Where edges are likely: a map in [0, 1] that the refiner sees and that the edge loss rewards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from dictamen.anatomy.boxes import BoolArray
from dictamen.errors import UsageError

EdgeKind = Literal["gradient", "intensity"]
SMOOTHING_MM = 1.0
"""Noise of CT is as fine as a voxel; the border of an organ is blurred over about so much."""
STRONG = 95.0
"""Percentile of the gradient around the mask that counts as a full edge."""
CORE_MM = 2.0
RING_MM = (3.0, 8.0)
"""The inside class is measured so deep inside, the outside class in this ring."""
BINS, BIN_SMOOTHING = 64, 1.5
"""Of the intensity histograms, over [-1, 1]: a bin is 6 HU of the default window, less than the noise left."""
LEAST_DENSITY = 1e-3
"""Added to both histograms: intensities that neither class has decide nothing."""

FloatArray = npt.NDArray[np.float32]


def edge_prior(
    image: FloatArray, mask: BoolArray, band: BoolArray, spacing_mm: Sequence[float], *, kind: EdgeKind = "gradient"
) -> FloatArray:
    """Edge prior of a crop [X, Y, Z].

      gradient:  |grad of the smoothed image| / its 95th percentile within the band, at most 1
      intensity: 4 q (1 - q), q the posterior that a voxel has the intensities of the mask's core rather than of a ring
                 around it; 1 where it could be either

    Args:
        image: normalised to [-1, 1].
        mask: the initial mask.
        band: where percentiles are taken.
        kind: "gradient" is right for any structure; "intensity" for homogeneous organs.

    Raises:
        UsageError: an unknown kind.
    """
    from scipy import ndimage

    if kind not in get_args(EdgeKind):
        raise UsageError("The kind of edge prior is unknown.", got=kind, expected="gradient or intensity")
    if kind == "intensity":
        inside = inside_posterior(image, mask, spacing_mm)
        return np.asarray(4 * inside * (1 - inside), dtype=np.float32)
    sigma = [SMOOTHING_MM / spacing for spacing in spacing_mm]
    smooth = ndimage.gaussian_filter(image.astype(np.float32), sigma, mode="nearest")
    steps = np.gradient(smooth, *spacing_mm) if min(image.shape) > 1 else [np.zeros_like(smooth)]
    length = np.sqrt(np.sum([step**2 for step in steps], axis=0))
    full = float(np.percentile(length[band], STRONG)) if band.any() else 0.0
    return np.asarray(np.minimum(length / full, 1) if full > 0 else np.zeros_like(length), dtype=np.float32)


def inside_posterior(image: FloatArray, mask: BoolArray, spacing_mm: Sequence[float]) -> FloatArray:
    """Probability that a voxel's intensity is that of the mask's core rather than of its surroundings, [X, Y, Z].

    Two histograms, not two Gaussians: around an organ lie fat, vessels and other organs, each with its own intensity.
    .5 everywhere where there is no core or no ring, and for intensities that neither has. Of each voxel by itself: a
    smoothed image is mixed at the very border that is asked about, and the histograms know the noise.
    """
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    away = ndimage.distance_transform_edt(~mask, sampling=spacing_mm) if mask.any() else np.full(mask.shape, np.inf)
    core = depth > CORE_MM if (depth > CORE_MM).any() else mask
    ring = (away >= RING_MM[0]) & (away <= RING_MM[1])
    if not core.any() or not ring.any():
        return np.full(mask.shape, 0.5, dtype=np.float32)
    bins = np.clip(((image + 1) / 2 * BINS).astype(np.int64), 0, BINS - 1)
    inside, outside = (_density(bins[where]) for where in (core, ring))
    return np.asarray((inside / (inside + outside))[bins], dtype=np.float32)


def _density(bins: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Smoothed histogram of bin numbers, [BINS], nowhere 0."""
    from scipy import ndimage

    counts = np.bincount(bins, minlength=BINS) / max(len(bins), 1)
    return np.asarray(ndimage.gaussian_filter1d(counts, BIN_SMOOTHING, mode="constant")) + LEAST_DENSITY
