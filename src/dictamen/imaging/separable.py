"""Linear interpolation and smoothing between grids whose axes are parallel: axis by axis, slab by slab.

Along each axis what a new voxel sees is a row of weights on old voxels: those of the linear interpolation, spread by
those of the smoothing. So one product of matrices an axis does both, of the few old voxels that a slab looks at. Values
are those of `scipy.ndimage.gaussian_filter` followed by ITK's linear interpolation, up to rounding; no whole volume of
floats is needed on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.imaging.volume import AffineArray

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

PARALLEL_TOLERANCE = 1e-4
"""Voxels by which parallel axes may drift apart over the volume: nothing that interpolation shows."""
SLAB = 32
"""New voxels of an axis computed at once: the old ones that they look at are a few more."""
HALF_A_VOXEL = 0.5
"""A voxel reaches so far from its centre; beyond the outermost voxel's edge there is nothing, as for ITK."""


@dataclass(frozen=True)
class Weights:
    """What the new voxels along one axis see.

    Attributes:
        rows: [new, old] float32, each row's sum is 1.
        inside: [new], whether the new voxel's centre lies in an old voxel.
    """

    rows: Floats
    inside: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, old: int, new: int, *, scale: float, offset: float, sigma: float) -> Weights:
        """Of new voxels at `scale` * index + `offset`, in old voxels; `sigma` of the smoothing in old voxels."""
        from scipy import ndimage

        place = scale * np.arange(new) + offset
        inside = (place >= -HALF_A_VOXEL) & (place < old - HALF_A_VOXEL)
        place = np.clip(place, 0, old - 1)
        below = np.minimum(place.astype(int), max(old - 2, 0))
        above = np.minimum(below + 1, old - 1)
        rows = np.zeros((new, old))
        np.add.at(rows, (np.arange(new), below), 1 - (place - below))
        np.add.at(rows, (np.arange(new), above), place - below)
        if sigma:
            rows = rows @ ndimage.gaussian_filter1d(np.eye(old), sigma, axis=0, mode="nearest")
        return cls(rows.astype(np.float32), inside)

    def slabs(self) -> list[tuple[slice, slice, Floats]]:
        """New voxels, the old ones that they look at, and the weights of these."""
        found = []
        for begin in range(0, len(self.rows), SLAB):
            part = self.rows[begin : begin + SLAB]
            seen = np.flatnonzero(part.any(axis=0))
            old = slice(int(seen[0]), int(seen[-1]) + 1)
            found.append((slice(begin, begin + len(part)), old, np.ascontiguousarray(part[:, old])))
        return found


def is_parallel(step: AffineArray, shape: Sequence[int]) -> bool:
    """Whether each new axis runs along the old one of the same number; `step` maps new indices to old ones."""
    across = np.abs(step[:3, :3] * (1 - np.eye(3)))
    return bool((across @ np.asarray(shape)).max() < PARALLEL_TOLERANCE)


def resample_parallel(
    array: Array,
    step: AffineArray,
    shape: Sequence[int],
    sigmas: Sequence[float],
    *,
    outside: float,
    as_type: Callable[[Floats], Array],
) -> Array:
    """One channel [X, Y, Z] at the voxels of the new grid.

    Args:
        step: see `is_parallel`.
        sigmas: of the smoothing along each axis, in old voxels; 0: none.
        outside: value of new voxels whose centre lies in no old one.
        as_type: brings float32 values to the type of the result.
    """
    order = sorted(range(3), key=lambda axis: -abs(array.strides[axis]))  # slabs that lie together in memory
    along = [Weights.of(array.shape[a], shape[a], scale=step[a, a], offset=step[a, 3], sigma=sigmas[a]) for a in order]
    first, second, third = along
    source = array.transpose(order)
    result = np.empty([len(one.rows) for one in along], dtype=as_type(np.zeros(1, dtype=np.float32)).dtype)
    for to, seen, weights in first.slabs():
        values = np.tensordot(weights, source[seen].astype(np.float32, order="C"), axes=1)
        values = _along_second(second, values)
        values = _along_third(third, values)
        for axis, inside in enumerate((first.inside[to], second.inside, third.inside)):
            if not inside.all():
                np.moveaxis(values, axis, 0)[~inside] = outside
        result[to] = as_type(values)
    back: Array = result.transpose(np.argsort(order))
    return back


def _along_second(weights: Weights, values: Floats) -> Floats:
    found = np.empty((len(values), len(weights.rows), values.shape[2]), dtype=np.float32)
    for to, seen, part in weights.slabs():
        np.matmul(part, values[:, seen], out=found[:, to])
    return found


def _along_third(weights: Weights, values: Floats) -> Floats:
    found = np.empty((*values.shape[:2], len(weights.rows)), dtype=np.float32)
    for to, seen, part in weights.slabs():
        np.matmul(values[:, :, seen], part.T, out=found[:, :, to])
    return found
