"""Regions of structures without a long axis: patches of the surface, supervoxels, named parts, disagreements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dictamen.anatomy.boxes import BoolArray
from dictamen.anatomy.slab_regions import FloatArray, IndexArray, Steps, in_mm

ROUNDS = 25
"""Lloyd iterations: patches of an organ's surface stand still after about ten."""
HU_OF_A_STEP = 60.0
"""Supervoxels: so many Hounsfield units count as much as the distance between two centres; organs and their
neighbours differ by about that much in portal-venous CT."""


def surface_patches(mask: BoolArray, band: BoolArray, steps_mm: Steps, *, count: int) -> IndexArray:
    """k-means on the mask's boundary voxels; each voxel of the band belongs to the patch of its nearest boundary voxel.

    Patches are numbered from the patient's feet to the head. No randomness: the first centre is the lowest boundary
    voxel, each further one the voxel farthest from those before it.

    Args:
        mask, band: bool [X, Y, Z], canonical; `band` holds `mask`.
        steps_mm: spacing, or affine[:3, :3].
        count: patches; fewer where the boundary has fewer voxels.
    """
    from scipy.ndimage import binary_erosion
    from scipy.spatial import cKDTree

    index = np.zeros(mask.shape, dtype=np.uint8)
    boundary = in_mm(np.argwhere(mask & ~binary_erosion(mask)), steps_mm)
    if len(boundary):
        patch = _k_means(boundary, count)
        nearest = cKDTree(boundary).query(in_mm(np.argwhere(band), steps_mm))[1]
        index[band] = patch[nearest] + 1
    return index


def supervoxels(
    image: npt.NDArray[np.floating | np.integer], band: BoolArray, steps_mm: Steps, *, count: int
) -> IndexArray:
    """k-means on position and intensity together (as SLIC, Achanta et al. 2012, on the band alone).

    Args:
        image: Hounsfield units [X, Y, Z].
        band: bool [X, Y, Z].
    """
    index = np.zeros(band.shape, dtype=np.uint8)
    voxels = np.argwhere(band)
    if len(voxels):
        points = in_mm(voxels, steps_mm)
        voxel_mm3 = abs(float(np.linalg.det(in_mm(np.eye(3, dtype=np.int64), steps_mm))))
        step = (len(points) * voxel_mm3 / count) ** (1 / 3)
        index[band] = _k_means(np.column_stack([points / step, image[band] / HU_OF_A_STEP]), count) + 1
    return index


def nearest_part(parts: Sequence[BoolArray], band: BoolArray, spacing_mm: Sequence[float]) -> IndexArray:
    """Each voxel of the band belongs to the nearest of the `parts`, numbered from 1 in the given order.

    Where parts overlap, the smaller one wins: it says more.
    """
    from scipy.ndimage import distance_transform_edt

    index = np.zeros(band.shape, dtype=np.uint8)
    filled = [number for number, part in enumerate(parts) if part.any()]
    filled.sort(key=lambda number: int(np.count_nonzero(parts[number])))
    if filled:
        distances = np.stack([distance_transform_edt(~parts[n], sampling=spacing_mm)[band] for n in filled])
        index[band] = np.asarray(filled)[distances.argmin(axis=0)] + 1
    return index


def disagreement(mask: BoolArray, other: BoolArray, *, count: int, least_voxels: int = 8) -> IndexArray:
    """Connected components of the voxels where two masks differ, largest first; what agrees has no region.

    Args:
        mask, other: bool [X, Y, Z] of two tools or readers.
        count: at most so many components.
        least_voxels: smaller components are noise of the surface.
    """
    from scipy.ndimage import generate_binary_structure, label

    components, found = label(mask ^ other, structure=generate_binary_structure(3, 3))
    sizes = np.bincount(components.ravel(), minlength=found + 1)
    kept = [c for c in np.argsort(-sizes[1:], kind="stable") + 1 if sizes[c] >= least_voxels][:count]
    table = np.zeros(found + 1, dtype=np.uint8)
    table[kept] = np.arange(1, len(kept) + 1)
    return np.asarray(table[components])


def _k_means(points: FloatArray, count: int) -> npt.NDArray[np.int64]:
    """Cluster 0..count-1 of each point, numbered by the third coordinate of the centres (the patient's z)."""
    from scipy.spatial import cKDTree

    centres = _farthest(points, min(count, len(np.unique(points, axis=0))))
    nearest = cKDTree(centres).query(points)[1]
    for _ in range(ROUNDS):
        sizes = np.bincount(nearest, minlength=len(centres))
        sums = np.stack([np.bincount(nearest, weights=column, minlength=len(centres)) for column in points.T], axis=1)
        moved = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centres)
        if np.allclose(moved, centres):
            break
        centres, nearest = moved, cKDTree(moved).query(points)[1]
    rank = np.argsort(np.argsort(centres[:, 2], kind="stable"))
    return np.asarray(rank[nearest])


def _farthest(points: FloatArray, count: int) -> FloatArray:
    """Farthest-point sampling from the lowest point on."""
    chosen = [int(points[:, 2].argmin())]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return points[chosen]
