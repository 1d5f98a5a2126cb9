"""One study as the page sees it: slices at native resolution, outlines, centres of regions, a surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from dictamen.anatomy.region_scheme import RegionScheme
from dictamen.cohort.store import StudyArrays
from dictamen.errors import UsageError
from dictamen.review.masks import ReviewedMask

Plane = Literal["sagittal", "coronal", "axial"]
PLANES: tuple[Plane, ...] = get_args(Plane)
"""In the order of the axes they cut: x, y, z."""
IN_MASK = 128
"""Bit of an overlay voxel that lies in the mask; the other bits hold its region."""
MOST_SHOWN = 127
"""Regions that an overlay can tell apart."""
MOST_POINTS = 30_000
"""Of the surface: more is slower to turn and looks the same."""

Voxel = tuple[int, int, int]


@dataclass(frozen=True)
class StudyView:
    """A study, one mask of it, and how the mask is cut.

    Attributes:
        arrays: of the study.
        seen: the mask under review; None where the study has none.
        scheme: how it is cut.
    """

    arrays: StudyArrays
    seen: ReviewedMask | None
    scheme: RegionScheme

    def image(self, plane: Plane, index: int) -> npt.NDArray[np.int16]:
        """One native slice [rows of the first in-plane axis, of the second], Hounsfield units.

        Raises:
            UsageError: outside the volume.
        """
        lo, hi = self._window(plane, index)
        slab = self.arrays.window("image", lo, hi)
        return np.asarray(slab.squeeze(PLANES.index(plane)), dtype=np.int16)

    def overlay(self, plane: Plane, index: int) -> npt.NDArray[np.uint8]:
        """Mask and regions of the same slice on the same pixels: region number, `IN_MASK` added inside the mask."""
        self._window(plane, index)
        axis = PLANES.index(plane)
        picked = [self._training_index[a] for a in range(3)]
        picked[axis] = picked[axis][index : index + 1]
        return np.asarray(self.coded[np.ix_(*picked)].squeeze(axis))

    @cached_property
    def region(self) -> npt.NDArray[np.uint8]:
        """Region map on the training grid; all 0 without a mask."""
        if self.seen is None:
            return np.zeros(self.arrays.shape, dtype=np.uint8)
        image = self.arrays.level("image") if self.scheme.name == "supervoxel" else None
        found = self.seen.regions(self.scheme, image)
        if found.max(initial=0) > MOST_SHOWN:
            raise UsageError("The page shows at most 127 regions.", got=int(found.max()), next_step="choose fewer")
        return found

    @cached_property
    def coded(self) -> npt.NDArray[np.uint8]:
        """Overlay of the whole study on the training grid."""
        inside = self.seen.mask if self.seen is not None else np.zeros(self.arrays.shape, dtype=bool)
        return np.asarray(self.region | np.where(inside, IN_MASK, 0).astype(np.uint8))

    @cached_property
    def regions(self) -> dict[int, Voxel]:
        """Region number -> native voxel to look at: the mask's voxel in it (or the band's) nearest to its middle."""
        found = {}
        inside = self.coded >= IN_MASK
        for number in range(1, int(self.region.max(initial=0)) + 1):
            here = self.region == number
            voxels = np.argwhere(here & inside)
            voxels = voxels if len(voxels) else np.argwhere(here)
            if len(voxels):
                found[number] = self.native_voxel(nearest_to_middle(voxels))
        return found

    def native_voxel(self, voxel: npt.NDArray[np.integer]) -> Voxel:
        """The native voxel at the place of a voxel of the training grid."""
        step = np.linalg.inv(self.arrays.native_affine) @ self.arrays.affine
        place = np.rint(step[:3, :3] @ voxel + step[:3, 3]).astype(int)
        x, y, z = np.clip(place, 0, np.asarray(self.arrays.native_shape) - 1).tolist()
        return x, y, z

    def surface(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        """Boundary voxels of the mask: positions [N, 3] in mm around its middle, and regions [N]."""
        from scipy.ndimage import binary_erosion

        inside = self.coded >= IN_MASK
        voxels = np.argwhere(inside & ~binary_erosion(inside))
        if not len(voxels):
            return np.zeros((0, 3), dtype=np.float32), np.zeros(0, dtype=np.uint8)
        voxels = voxels[:: max(1, -(-len(voxels) // MOST_POINTS))]
        points = voxels * np.asarray(self.arrays.spacing_mm)
        return (points - points.mean(axis=0)).astype(np.float32), self.region[tuple(voxels.T)]

    @cached_property
    def _training_index(self) -> list[npt.NDArray[np.int64]]:
        """For each axis, the training voxel at each native voxel (both grids have the same directions)."""
        step = np.linalg.inv(self.arrays.affine) @ self.arrays.native_affine
        return [
            np.clip(np.rint(step[a, a] * np.arange(n) + step[a, 3]).astype(np.int64), 0, self.arrays.shape[a] - 1)
            for a, n in enumerate(self.arrays.native_shape)
        ]

    def _window(self, plane: Plane, index: int) -> tuple[list[int], list[int]]:
        if plane not in PLANES or not 0 <= index < self.arrays.native_shape[PLANES.index(plane)]:
            raise UsageError("There is no such slice.", got=(plane, index))
        axis = PLANES.index(plane)
        lo, hi = [0, 0, 0], list(self.arrays.native_shape)
        lo[axis], hi[axis] = index, index + 1
        return lo, hi


def nearest_to_middle(voxels: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Of voxels [N, 3], the one nearest to their mean: a place inside, even of a bent region."""
    distance = np.linalg.norm(voxels - voxels.mean(axis=0), axis=1)
    return np.asarray(voxels[int(distance.argmin())])
