"""Repairs without training: random walker on the band, and a two-class intensity model on the band."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg
from systematic_errors import Example

from dictamen.refinement.case import RefineCase
from dictamen.refinement.edge_prior import inside_posterior

BETA = 130.0
"""As scikit-image's random walker, on intensities of standard deviation 1."""
CORE_VOXELS = 2


def random_walker(example: Example, case: RefineCase) -> np.ndarray:
    """Grady 2006: seeds are the core of the mask and what lies outside the band; the voxels between are relabelled."""
    image = ndimage.gaussian_filter(case.image, 0.7)
    image = image / image[case.band].std()
    core = ndimage.binary_erosion(case.mask, iterations=CORE_VOXELS)
    unknown = case.band & ~core
    number = np.full(image.shape, -1)
    number[unknown] = np.arange(np.count_nonzero(unknown))
    rows, columns, weights = [], [], []
    right = np.zeros(np.count_nonzero(unknown))
    degree = np.zeros_like(right)
    for axis in range(3):
        for here, there in (
            (np.s_[: image.shape[axis] - 1], np.s_[1:]),
            (np.s_[1:], np.s_[: image.shape[axis] - 1]),
        ):
            cut = [np.s_[:]] * 3
            cut[axis] = here
            other = [np.s_[:]] * 3
            other[axis] = there
            mine, neighbour = number[tuple(cut)], number[tuple(other)]
            weight = np.exp(-BETA / 10 * (image[tuple(cut)] - image[tuple(other)]) ** 2) + 1e-6
            inside = mine >= 0
            np.add.at(degree, mine[inside], weight[inside])
            both = inside & (neighbour >= 0)
            rows.append(mine[both])
            columns.append(neighbour[both])
            weights.append(-weight[both])
            seed = inside & (neighbour < 0) & core[tuple(other)]
            np.add.at(right, mine[seed], weight[seed])
    laplacian = sparse.coo_matrix(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=(len(right), len(right))
    ).tocsr() + sparse.diags(degree)
    probability, _ = cg(laplacian, right, rtol=1e-4, maxiter=500, M=sparse.diags(1 / degree))
    crop = core.copy()
    crop[unknown] = probability > 0.5
    return _placed(example, case, crop)


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
