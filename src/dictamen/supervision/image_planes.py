"""Where the images that a report names lie: "series 3, image 45" narrows a lesion's region to a slab.

Scanners number the axial slices from 1, mostly from the head down. A volume no longer knows: the order is measured on
studies that have both a mask and a report, or given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

ImageOrder = Literal["from_head", "from_feet"]
ORDERS: tuple[ImageOrder, ...] = ("from_head", "from_feet")

TOLERANCE_MM = 10.0
"""A radiologist names an image that shows the lesion well, of a series that may be reconstructed a little apart."""
LEAST_NAMED = 3
"""Fewer named images say nothing about the order of a cohort."""
AGREEING = 0.8
"""Share of the named images that must show their lesion in the measured order; others are of another series."""


@dataclass(frozen=True)
class ImagePlanes:
    """The axial slices of a study as they were numbered, on its training grid.

    Args:
        slices: how many the scan has.
        first, last: index along z of the training grid (may be a fraction) of the lowest and of the highest slice.
        spacing_mm: of the training grid along z.
        order: from which end they are numbered.
    """

    slices: int
    first: float
    last: float
    spacing_mm: float
    order: ImageOrder

    def index(self, image: int) -> float | None:
        """Index along z of an image, counted from 1; None where the scan has no such image."""
        if not 1 <= image <= self.slices:
            return None
        from_feet = image - 1 if self.order == "from_feet" else self.slices - image
        return self.first + from_feet * (self.last - self.first) / max(self.slices - 1, 1)

    def slab(self, images: Sequence[int], reach_mm: float, depth: int) -> npt.NDArray[np.bool_] | None:
        """Which of `depth` planes along z lie within `reach_mm` of one of the images; None where one does not exist."""
        places = [self.index(image) for image in images]
        known = [place for place in places if place is not None]
        if len(known) < len(places):
            return None
        distance = np.abs(np.arange(depth)[:, np.newaxis] - np.array(known)) * self.spacing_mm
        near: npt.NDArray[np.bool_] = (distance <= reach_mm).any(axis=1)
        return near


def planes_of(
    slices: int, native_affine: npt.NDArray[np.float64], affine: npt.NDArray[np.float64], order: ImageOrder
) -> ImagePlanes:
    """The planes of a canonical scan of so many axial `slices`, on the grid of `affine` (both 4x4, RAS+)."""
    to_grid = np.linalg.inv(affine) @ native_affine
    first, last = ((to_grid @ (0.0, 0.0, z, 1.0))[2] for z in (0, slices - 1))
    return ImagePlanes(slices, float(first), float(last), float(np.linalg.norm(affine[:3, 2])), order)


def measured_order(named: Iterable[tuple[bool, bool]]) -> ImageOrder | None:
    """The order in which named images show their lesions; None where they don't say.

    Args:
        named: of each image that a report names, whether it shows a lesion if counted (from the head, from the feet).
    """
    shown = np.array(list(named), dtype=bool).reshape(-1, 2)
    if len(shown) < LEAST_NAMED:
        return None
    head, feet = shown.mean(axis=0).tolist()
    if max(head, feet) < AGREEING or head == feet:
        return None
    return "from_head" if head > feet else "from_feet"
