"""Real CTs with organ masks, corrupted systematically; the true masks are kept apart.

Training: structures of one trunk (TotalSegmentator's example, 61 labels). Test: structures of other patients, with
masks of experts (pelvis, pancreas, cervix) and of TotalSegmentator (a slab). Structures of 20 to 400 ml at 4 mm, for
the sake of time. Livers at 6 mm: four patients to train, three others to test, as `dictamen refine` is used, one
structure at a time. Reads the folder named by DICTAMEN_SHARED_DATA; see its README for sources and licences.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
from systematic_errors import Example, corrupt

from dictamen.anatomy.boxes import bounding_box
from dictamen.imaging import geometry
from dictamen.imaging.volume import Volume

DATA = Path(os.environ.get("DICTAMEN_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "ct"
SPACING_MM, LIVER_SPACING_MM = (4.0, 4.0, 4.0), (6.0, 6.0, 6.0)
SMALLEST_ML, LARGEST_ML = 20, 400
MARGIN_MM = 24.0
TRUNK = ("totalsegmentator/example_ct", "totalsegmentator/example_seg_117cls")
OTHERS = (
    ("totalsegmentator/example_dicom_ct_1p6mm", "totalsegmentator/example_dicom_seg_117cls"),
    ("tcia_atlas/pelvis_ct", "tcia_atlas/pelvis_seg"),
    ("tcia_atlas/pancreas_ct", "tcia_atlas/pancreas_seg"),
    ("tcia_atlas/cervix_ct", "tcia_atlas/cervix_seg"),
)
LIVERS_TO_TRAIN = (
    (*TRUNK, (5,)),
    ("crlm/CRLM-CT-1004_ct", "crlm/CRLM-CT-1004_seg_machine", (1, 2)),
    ("tcia_atlas/pancreas_ct", "tcia_atlas/pancreas_liver_machine", (1,)),
    ("totalsegmentator/example_dicom_ct_1p6mm", "totalsegmentator/example_dicom_seg_117cls", (5,)),
)
LIVERS_TO_TEST = (
    ("tcia_atlas/liver_ct", "tcia_atlas/liver_seg", (1, 2)),
    ("crlm/CRLM-CT-1006_ct", "crlm/CRLM-CT-1006_seg_machine", (1, 2)),
    ("tcia_atlas/adrenal_ct", "tcia_atlas/adrenal_liver_machine", (1,)),
)
"""Image, mask, and the values of the mask that are liver or lie in it."""


def livers(seed: int, train: int, test: int) -> tuple[list[Example], list[Example]]:
    """`train` and `test` corrupted livers: each patient in turn, its errors drawn by the seed."""
    return _corrupted(_livers(LIVERS_TO_TRAIN), train, [33, seed]), _corrupted(
        _livers(LIVERS_TO_TEST), test, [34, seed]
    )


def organs(seed: int, train: int, test: int) -> tuple[list[Example], list[Example]]:
    """`train` and `test` corrupted structures: each in turn, its errors drawn by the seed."""
    return _corrupted(_structures((TRUNK,)), train, [31, seed]), _corrupted(_structures(OTHERS), test, [32, seed])


def _corrupted(structures: list[tuple[np.ndarray, np.ndarray]], count: int, seed: list[int]) -> list[Example]:
    order = np.random.default_rng(seed).permutation(len(structures))
    made = []
    for number in range(count):
        image, truth = structures[order[number % len(structures)]]
        made.append(Example(image, corrupt(truth, image, np.random.default_rng([*seed, number])), truth))
    return made


@cache
def _structures(pairs: tuple[tuple[str, str], ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(image in HU, mask) of each structure of the right size, cropped."""
    found = []
    for image_name, mask_name in pairs:
        image = _resampled(image_name, SPACING_MM, labels=False)
        labels = _resampled(mask_name, SPACING_MM, labels=True)
        for value in np.unique(labels)[1:]:
            truth = labels == value
            ml = np.count_nonzero(truth) * np.prod(SPACING_MM) / 1000
            box = bounding_box(truth, MARGIN_MM, SPACING_MM)
            if SMALLEST_ML <= ml <= LARGEST_ML and box is not None:
                found.append((image[box].astype(np.float32), truth[box]))
    return found


@cache
def _livers(wanted: tuple[tuple[str, str, tuple[int, ...]], ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(image in HU, mask) of each liver, cropped."""
    found = []
    for image_name, mask_name, values in wanted:
        truth = np.isin(_resampled(mask_name, LIVER_SPACING_MM, labels=True), values)
        box = bounding_box(truth, MARGIN_MM, LIVER_SPACING_MM)
        image = _resampled(image_name, LIVER_SPACING_MM, labels=False)
        if box is not None:
            found.append((image[box].astype(np.float32), truth[box]))
    return found


def _resampled(name: str, spacing_mm: tuple[float, float, float], *, labels: bool) -> np.ndarray:
    read = nib.load(DATA / f"{name}.nii.gz")
    array = np.asarray(read.dataobj)
    array = np.rint(array).astype(np.uint8) if labels else array.astype(np.float32)
    canonical = geometry.to_canonical(Volume(array[None], read.affine))
    return geometry.resample(canonical, spacing_mm=spacing_mm, labels=labels).array[0]
