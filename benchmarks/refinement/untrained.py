"""Repairs without training: random walker on the band, and a two-class intensity model on the band.

pip install scikit-image==0.26.0
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from systematic_errors import Example

from dictamen.refinement.case import RefineCase
from dictamen.refinement.edge_prior import inside_posterior

CORE_VOXELS = 2


def random_walker(example: Example, case: RefineCase) -> np.ndarray:
    """Grady 2006: seeds are the core of the mask and what lies outside the band; the voxels between are relabelled."""
    from skimage.segmentation import random_walker as walk

    core = ndimage.binary_erosion(case.mask, iterations=CORE_VOXELS)
    if not core.any():
        return example.mask  # too thin for seeds
    seeds = np.where(core, 1, np.where(case.band, 0, 2))
    image = ndimage.gaussian_filter(case.image, 0.7)
    return _placed(example, case, walk(image, seeds, mode="cg_j", tol=1e-4) == 1)


def intensity_model(example: Example, case: RefineCase) -> np.ndarray:
    """Each voxel of the band goes to the likelier of core and ring; the largest component, holes filled."""
    smooth = ndimage.gaussian_filter(case.image, 0.7)
    crop = (inside_posterior(smooth, case.mask, case.spacing_mm) > 0.5) & case.band
    crop |= ndimage.binary_erosion(case.mask, iterations=CORE_VOXELS)
    labels, count = ndimage.label(crop)
    if count > 1:
        crop = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    return _placed(example, case, ndimage.binary_fill_holes(crop))


def _placed(example: Example, case: RefineCase, crop: np.ndarray) -> np.ndarray:
    mask = np.zeros_like(example.mask)
    mask[case.box] = crop
    return mask
