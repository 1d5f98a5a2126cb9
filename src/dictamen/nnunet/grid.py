"""nnU-Net's arrays and the patient: which way the axes of a preprocessed case grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError
from dictamen.imaging.geometry import canonical_axes, reorient
from dictamen.imaging.volume import Volume
from dictamen.supervision.study_regions import StudyRegion, StudyRegions

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def affine_of(
    properties: Mapping[str, Any], spacing_mm: Sequence[float], transpose: Sequence[int], study_id: str
) -> npt.NDArray[np.float64]:
    """The affine (RAS+, mm) of a preprocessed array: directions of its axes, spacing, and the place of its first voxel.

    nnU-Net's arrays are [z, y, x] of the file, then transposed, cropped and resampled.

    Args:
        properties: of the case, as its reader left them.
        spacing_mm: of the preprocessed array.
        transpose: `transpose_forward` of the plans.

    Raises:
        InputError: the file was read by a reader that tells no directions (png, tiff).
    """
    if "sitk_stuff" in properties:
        stuff = properties["sitk_stuff"]
        directions = LPS_TO_RAS @ np.reshape(stuff["direction"], (3, 3))
        origin, native = LPS_TO_RAS @ np.array(stuff["origin"]), np.array(stuff["spacing"])
    elif "nibabel_stuff" in properties:
        stuff = properties["nibabel_stuff"]
        whole = np.asarray(stuff.get("reoriented_affine", stuff["original_affine"]))
        native = np.linalg.norm(whole[:3, :3], axis=0)
        directions, origin = whole[:3, :3] / native, whole[:3, 3]
    else:
        raise InputError(
            "nnU-Net's reader of these images tells no directions of the patient.",
            where=study_id,
            got=", ".join(sorted(map(str, properties))),
            expected="NIfTI, nrrd or mha images",
        )
    order = [2 - axis for axis in transpose]  # axis of the file behind each axis of the array
    first = np.array([lo for lo, _ in properties["bbox_used_for_cropping"]], float)
    first += (np.asarray(spacing_mm) / native[order] - 1) / 2  # the outer edges of both grids coincide
    affine = np.eye(4)
    affine[:3, :3] = directions[:, order] * np.asarray(spacing_mm)
    affine[:3, 3] = origin + (directions[:, order] * native[order]) @ first
    return affine


def to_canonical(labels: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> Volume:
    """A label map in RAS+ order."""
    order, flips = canonical_axes(affine)
    return reorient(Volume(labels[None], affine), order=order, flips=flips)


def from_canonical(regions: StudyRegions, affine: npt.NDArray[np.float64]) -> StudyRegions:
    """Regions that were made on the canonical grid, on that of the array with this affine."""
    order, flips = canonical_axes(affine)
    back = a, b, c = [order.index(axis) for axis in range(3)]  # canonical axis behind each axis of the array
    return replace(
        regions,
        shape=(regions.shape[a], regions.shape[b], regions.shape[c]),
        spacing_mm=(regions.spacing_mm[a], regions.spacing_mm[b], regions.spacing_mm[c]),
        regions=tuple(_turned(region, regions.shape, back, flips) for region in regions.regions),
    )


def _turned(region: StudyRegion, shape: Sequence[int], back: Sequence[int], flips: Sequence[bool]) -> StudyRegion:
    mask = np.unpackbits(region.bits, axis=2, count=region.depth).view(bool)
    lo, hi = region.box
    mask = mask[tuple(slice(None, None, -1 if flip else 1) for flip in flips)].transpose(back)
    corner = [int(shape[axis] - hi[axis] if flips[axis] else lo[axis]) for axis in back]
    return replace(region, lo=(corner[0], corner[1], corner[2]), bits=np.packbits(mask, axis=2), depth=mask.shape[2])
