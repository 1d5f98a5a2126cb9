"""Regions along a structure's own long axis: slabs, and slabs cut into sectors. For long bones, aorta, spine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dictamen.anatomy.boxes import BoolArray

IndexArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
MOST_REGIONS = 255
"""Region maps are uint8, as the losses take them; 0 means "no region"."""


Steps = Sequence[float] | FloatArray
"""Spacing (three numbers), or affine[:3, :3]: with it, directions are the patient's on an oblique grid too."""


def in_mm(voxels: npt.NDArray[np.integer], steps_mm: Steps) -> FloatArray:
    """Places [N, 3] of voxels [N, 3] in mm, from the place of voxel (0, 0, 0)."""
    steps = np.asarray(steps_mm, dtype=np.float64)
    return np.asarray(voxels * steps if steps.ndim == 1 else voxels @ steps.T)


def long_axis(mask: BoolArray, steps_mm: Steps) -> tuple[FloatArray, FloatArray]:
    """Centre of a mask [X, Y, Z] in mm and the unit vector of its first principal axis.

    The vector's largest component is positive: the axis points to the patient's right, anterior or superior, so that
    slab 1 of the same structure is the same end in every patient.
    """
    points = in_mm(np.argwhere(mask), steps_mm)
    centre = points.mean(axis=0)
    axis = np.linalg.eigh(np.cov((points - centre).T) if len(points) > 1 else np.eye(3))[1][:, -1]
    return centre, axis * np.sign(axis[np.abs(axis).argmax()])


def slabs(mask: BoolArray, band: BoolArray, steps_mm: Steps, *, count: int) -> IndexArray:
    """Cut `band` into `count` slabs of equal length along the mask's long axis, 1 at the axis' negative end.

    Voxels of the band beyond the ends of the mask belong to the outer slabs, so that a missing cap has a region.

    Args:
        mask, band: bool [X, Y, Z], canonical (RAS+); `band` holds `mask`.
        steps_mm: spacing, or affine[:3, :3].
    """
    index = np.zeros(mask.shape, dtype=np.uint8)
    if mask.any():
        index[band] = _slab_of(mask, np.argwhere(band), steps_mm, count)[0] + 1
    return index


def slab_sectors(mask: BoolArray, band: BoolArray, steps_mm: Steps, *, count: int, sectors: int) -> IndexArray:
    """Slabs, each cut into equal angles around the mask's own centre within the slab.

    Sector 0 of each slab starts at the patient axis that is most perpendicular to the long axis; region number is
    slab * sectors + sector + 1.
    """
    index = np.zeros(mask.shape, dtype=np.uint8)
    if not mask.any():
        return index
    voxels = np.argwhere(band)
    slab, axis = _slab_of(mask, voxels, steps_mm, count)
    across = np.eye(3)[np.abs(axis).argmin()]
    first = across - (across @ axis) * axis
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    points, inside = in_mm(voxels, steps_mm), mask[band]
    sector = np.zeros(len(voxels), dtype=np.int64)
    for number in range(count):
        here = slab == number
        centre = points[here & inside].mean(axis=0) if (here & inside).any() else points[inside].mean(axis=0)
        offset = points[here] - centre
        angle = np.arctan2(offset @ second, offset @ first) % (2 * np.pi)
        sector[here] = np.minimum((angle / (2 * np.pi) * sectors).astype(np.int64), sectors - 1)
    index[band] = slab * sectors + sector + 1
    return index


def _slab_of(
    mask: BoolArray, voxels: npt.NDArray[np.int64], steps_mm: Steps, count: int
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Slab number from 0 of each voxel, and the long axis."""
    centre, axis = long_axis(mask, steps_mm)
    inside = (in_mm(np.argwhere(mask), steps_mm) - centre) @ axis
    along = (in_mm(voxels, steps_mm) - centre) @ axis
    low, extent = inside.min(), max(float(np.ptp(inside)), np.finfo(float).tiny)
    return np.clip(np.floor((along - low) / extent * count), 0, count - 1).astype(np.int64), axis
