"""A small case as nnU-Net preprocesses it: files in any orientation, arrays [z, y, x], transposed and cropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dictamen.nnunet.dataset import Labels, read_labels
from dictamen.nnunet.grid import LPS_TO_RAS

DATASET = {"labels": {"background": 0, "kidney_right": 1, "kidney_left": 2, "kidney_tumour": 3}}
LABELS: Labels = read_labels(DATASET, Path("dataset.json"))
TEXT = "FINDINGS: There is a 24 mm solid tumour in the left kidney. The right kidney is normal."


def body() -> np.ndarray:
    """[X, Y, Z], canonical: right kidney at small x (to the patient's left x grows), left kidney at large x."""
    labels = np.zeros((60, 40, 30), np.int16)
    labels[44:54, 14:24, 6:24] = 1
    labels[6:16, 14:24, 6:24] = 2
    return labels


def preprocessed(
    canonical: np.ndarray, *, order: tuple[int, ...], signs: tuple[int, ...], transpose: tuple[int, ...], crop: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """The array and the properties of a file whose axis i is canonical axis `order[i]`, growing as `signs[i]` says.

    `crop` voxels are cut off at each side. 2 x 3 x 4 mm along canonical x, y, z.
    """
    spacing, origin = np.array([2.0, 3.0, 4.0]), np.array([-50.0, 20.0, 700.0])
    turned = canonical.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
    directions = np.zeros((3, 3))
    corner = origin.copy()
    for axis, (own, sign) in enumerate(zip(order, signs, strict=True)):
        directions[own, axis] = sign
        corner[own] += 0 if sign > 0 else (canonical.shape[own] - 1) * spacing[own]
    array = turned.transpose(2, 1, 0).transpose(transpose)
    inside = tuple(slice(crop, extent - crop) for extent in array.shape)
    return array[inside], {
        "sitk_stuff": {
            "spacing": tuple(spacing[list(order)]),
            "origin": tuple(LPS_TO_RAS @ corner),
            "direction": tuple((LPS_TO_RAS @ directions).ravel()),
        },
        "bbox_used_for_cropping": [[crop, extent - crop] for extent in array.shape],
        "array_spacing": tuple(spacing[[order[2 - axis] for axis in transpose]]),
    }
