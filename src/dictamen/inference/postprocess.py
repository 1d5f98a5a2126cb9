"""From probabilities to masks: thresholds, connected lesions, which of them to keep, one label map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.anatomy.regions import dilate

Mask = npt.NDArray[np.bool_]
LabelArray = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Components = npt.NDArray[np.unsignedinteger[Any] | np.signedinteger[Any]]

SMALLEST_LESION_MM3 = 30.0
"""A ball of 4 mm: smaller ones are hardly ever reported, and on 1 mm slices are noise."""
ORGAN_MARGIN_MM = 10.0
"""How far from its organ a lesion may begin: the error of organ borders, and growths that stand on a stalk."""


def components(mask: Mask) -> tuple[Components, int]:
    """Number the connected parts of `mask` [X, Y, Z] from 1; voxels that share only a corner are connected.

    Returns:
        part of each voxel (0 outside), and how many there are. cc3d where it is installed (extra `fast`), else scipy:
        the same parts, maybe in another order.
    """
    if find_spec("cc3d") is not None:
        import cc3d

        labelled, count = cc3d.connected_components(mask, connectivity=26, return_N=True, binary_image=True)
        return labelled, int(count)
    from scipy import ndimage

    labelled, count = ndimage.label(mask, structure=np.ones((3, 3, 3), dtype=bool))
    return labelled, int(count)


def sizes_mm3(labelled: Components, count: int, *, voxel_mm3: float) -> npt.NDArray[np.float64]:
    """Volume of parts 1 to `count`, mm3."""
    counted = np.bincount(labelled.ravel(), minlength=count + 1)
    return np.asarray(counted[1 : count + 1] * voxel_mm3, dtype=np.float64)


def lesion_components(
    mask: Mask,
    *,
    voxel_mm3: float,
    smallest_mm3: float = SMALLEST_LESION_MM3,
    probability: npt.NDArray[Any] | None = None,
    least_peak: float = 0.0,
) -> tuple[Components, int]:
    """Connected lesions of at least `smallest_mm3` whose `probability` reaches `least_peak`, the largest first."""
    labelled, count = components(mask)
    if not count:
        return labelled, 0
    volumes = sizes_mm3(labelled, count, voxel_mm3=voxel_mm3)
    wanted = volumes >= smallest_mm3
    if probability is not None:
        wanted &= peaks(labelled, count, probability) >= least_peak
    order = np.argsort(-volumes, kind="stable")
    order = order[wanted[order]]
    renumbered = np.zeros(count + 1, dtype=labelled.dtype)
    renumbered[order + 1] = np.arange(1, len(order) + 1, dtype=labelled.dtype)
    kept: Components = renumbered[labelled]
    return kept, len(order)


def peaks(labelled: Components, count: int, probability: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Largest probability inside each of the parts 1 to `count`."""
    highest = np.zeros(count + 1)
    np.maximum.at(highest, labelled[labelled > 0], probability[labelled > 0])
    return highest[1:]


def near(mask: Mask, zone: Mask) -> Mask:
    """The connected parts of `mask` that touch `zone`, each whole: a large growth leaves its organ by far."""
    if not mask.any():
        return mask
    labelled, count = components(mask)
    wanted = np.zeros(count + 1, dtype=bool)
    wanted[np.unique(labelled[zone])] = True
    wanted[0] = False
    kept: Mask = wanted[labelled]
    return kept


def organ_zone(organ: Mask, spacing_mm: Sequence[float], *, margin_mm: float = ORGAN_MARGIN_MM) -> Mask:
    """The organ and what lies within `margin_mm` of it; everything where the organ has no voxel.

    Everything, since without the organ nobody can say what lies outside.
    """
    return dilate(organ, spacing_mm, margin_mm) if organ.any() else np.ones_like(organ)


@dataclass(frozen=True)
class Layer:
    """One label in a part of a volume.

    Attributes:
        value: in the label map.
        mask: where it is, in `box`.
        probability: of the label, in `box`.
        box: the part of the volume; all of it by default.
    """

    value: int
    mask: Mask
    probability: npt.NDArray[Any]
    box: tuple[slice, slice, slice] = (slice(None), slice(None), slice(None))


def combine(labels: LabelArray, layers: Iterable[Layer]) -> LabelArray:
    """Paint masks that may overlap onto a label map: the more probable label wins, the first one of equals.

    Args:
        labels: [X, Y, Z], changed in place; what it holds loses against every mask.
        layers: taken one at a time, so that many labels need the memory of one.

    Returns:
        `labels`.
    """
    best = np.zeros(labels.shape, dtype=np.float16)
    for layer in layers:
        highest = best[layer.box]
        wins = layer.mask & (layer.probability > highest)
        labels[layer.box][wins] = layer.value
        highest[wins] = layer.probability[wins]
    return labels


def empty_labels(shape: Sequence[int], count: int) -> LabelArray:
    """A label map [X, Y, Z] without a label, of the smallest type that holds `count` of them."""
    if count <= np.iinfo(np.uint8).max:
        return np.zeros(tuple(shape), dtype=np.uint8)
    return np.zeros(tuple(shape), dtype=np.uint16)
