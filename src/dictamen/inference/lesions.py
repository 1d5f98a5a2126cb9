"""The lesion table: one row a lesion, with what a report would state of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.anatomy.regions import region_mask
from dictamen.anatomy.vocabulary import Side
from dictamen.inference.diameters import diameters_mm
from dictamen.inference.postprocess import Components

SideOf = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]]
"""Whether each of the points [N, 3] in mm, RAS+, is on the patient's right."""

BODY_ABOVE_HU = -300.0
"""Soft tissue and bone; lungs, bowel gas, air and most of a table's foam lie below."""
TOWARDS_RIGHT = 0
"""Axis of RAS+ that grows towards the patient's right."""


@dataclass(frozen=True)
class Lesion:
    """One connected predicted lesion.

    Attributes:
        study_id: study.
        label: of the model (`kidney_tumour`).
        structure: id of the whole organ; None where the label names none.
        side: "left" | "right" of a paired organ, else None.
        lesion: number within study and label from 1, the largest first.
        volume_mm3: voxels times their volume.
        diameter_mm_1: longest diameter in one axial slice.
        diameter_mm_2: width across it in that slice.
        diameter_mm_3: craniocaudal extent.
        mean_hu: mean of the image's values inside.
        score: largest probability inside, in [0, 1].
        mean_probability: mean of the probabilities inside.
        centroid_mm: in the coordinates of the image's affine, RAS+.
    """

    study_id: str
    label: str
    structure: str | None
    side: str | None
    lesion: int
    volume_mm3: float
    diameter_mm_1: float
    diameter_mm_2: float
    diameter_mm_3: float
    mean_hu: float
    score: float
    mean_probability: float
    centroid_mm: tuple[float, float, float] = field(default=(0.0, 0.0, 0.0))

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Names of the columns of lesions.csv."""
        return tuple(one.name for one in fields(cls))

    def row(self) -> dict[str, object]:
        """Values for JSON: the point as a list, numbers rounded to what they can mean."""
        return {
            **vars(self),
            "volume_mm3": round(self.volume_mm3, 2),
            **{name: round(getattr(self, name), 2) for name in ("diameter_mm_1", "diameter_mm_2", "diameter_mm_3")},
            "mean_hu": round(self.mean_hu, 1),
            "score": round(self.score, 4),
            "mean_probability": round(self.mean_probability, 4),
            "centroid_mm": [round(value, 1) for value in self.centroid_mm],
        }


def measure(
    labelled: Components,
    count: int,
    *,
    image: npt.NDArray[Any],
    probability: npt.NDArray[Any],
    affine: npt.NDArray[np.float64],
    study_id: str,
    label: str,
    structure: str | None = None,
    side_of: SideOf | None = None,
) -> list[Lesion]:
    """Measure the lesions 1 to `count`.

    Args:
        labelled: [X, Y, Z] number of the lesion at each voxel, on a canonical (RAS+) grid.
        image: [X, Y, Z] Hounsfield units, same grid.
        probability: [X, Y, Z] of the label, same grid.
        affine: 4x4 of that grid.
        side_of: for paired organs; None: no side is given.
    """
    from scipy import ndimage

    voxel_mm3 = abs(float(np.linalg.det(affine[:3, :3])))
    lesions = []
    for number, box in enumerate(ndimage.find_objects(labelled.astype(np.int32, copy=False), max_label=count), start=1):
        if box is None:
            continue
        mask = labelled[box] == number
        start = np.array([edge.start for edge in box])
        centroid = affine[:3, :3] @ (np.argwhere(mask).mean(axis=0) + start) + affine[:3, 3]
        longest, across, height = diameters_mm(mask, affine)
        inside = probability[box][mask].astype(np.float32)
        lesions.append(
            Lesion(
                study_id=study_id,
                label=label,
                structure=structure,
                side=("right" if side_of(centroid[None])[0] else "left") if side_of else None,
                lesion=number,
                volume_mm3=float(np.count_nonzero(mask)) * voxel_mm3,
                diameter_mm_1=longest,
                diameter_mm_2=across,
                diameter_mm_3=height,
                mean_hu=float(image[box][mask].mean(dtype=np.float64)),
                score=float(inside.max()),
                mean_probability=float(inside.mean()),
                centroid_mm=(float(centroid[0]), float(centroid[1]), float(centroid[2])),
            )
        )
    return lesions


def side_finder(
    structure: str,
    *,
    organs: npt.NDArray[Any],
    names: Mapping[int, str],
    image: npt.NDArray[Any],
    affine: npt.NDArray[np.float64],
) -> SideOf:
    """How to tell the side of points in a paired organ: by the nearer of its two predicted sides, else by the midline.

    Args:
        structure: whole organ ("kidney").
        organs: [X, Y, Z] predicted organs on a canonical grid.
        names: value -> structure id of `organs`.
        image: [X, Y, Z] Hounsfield units, same grid.
        affine: 4x4 of that grid.
    """
    left = _centre(organs, names, affine, structure=structure, side="left")
    right = _centre(organs, names, affine, structure=structure, side="right")
    if left is not None and right is not None:
        return lambda points: np.linalg.norm(points - right, axis=-1) < np.linalg.norm(points - left, axis=-1)
    middle = midline_mm(image, affine)
    return lambda points: points[:, TOWARDS_RIGHT] > middle


def midline_mm(image: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> float:
    """Where the body's middle lies along the left-right axis, mm: the median of its voxels, else the grid's centre."""
    body = np.argwhere(image[::4, ::4, ::4] > BODY_ABOVE_HU) * 4.0
    points = body if len(body) else (np.array([image.shape], dtype=np.float64) - 1.0) / 2.0
    return float(np.median(points @ affine[TOWARDS_RIGHT, :3]) + affine[TOWARDS_RIGHT, 3])


def _centre(
    organs: npt.NDArray[Any], names: Mapping[int, str], affine: npt.NDArray[np.float64], *, structure: str, side: Side
) -> npt.NDArray[np.float64] | None:
    """Centre of the organ on that side, mm; None where it was not found on that side."""
    region = region_mask(organs, names, affine, structure=structure, side=side)
    if region is None or region.precision == "organ" or not region.mask.any():
        return None
    centre: npt.NDArray[np.float64] = affine[:3, :3] @ np.argwhere(region.mask).mean(axis=0) + affine[:3, 3]
    return centre


def scores_by_side(
    probability: npt.NDArray[Any], affine: npt.NDArray[np.float64], side_of: SideOf, *, at_least: float
) -> dict[str, float]:
    """The largest probability on each side, among voxels of `at_least`; 0 where a side has none."""
    places = np.argwhere(probability >= at_least)
    values = probability[tuple(places.T)]
    right = side_of(places @ affine[:3, :3].T + affine[:3, 3])
    return {"left": float(values[~right].max(initial=0.0)), "right": float(values[right].max(initial=0.0))}
