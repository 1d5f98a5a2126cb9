"""Diameters of a lesion as a radiologist measures them: longest in an axial slice, across it, and craniocaudal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]

FEW_POINTS = 3
"""Below this a convex hull has no area."""


def diameters_mm(mask: Mask, affine: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Longest diameter in one axial slice, the width across it in that slice, and the craniocaudal extent, mm.

    The outline runs halfway between inside and outside voxels, so that a ball of diameter d measures d to within a
    voxel, whatever its place on the grid, and not d less one voxel.

    Args:
        mask: [X, Y, Z] on a canonical (RAS+) grid, at least one voxel; crop it first, for speed.
        affine: 4x4, index to mm; may be anisotropic and oblique. Slices are those of the grid's third axis: the planes
            as acquired, or the reformatted ones closest to axial.
    """
    step = affine[:3, :2]
    slices = np.flatnonzero(mask.any(axis=(0, 1)))
    outlines = [outline(mask[:, :, k]) @ step.T for k in slices]
    best, across = 0.0, 0.0
    # the box's diagonal bounds the diameter from above: most slices of a lesion need no hull
    bounds = [float(np.linalg.norm(np.ptp(points, axis=0))) for points in outlines]
    for index in np.argsort(bounds)[::-1]:
        if bounds[index] <= best:
            break
        longest, width = _calipers(_hull(outlines[index], step))
        if longest > best:
            best, across = longest, width
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    between_slices = abs(float(affine[:3, 2] @ normal)) / float(np.linalg.norm(normal))
    return best, across, float(slices[-1] - slices[0] + 1) * between_slices


def outline(mask: Mask) -> Points:
    """Midpoints of the edges between inside and outside pixels of [X, Y], in index units [N, 2]."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    neighbours = {
        (-0.5, 0.0): padded[:-2, 1:-1],
        (0.5, 0.0): padded[2:, 1:-1],
        (0.0, -0.5): padded[1:-1, :-2],
        (0.0, 0.5): padded[1:-1, 2:],
    }
    edges = [np.argwhere(inside & ~there) + np.array(offset) for offset, there in neighbours.items()]
    return np.concatenate(edges)


def _hull(points: Points, step: npt.NDArray[np.float64]) -> Points:
    """Vertices of the convex hull of coplanar `points` [N, 3] in mm, in coordinates of their plane [M, 2]."""
    from scipy.spatial import ConvexHull

    axes, _ = np.linalg.qr(step)  # an orthonormal frame of the slice, so that plane coordinates are millimetres
    flat: Points = points @ axes
    return flat[ConvexHull(flat).vertices] if len(flat) > FEW_POINTS else flat


def _calipers(hull: Points) -> tuple[float, float]:
    """The largest distance between two vertices, and the width of the hull across that direction."""
    differences = hull[:, None] - hull[None]
    squared = (differences**2).sum(axis=-1)
    i, j = np.unravel_index(int(squared.argmax()), squared.shape)
    longest = float(np.sqrt(squared[i, j]))
    direction = differences[i, j] / longest
    across = hull @ np.array([-direction[1], direction[0]])
    return longest, float(np.ptp(across))
