"""One mask to refine, as the refiner sees it: a crop of image, mask, edges and regions. No truth anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dictamen.anatomy.boxes import BoolArray, Box, bounding_box
from dictamen.anatomy.region_scheme import RegionScheme, band_around
from dictamen.errors import InputError
from dictamen.models.normalise import IntensityWindow
from dictamen.refinement.edge_prior import EdgeKind, edge_prior, inside_posterior
from dictamen.supervision.region_targets import DIRECTION_CODES, RegionTargets
from dictamen.supervision.score_scale import fraction_to_add

MARGIN_MM = 16.0
"""The refiner sees so much around the mask: neighbours into which a mask leaks are within it."""


@dataclass(frozen=True)
class RefineCase:
    """A crop around one mask; all arrays [X, Y, Z] on one grid.

    Attributes:
        study_id: of the study.
        image: normalised to [-1, 1], float32.
        mask: the initial mask.
        edge: edge prior in [0, 1], float32.
        inside: probability by intensity alone that a voxel is the structure's, float32.
        region: uint8, 0 none, 1..K.
        band: where the refined mask may lie.
        spacing_mm: of the grid.
        box: of the crop within the study's grid.
        targets: what was said about the regions; None where nothing was.
    """

    study_id: str
    image: npt.NDArray[np.float32]
    mask: BoolArray
    edge: npt.NDArray[np.float32]
    inside: npt.NDArray[np.float32]
    region: npt.NDArray[np.uint8]
    band: BoolArray
    spacing_mm: tuple[float, float, float]
    box: Box
    targets: RegionTargets | None = None

    @property
    def regions(self) -> int:
        """K, the largest region number."""
        return int(self.region.max(initial=0))


def make_case(
    *,
    study_id: str,
    image: npt.NDArray[np.generic],
    mask: BoolArray,
    region: npt.NDArray[np.uint8],
    spacing_mm: Sequence[float],
    scheme: RegionScheme,
    window: IntensityWindow,
    targets: RegionTargets | None = None,
    edges: EdgeKind = "gradient",
    margin_mm: float = MARGIN_MM,
) -> RefineCase:
    """Crop a study around its mask.

    Args:
        image: Hounsfield units [X, Y, Z] of the whole study.
        mask, region: on the same grid; `region` of `region_scheme.region_map(scheme, mask, ...)`.
        window: intensities that the refiner tells apart.

    Raises:
        InputError: the mask is empty: there is nothing to refine.
    """
    x, y, z = spacing_mm
    box = bounding_box(mask, max(margin_mm, scheme.band_mm), (x, y, z))
    if box is None:
        raise InputError("The mask is empty: there is nothing to refine.", where=study_id)
    cropped = mask[box]
    normal = _centred(window, image[box], cropped).apply(image[box])
    band = band_around(cropped, (x, y, z), scheme.band_mm)
    return RefineCase(
        study_id=study_id,
        image=normal,
        mask=cropped,
        edge=edge_prior(normal, cropped, band, spacing_mm, kind=edges),
        inside=inside_posterior(normal, cropped, spacing_mm),
        region=region[box],
        band=band,
        spacing_mm=(x, y, z),
        box=box,
        targets=targets,
    )


def regions_without_room(case: RefineCase) -> int:
    """Number of regions that miss more, by the best Dice of their score, than they have voxels outside the mask."""
    if case.targets is None:
        return 0
    count = case.regions + 1
    inside = np.bincount(case.region[case.mask], minlength=count)[1:]
    outside = np.bincount(case.region[~case.mask], minlength=count)[1:]
    under = (case.targets.direction == DIRECTION_CODES["under"]) & (case.targets.weight > 0)
    least = np.array([fraction_to_add(float(dice)) for dice in case.targets.hi]) * inside
    return int(np.count_nonzero(under & (least > outside)))


def _centred(window: IntensityWindow, image: npt.NDArray[np.generic], mask: BoolArray) -> IntensityWindow:
    """The window, as wide, around the structure's own median: lung and bone are seen as well as soft tissue."""
    half, middle = (window.hi_hu - window.lo_hu) / 2, float(np.median(image[mask].astype(np.float32)))
    return IntensityWindow(lo_hu=middle - half, hi_hu=middle + half)
