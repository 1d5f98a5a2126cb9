"""Two small cohorts with disjoint labels: one drew livers only, the other spleens only."""

import json
from pathlib import Path

import numpy as np
import pytest

from dictamen.cohort.build import build_cohort
from dictamen.cohort.store import Cohort
from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume
from dictamen.phantom.generate import write_phantom

SIDE = 20
SPLITS = ("train", "train", "train", "val")


def write_cubes(folder: Path, organ: str, *, seed: int) -> Path:
    """Studies with a bright cube at the patient's right (liver) and a dark one at the left (spleen); one is drawn."""
    rng = np.random.default_rng(seed)
    rows = ["study_id,image,organs,split"]
    for number, split in enumerate(SPLITS):
        image = rng.normal(0, 10, (SIDE,) * 3)
        labels = np.zeros((SIDE,) * 3, np.uint8)
        for name, low, hu in (("liver", SIDE // 2 + 1, 150), ("spleen", 1, -150)):
            x, y, z = low + int(rng.integers(0, 3)), *rng.integers(2, 12, 2)
            image[x : x + 6, y : y + 6, z : z + 6] += hu
            if name == organ:
                labels[x : x + 6, y : y + 6, z : z + 6] = 1
        study = f"{organ}_{number}"
        write_volume(
            Volume(image.astype(np.int16)[None], np.diag([3.0, 3.0, 3.0, 1.0]), study), folder / f"{study}.nii.gz"
        )
        write_volume(Volume(labels[None], np.diag([3.0, 3.0, 3.0, 1.0]), study), folder / f"{study}_organs.nii.gz")
        rows.append(f"{study},{study}.nii.gz,{study}_organs.nii.gz,{split}")
    (folder / "labels.json").write_text(json.dumps({"organs": {"1": organ}, "lesions": {}}), encoding="utf-8")
    (folder / "studies.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def cubes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of the two cohorts."""
    found = []
    for seed, organ in enumerate(("liver", "spleen")):
        folder = tmp_path_factory.mktemp(organ)
        (folder / "data").mkdir()
        write_cubes(folder / "data", organ, seed=seed)
        build_cohort(folder / "data" / "studies.csv", folder / "cohort", spacing_mm=3.0)
        found.append(folder / "cohort")
    return found[0], found[1]


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Ten coarse generated studies with organ masks, reports, and lesion masks for some."""
    folder: Path = tmp_path_factory.mktemp("phantoms")
    write_phantom(folder / "data", studies=10, masks=4, validation=2, test=1, spacing_mm=8.0, seed=3, tasks=("kidney",))
    build_cohort(folder / "data" / "studies.csv", folder / "cohort", spacing_mm=8.0)
    return Cohort.open(folder / "cohort")
