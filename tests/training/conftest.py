"""A small generated cohort, shared by the tests of training."""

from pathlib import Path

import pytest

from dictamen.cohort.build import build_cohort
from dictamen.cohort.store import Cohort
from dictamen.phantom.generate import write_phantom
from dictamen.training.config import TrainConfig, validated


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Twelve coarse studies: 3 with masks, 5 with reports alone, 2 for validation, 2 for test."""
    folder: Path = tmp_path_factory.mktemp("cohort")
    write_phantom(folder / "data", studies=12, masks=3, validation=2, test=2, spacing_mm=8.0, seed=3, tasks=("kidney",))
    build_cohort(folder / "data" / "studies.csv", folder / "cohort", spacing_mm=8.0)
    return Cohort.open(folder / "cohort")


@pytest.fixture
def config() -> TrainConfig:
    """A run of a few steps of a tiny network."""
    return validated(
        {
            "network": {"channels": (4, 8), "strides": (2,), "num_res_units": 1},
            "targets": ("kidney_tumour",),
            "steps": 6,
            "patch_size": (16, 16, 16),
            "validate_every": 3,
            "checkpoint_every": 2,
            "log_every": 1,
            "masks_only_fraction": 0.34,
            "warm_up_steps": 1,
            "accelerator": "cpu",
        }
    )
