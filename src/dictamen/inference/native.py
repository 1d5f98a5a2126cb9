"""From the grid of a model to that of the image, no more of it than a label needs."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dictamen.imaging.geometry import resample, same_grid
from dictamen.imaging.volume import AffineArray, Volume
from dictamen.inference.probability_maps import Box, Map, ProbabilityMaps

NEIGHBOURS = 2
"""Voxels around a box that linear interpolation looks at, and one for rounding."""
SMOOTHED_OVER = 2
"""Voxels over which the resampling smooths, a voxel of a coarser grid."""


class NativeGrid:
    """The image's own grid, in RAS+ order, as seen from the model's."""

    def __init__(self, native: Volume, model: Volume) -> None:
        self.native, self.model = native, model
        self.same = same_grid(native, model)
        step = np.linalg.inv(model.affine) @ native.affine
        self.margin = NEIGHBOURS + SMOOTHED_OVER * math.ceil(float(np.linalg.norm(step[:3, :3], axis=1).max()))

    def part(self, maps: ProbabilityMaps, channel: int, least: float) -> tuple[Box, Map] | None:
        """A box with all voxels where a label reaches `least`, and its probabilities there; None where there is none.

        The same as in the whole volume: what lies around the box is looked at, too.
        """
        found = maps.box(channel, least)
        if found is None or self.same:
            return None if found is None else (found, maps.inside(channel, found))
        target = self._across(found, self.model, self.native, self.margin, 1)
        source = self._across(target, self.native, self.model, 0, self.margin)
        if any(edge.start >= edge.stop for edge in target):
            return None
        coarse = Volume(maps.inside(channel, source)[None], shifted(self.model.affine, source))
        like = Volume(self.native.array[(slice(None), *target)], shifted(self.native.affine, target))
        probability: Map = resample(coarse, like=like, outside=0.0).array[0].astype(np.float16, copy=False)
        return target, probability

    def whole(self, probability: Map) -> Map:
        """A label's whole map [X, Y, Z] on the native grid."""
        coarse = replace(self.model, array=probability[None])
        native: Map = resample(coarse, like=self.native, outside=0.0).array[0].astype(np.float16, copy=False)
        return native

    @staticmethod
    def _across(box: Box, of: Volume, to: Volume, before: int, after: int) -> Box:
        """The box of grid `to` around a box of grid `of`, with margins on either grid, within the volume."""
        ends = [(edge.start - before, edge.stop - 1 + before) for edge in box]
        corners = np.array([[*corner, 1.0] for corner in itertools.product(*ends)])
        moved: npt.NDArray[np.float64] = corners @ (np.linalg.inv(to.affine) @ of.affine).T
        low, high = np.floor(moved.min(axis=0)).astype(int) - after, np.ceil(moved.max(axis=0)).astype(int) + after
        x, y, z = (
            slice(max(0, int(a)), min(n, int(b) + 1)) for a, b, n in zip(low[:3], high[:3], to.shape, strict=True)
        )
        return x, y, z


def shifted(affine: AffineArray, box: Box) -> AffineArray:
    """The affine of a part of a volume."""
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ [edge.start for edge in box]
    return moved
