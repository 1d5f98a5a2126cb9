"""Left and right of a mask that has both in one label: by connected components against the patient's midline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dictamen.anatomy.boxes import BoolArray, bounding_box
from dictamen.anatomy.vocabulary import Side

MIDLINE_STRUCTURES = ("vertebra", "spinal_cord", "sacrum", "sternum", "trachea")
"""Structures on the midline; the first that is labelled and seen fixes it, the trachea, which may be shifted, last."""
CROSSING_MM = 30.0
"""A component that reaches so far beyond the midline on both sides is two organs joined (horseshoe kidney, lungs that
touch) and is cut there; one kidney that a tumour pushes over the midline reaches less on one side."""
AMBIGUOUS_MM = 25.0
"""Without a landmark, the middle of the volume is only a guess: a lone component centred closer than this to it (half
a kidney's width) is not given a side."""


@dataclass(frozen=True, slots=True)
class Midline:
    """Where left and right meet: an index along the first axis, and whether anatomy or the volume's middle says so."""

    index: float
    from_anatomy: bool


def find_midline(labels: npt.NDArray[np.integer], values: Mapping[str, list[int]]) -> Midline:
    """The patient's midline in a canonical label map [X, Y, Z]: from a midline structure, else the volume's middle.

    Args:
        labels: label map; the first index grows towards the patient's right.
        values: structure id -> label values of it and its parts, for `MIDLINE_STRUCTURES`.
    """
    for structure in MIDLINE_STRUCTURES:
        if wanted := values.get(structure):
            profile = np.isin(labels, wanted).sum(axis=(1, 2))
            if profile.any():
                return Midline(float(np.average(np.arange(len(profile)), weights=profile)), True)
    return Midline((labels.shape[0] - 1) / 2, False)


def split(mask: BoolArray, midline: Midline, *, side: Side, spacing_x_mm: float) -> BoolArray | None:
    """The part of a mask [X, Y, Z] on one side of the patient; None where that can't be told.

    Each connected component goes to the side of its centroid; one that crosses the midline by far is cut there.
    """
    from scipy import ndimage

    chosen = np.zeros(mask.shape, dtype=bool)
    box = bounding_box(mask)
    if box is None:
        return chosen
    components, count = ndimage.label(mask[box])
    middle = midline.index - box[0].start
    profiles = _profiles(components, count)
    if not midline.from_anatomy and _is_ambiguous(profiles, middle, spacing_x_mm):
        return None
    across = np.arange(components.shape[0])
    on_side = across > middle if side == "right" else across < middle
    whole, cut = np.zeros(count + 1, dtype=bool), np.zeros(count + 1, dtype=bool)
    for number, profile in enumerate(profiles, start=1):
        filled = np.flatnonzero(profile)
        reach = min(middle - filled[0], filled[-1] - middle) * spacing_x_mm
        centroid = np.average(across, weights=profile)
        cut[number] = reach > CROSSING_MM
        whole[number] = not cut[number] and (centroid > middle) == (side == "right")
    chosen[box] = whole[components] | (cut[components] & on_side[:, None, None])
    return chosen


def _profiles(components: npt.NDArray[np.int32], count: int) -> npt.NDArray[np.int64]:
    """Voxels of each component in each sagittal plane, [count, X]."""
    planes = [np.bincount(plane.ravel(), minlength=count + 1)[1:] for plane in components]
    return np.array(planes).T.reshape(count, components.shape[0])


def _is_ambiguous(profiles: npt.NDArray[np.int64], middle: float, spacing_x_mm: float) -> bool:
    """Whether all but specks is one component in the middle of the volume: a crop around one organ."""
    sizes = profiles.sum(axis=1)
    main = int(sizes.argmax())
    if sizes[main] < 0.9 * sizes.sum():
        return False
    centroid = np.average(np.arange(profiles.shape[1]), weights=profiles[main])
    filled = np.flatnonzero(profiles[main])
    reach = min(middle - filled[0], filled[-1] - middle) * spacing_x_mm
    return bool(abs(centroid - middle) * spacing_x_mm < AMBIGUOUS_MM and reach <= CROSSING_MM)
