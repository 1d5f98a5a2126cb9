"""A small cohort of pairs whose reports differ in the organs and lesions that they name."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from dictamen.cohort.build import build_cohort
from dictamen.cohort.store import Cohort
from dictamen.pretraining.config import PretrainConfig

STUDIES, SIDE = 14, 16


@pytest.fixture(scope="session")
def pairs_cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Ten training and four validation studies of 16^3 voxels; every other one has no spleen and says so."""
    folder: Path = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    rows = ["study_id,patient_id,image,report,organs,lesions,split"]
    for index in range(STUDIES):
        image = rng.normal(0, 20, (SIDE,) * 3)
        organs, lesions = np.zeros((2, *(SIDE,) * 3), dtype=np.uint8)
        corner = rng.integers(0, 10, 3)
        place = tuple(slice(c, c + 6) for c in corner)
        if index % 2:
            image[place] += 150
            organs[place] = 1
            lesions[tuple(slice(c + 2, c + 5) for c in corner)] = 1
        report = "The spleen is normal." if index % 2 else "Status post splenectomy."
        for name, array in (("image", image.astype(np.int16)), ("organs", organs), ("lesions", lesions)):
            nibabel.save(nibabel.Nifti1Image(array, np.diag([4.0, 4, 4, 1])), folder / f"{name}_{index}.nii.gz")
        (folder / f"report_{index}.txt").write_text(report, encoding="utf-8")
        split = "train" if index < 10 else "val"
        rows.append(
            f"s{index},p{index},image_{index}.nii.gz,report_{index}.txt,organs_{index}.nii.gz,lesions_{index}.nii.gz,{split}"
        )
    (folder / "studies.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "labels.json").write_text(
        '{"organs": {"1": "spleen"}, "lesions": {"1": "spleen_tumour"}}', encoding="utf-8"
    )
    build_cohort(folder / "studies.csv", folder / "cohort")
    return Cohort.open(folder / "cohort")


@pytest.fixture
def pretrain_config() -> PretrainConfig:
    """A run of a few steps of a tiny network."""
    return PretrainConfig.model_validate(
        {
            "network": {"channels": (4, 8), "strides": (2,), "num_res_units": 1},
            "steps": 4, "batch": 4, "patch_size": (16, 16, 16), "dimension": 16, "fewest": 3, "warm_up_steps": 1,
            "text": {"width": 16, "layers": 1, "heads": 2}, "checkpoint_every": 2, "log_every": 1, "accelerator": "cpu",
        }
    )  # fmt: skip
