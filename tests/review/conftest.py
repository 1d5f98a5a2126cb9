"""Two small studies with livers and reports, and a review session on them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dictamen.anatomy.region_scheme import RegionScheme
from dictamen.cohort.build import build_cohort
from dictamen.cohort.store import Cohort
from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume
from dictamen.review.masks import MaskSource
from dictamen.review.session import Session
from dictamen.review.store import FeedbackStore

SHAPE, SPACING = (40, 36, 26), (1.5, 1.5, 3.0)
REPORT = "FINDINGS: <b id=injected>Liver</b>: There is a 2.3 cm cyst in the liver. Spleen is normal."
STUDIES = ("first", "second")


@pytest.fixture(scope="session")
def livers(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder: Path = tmp_path_factory.mktemp("livers")
    affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    rows = ["study_id,image,organs,report"]
    x, y, z = np.meshgrid(*(np.arange(n) - n // 2 for n in SHAPE), indexing="ij")
    for number, name in enumerate(STUDIES):
        organ = (x / 9) ** 2 + (y / 8) ** 2 + (z / (6 + number)) ** 2 < 1
        image = np.where(organ, 90, -60) + np.random.default_rng(number).normal(0, 12, SHAPE)
        write_volume(Volume(image.astype(np.int16)[None], affine), folder / f"{name}_ct.nii.gz")
        write_volume(
            Volume(organ.astype(np.uint8)[None], affine), folder / f"{name}_organs.nii.gz", label_names={1: "liver"}
        )
        rows.append(f'{name},{name}_ct.nii.gz,{name}_organs.nii.gz,"{REPORT}"')
    (folder / "studies.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    build_cohort(folder / "studies.csv", folder / "cohort", spacing_mm=3.0)
    return Cohort.open(folder / "cohort")


@pytest.fixture
def session(livers: Cohort, tmp_path: Path) -> Iterator[Session]:
    store = FeedbackStore(tmp_path / "feedback.sqlite")
    yield Session(livers, MaskSource(livers), "liver", RegionScheme("surface_patch", 6), store, second_reads=1.0)
    store.close()
