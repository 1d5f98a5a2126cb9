"""Connected components of lesions, their boxes, and the organ around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

CONNECTIVITY = np.ones((3, 3, 3), dtype=bool)
"""26 neighbours: a thin lesion crossing slices diagonally is one lesion."""

BoxList = list[list[int]]


@dataclass(frozen=True)
class Component:
    """One connected part of a mask.

    Attributes:
        place: its box in the volume.
        margin: the box with one voxel more on each side where the volume has one.
        mask: inside `margin`, where it is.
        voxels: how many.
    """

    place: tuple[slice, ...]
    margin: tuple[slice, ...]
    mask: npt.NDArray[np.bool_]
    voxels: int

    @property
    def rim(self) -> npt.NDArray[np.bool_]:
        """The component and its neighbours, inside `margin`."""
        grown: npt.NDArray[np.bool_] = ndimage.binary_dilation(self.mask, CONNECTIVITY)
        return grown

    def touches(self, other: npt.NDArray[np.bool_]) -> bool:
        """Whether `other`, given inside `margin`, overlaps or neighbours it."""
        return bool((self.rim & other).any())


def components(mask: npt.NDArray[np.bool_]) -> Iterator[Component]:
    """All connected components of a mask [X, Y, Z], largest first."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return
    whole = found[0]
    labels, count = ndimage.label(mask[whole], CONNECTIVITY)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    places = ndimage.find_objects(labels)
    for index in np.argsort(-sizes, kind="stable").tolist():
        inner = places[index]
        place = tuple(slice(w.start + s.start, w.start + s.stop) for w, s in zip(whole, inner, strict=True))
        margin = tuple(slice(max(s.start - 1, 0), min(s.stop + 1, n)) for s, n in zip(place, mask.shape, strict=True))
        before = [p.start - m.start for p, m in zip(place, margin, strict=True)]
        after = [m.stop - p.stop for p, m in zip(place, margin, strict=True)]
        own = np.pad(labels[inner] == index + 1, list(zip(before, after, strict=True)))
        yield Component(place, margin, own, int(sizes[index]))


def restore_organ(organs: npt.NDArray[Any], component: Component, values: Sequence[int]) -> bool:
    """Give a lesion's unlabelled voxels the label of the organ around it, in place; False where that isn't clear.

    Args:
        organs: label map [X, Y, Z] from one exclusive map, so that lesions are holes in their organ.
        values: labels of the lesion's organ (both sides, all parts): the most frequent around the lesion is taken.
    """
    view = organs[component.margin]
    around = np.bincount(view[component.rim & ~component.mask & np.isin(view, values)].ravel(), minlength=1)
    if around.sum() == 0 and len(values) > 1:
        return False
    value = int(around.argmax()) if around.sum() else values[0]
    view[component.mask & (view == 0)] = value
    return True


def label_boxes(labels: npt.NDArray[Any], names: Mapping[int, str]) -> dict[str, BoxList]:
    """Name -> [[lo], [hi]] (hi exclusive) of every label that occurs in a label map [X, Y, Z]."""
    found = ndimage.find_objects(labels)
    return {names[value]: box(place) for value, place in enumerate(found, start=1) if place is not None}


def box(place: Sequence[slice]) -> BoxList:
    """[[lo], [hi]] of slices."""
    return [[int(s.start) for s in place], [int(s.stop) for s in place]]
