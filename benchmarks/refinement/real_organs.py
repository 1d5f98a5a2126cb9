"""Real CTs with organ masks, corrupted systematically; the true masks are kept apart.

Training: structures of one trunk (TotalSegmentator's example, 61 labels). Test: structures of other patients, with
masks of experts (pelvis, pancreas, cervix) and of TotalSegmentator (a slab). Structures of 20 to 400 ml at 4 mm, for
the sake of time. Reads the folder named by DICTAMEN_SHARED_DATA; see its README for sources and licences.
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
SPACING_MM = (4.0, 4.0, 4.0)
SMALLEST_ML, LARGEST_ML = 20, 400
MARGIN_MM = 24.0
TRUNK = ("totalsegmentator/example_ct", "totalsegmentator/example_seg_117cls")
OTHERS = (
    ("totalsegmentator/example_dicom_ct_1p6mm", "totalsegmentator/example_dicom_seg_117cls"),
    ("tcia_atlas/pelvis_ct", "tcia_atlas/pelvis_seg"),
    ("tcia_atlas/pancreas_ct", "tcia_atlas/pancreas_seg"),
    ("tcia_atlas/cervix_ct", "tcia_atlas/cervix_seg"),
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
        image, labels = _resampled(image_name, labels=False), _resampled(mask_name, labels=True)
        for value in np.unique(labels)[1:]:
            truth = labels == value
            ml = np.count_nonzero(truth) * np.prod(SPACING_MM) / 1000
            box = bounding_box(truth, MARGIN_MM, SPACING_MM)
            if SMALLEST_ML <= ml <= LARGEST_ML and box is not None:
                found.append((image[box].astype(np.float32), truth[box]))
    return found


def _resampled(name: str, *, labels: bool) -> np.ndarray:
    read = nib.load(DATA / f"{name}.nii.gz")
    array = np.asarray(read.dataobj)
    array = np.rint(array).astype(np.uint8) if labels else array.astype(np.float32)
    canonical = geometry.to_canonical(Volume(array[None], read.affine))
    return geometry.resample(canonical, spacing_mm=SPACING_MM, labels=labels).array[0]
