"""A cohort of four studies whose spleens are one voxel too large, built once."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from small_cases import SPACING, ball

from dictamen.cohort.build import build_cohort
from dictamen.cohort.store import Cohort
from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume

STUDIES = ("a", "b", "c", "d")


@pytest.fixture(scope="session")
def spleens(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder: Path = tmp_path_factory.mktemp("spleens")
    affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    rows = ["study_id,image,organs"]
    for number, name in enumerate(STUDIES):
        image, truth = ball(number)
        mask = ndimage.binary_dilation(truth).astype(np.uint8)
        write_volume(Volume(image.astype(np.int16)[None], affine), folder / f"{name}_ct.nii.gz")
        write_volume(Volume(mask[None], affine), folder / f"{name}_organs.nii.gz", label_names={1: "spleen"})
        rows.append(f"{name},{name}_ct.nii.gz,{name}_organs.nii.gz")
    (folder / "studies.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    build_cohort(folder / "studies.csv", folder / "cohort", spacing_mm=2.0)
    return Cohort.open(folder / "cohort")
