"""A picture of a prediction: slices through its largest lesions in three planes, and the whole of it seen through.

No text, no identifier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.files import atomic_path
from dictamen.imaging.volume import Volume
from dictamen.inference.lesions import Lesion
from dictamen.models.normalise import IntensityWindow

TILE = 320
"""Pixels of a tile's side: three planes and three lesions fit a screen."""
MOST_LESIONS = 3
OPACITY = 0.45
"""Of the label colours over the image."""
LESION_COLOURS = ((255, 64, 64), (255, 170, 0), (255, 80, 220))
ORGAN_COLOURS = ((70, 160, 255), (80, 220, 130), (190, 150, 255), (120, 220, 230), (220, 220, 110))
PLANES = ((2, (0, 1)), (1, (0, 2)), (0, (1, 2)))
"""Axial, coronal, sagittal: the axis cut through, and the two that are seen."""
PROJECTED = (PLANES[1], PLANES[2], PLANES[0])
"""What the last column shows, row by row: from the front, from the side, from above."""
THICK_MM, THICK_OPACITY = 20.0, 0.75
"""Of a label in the direction of view, from which on its colour is as strong as it gets, and how strong that is."""
SHOWN_PERCENT = (2.0, 99.5)
"""Percentiles of the brightest voxels that are black and white, whatever the modality."""

Picture = npt.NDArray[np.uint8]


def write_preview(
    path: Path,
    *,
    image: Volume,
    labels: npt.NDArray[Any],
    kinds: Mapping[int, str],
    lesions: Sequence[Lesion],
    window: IntensityWindow,
) -> None:
    """Write a PNG: a row for each of the largest lesions, or one through the middle of what was found.

    The last column shows the whole volume seen through, brightest voxels and all labels, each row from another side.

    Shown as radiologists do: the patient's right at the left, anterior and superior on top.

    Args:
        image: [1, X, Y, Z] canonical, HU.
        labels: [X, Y, Z] label map on the same grid.
        kinds: value -> "lesion" | "organ".
        lesions: of this study.
    """
    from matplotlib.image import imsave

    colours = label_colours(kinds)
    largest = sorted(lesions, key=lambda lesion: -lesion.volume_mm3)[:MOST_LESIONS]
    points = [_index(image, lesion.centroid_mm) for lesion in largest] or [_middle(labels)]
    rows = [
        np.concatenate(
            [
                *(_slice(image, labels, colours, window, point, plane) for plane in PLANES),
                _projection(image, labels, colours, seen),
            ],
            axis=1,
        )
        for point, seen in zip(points, PROJECTED, strict=False)
    ]
    with atomic_path(path) as temporary:
        imsave(temporary, np.concatenate(rows, axis=0), format="png")


def label_colours(kinds: Mapping[int, str]) -> npt.NDArray[np.float32]:
    """Colour of each label value, [values, 3], from 0 to 255."""
    colours = np.zeros((max(kinds, default=0) + 1, 3), dtype=np.float32)
    for kind, palette in (("lesion", LESION_COLOURS), ("organ", ORGAN_COLOURS)):
        for place, value in enumerate(sorted(value for value, name in kinds.items() if name == kind)):
            colours[value] = palette[place % len(palette)]
    return colours


def _index(image: Volume, point_mm: Sequence[float]) -> tuple[int, int, int]:
    index = np.linalg.inv(image.affine) @ np.array([*point_mm, 1.0])
    x, y, z = (int(np.clip(round(float(i)), 0, n - 1)) for i, n in zip(index[:3], image.shape, strict=True))
    return x, y, z


def _middle(labels: npt.NDArray[Any]) -> tuple[int, int, int]:
    """On each axis the plane with most labelled voxels; of an empty map its middle."""
    planes = [np.count_nonzero(labels, axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    x, y, z = (int(count.argmax()) if count.any() else len(count) // 2 for count in planes)
    return x, y, z


def _slice(
    image: Volume,
    labels: npt.NDArray[Any],
    colours: npt.NDArray[np.float32],
    window: IntensityWindow,
    point: tuple[int, int, int],
    plane: tuple[int, tuple[int, int]],
) -> Picture:
    axis, (across, up) = plane
    rows, columns = _pixels(image, across, up)
    grey = window.shown(np.take(image.array[0], point[axis], axis=axis)[np.ix_(columns, rows)]) * 255
    shown = np.take(labels, point[axis], axis=axis)[np.ix_(columns, rows)]
    overlay = np.where(shown[..., None] > 0, OPACITY, 0.0)
    return _tile(grey[..., None] * (1 - overlay) + colours[shown] * overlay)


def _projection(
    image: Volume,
    labels: npt.NDArray[Any],
    colours: npt.NDArray[np.float32],
    plane: tuple[int, tuple[int, int]],
) -> Picture:
    """The brightest voxel along each line of sight, and labels, the stronger the thicker."""
    axis, (across, up) = plane
    rows, columns = _pixels(image, across, up)
    step = -(-image.shape[axis] // TILE)
    chosen = np.ix_(*({across: columns, up: rows}.get(a, np.arange(0, image.shape[a], step)) for a in range(3)))
    brightest = image.array[0][chosen].max(axis=axis).astype(np.float32)
    low, high = np.percentile(brightest, SHOWN_PERCENT)
    grey = np.clip((brightest - low) / max(float(high - low), 1e-6), 0, 1) ** 2  # squared: bone before soft tissue
    pixels = np.repeat(grey[..., None] * 255, 3, axis=-1)
    seen = labels[chosen]
    for value in np.unique(seen[seen > 0]):
        thick_mm = np.count_nonzero(seen == value, axis=axis) * step * image.spacing_mm[axis]
        opacity = (np.clip(thick_mm / THICK_MM, 0, 1) * THICK_OPACITY)[..., None]
        pixels = pixels * (1 - opacity) + colours[value] * opacity
    return _tile(pixels)


def _tile(pixels: npt.NDArray[Any]) -> Picture:
    """A picture [across, up, 3] as a tile [row, column, 3]; rows from superior or anterior, columns from the right."""
    picture = pixels.transpose(1, 0, 2)[::-1, ::-1].astype(np.uint8)
    top, left = (TILE - picture.shape[0]) // 2, (TILE - picture.shape[1]) // 2
    tile = np.zeros((TILE, TILE, 3), dtype=np.uint8)
    tile[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return tile


def _pixels(image: Volume, across: int, up: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Indices along `up` and `across` that show the slice with square pixels, as large as a tile allows."""
    sizes = {axis: image.shape[axis] * image.spacing_mm[axis] for axis in (across, up)}
    scale = TILE / max(sizes.values())
    found = []
    for axis in (up, across):
        count = max(1, min(TILE, round(sizes[axis] * scale)))
        found.append(((np.arange(count) + 0.5) * image.shape[axis] / count).astype(np.intp))
    return found[0], found[1]
