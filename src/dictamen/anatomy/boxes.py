"""Masks and their surroundings: bounding boxes, and dilation by true distance in millimetres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError

BoolArray = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]


def bounding_box(mask: BoolArray, margin_mm: float = 0.0, spacing_mm: Sequence[float] = (1.0, 1.0, 1.0)) -> Box | None:
    """The smallest box around a mask [X, Y, Z], widened by `margin_mm` on each side and cut at the array's edges.

    Returns:
        Three slices, or None for an empty mask.
    """
    slices = []
    for axis, spacing in enumerate(spacing_mm):
        filled = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if not filled.size:
            return None
        margin = int(np.ceil(margin_mm / spacing))
        slices.append(slice(max(0, int(filled[0]) - margin), min(mask.shape[axis], int(filled[-1]) + 1 + margin)))
    x, y, z = slices
    return x, y, z


def dilate(mask: BoolArray, spacing_mm: Sequence[float], distance_mm: float) -> BoolArray:
    """All voxels whose centre is at most `distance_mm` from the centre of a voxel of the mask [X, Y, Z].

    The distance is Euclidean and knows the spacing of each axis; only a crop around the mask is computed.

    Raises:
        InputError: a negative distance, or a spacing that isn't positive.
    """
    if not distance_mm >= 0 or not all(spacing > 0 for spacing in spacing_mm):
        raise InputError("Dilation needs a distance >= 0 and a spacing > 0.", got=(distance_mm, tuple(spacing_mm)))
    box = bounding_box(mask, distance_mm, spacing_mm)
    if box is None or distance_mm == 0:
        return mask.copy()
    from scipy import ndimage

    dilated = np.zeros(mask.shape, dtype=bool)
    dilated[box] = ndimage.distance_transform_edt(~mask[box], sampling=spacing_mm) <= distance_mm
    return dilated
