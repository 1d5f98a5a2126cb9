"""nnU-Net's own commands on a phantom with few masks and many reports. Skipped where nnU-Net is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dictamen.cli.main import main
from dictamen.phantom.generate import write_phantom

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed: `make nnunet` installs it and runs this test")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

NAME = "Dataset001_Phantom"
TRAINER = "nnUNetTrainerReportsTwoEpochs"
SHORT = f"""
import torch
from dictamen.nnunet.trainer import nnUNetTrainerReports

class {TRAINER}(nnUNetTrainerReports):
    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 2, 4, 1
"""


def run(environment: dict[str, str], *words: str) -> str:
    """One of nnU-Net's commands, as a user runs it."""
    command = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def small_network(plans: Path) -> None:
    """Patches of 48^3 and a network of a few thousand weights: the same code in a fraction of the time."""
    values = json.loads(plans.read_text())
    configuration = values["configurations"]["3d_fullres"]
    configuration["patch_size"] = [48, 48, 48]
    network = configuration["architecture"]["arch_kwargs"]
    network |= {"n_stages": 3, "features_per_stage": [4, 8, 8]}
    network |= {"n_conv_per_stage": [1, 1, 1], "n_conv_per_stage_decoder": [1, 1]}
    network |= {name: network[name][:3] for name in ("kernel_sizes", "strides")}
    plans.write_text(json.dumps(values))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], str]:
    """(folder, environment, what the training printed)."""
    folder = tmp_path_factory.mktemp("nnunet")
    raw = folder / "raw" / NAME
    write_phantom(raw, studies=8, masks=2, validation=1, test=1, spacing_mm=5, seed=1, tasks=("kidney",), nnunet=True)
    (folder / "trainers").mkdir()
    (folder / "trainers" / "short.py").write_text(SHORT)
    environment = {
        **os.environ,
        **{f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")},
        "nnUNet_extTrainer": str(folder / "trainers"),
        "nnUNet_n_proc_DA": "1",
        "nnUNet_def_n_proc": "1",
        "OMP_NUM_THREADS": "1",
    }
    run(environment, "nnUNetv2_plan_and_preprocess", "-d", "1", "-c", "3d_fullres", "-np", "1", "-npfp", "1")
    small_network(folder / "preprocessed" / NAME / "nnUNetPlans.json")
    said = run(environment, "nnUNetv2_train", "1", "3d_fullres", "0", "-tr", TRAINER, "-device", "cpu")
    return folder, environment, said


def test_two_epochs_use_masks_and_reports(trained: tuple[Path, dict[str, str], str]) -> None:
    folder, _, said = trained
    assert "Training on 2 cases with masks and 4 with reports" in said and "validating on 1 with masks" in said
    assert said.count("reports in 4 patches: used") == 2  # one report in each of four batches, in both epochs
    terms = [line for line in said.splitlines() if ": reports " in line and ", total " in line]
    assert len(terms) == 2
    for line in terms:
        values = [float(word.split()[-1]) for word in line.split("reports ")[1].split(", ")]
        assert np.isfinite(values).all() and values[-1] > 0
    assert "Training done." in said and "Mean Validation Dice" in said
    run_folder = folder / "results" / NAME / f"{TRAINER}__nnUNetPlans__3d_fullres" / "fold_0"
    assert (run_folder / "checkpoint_final.pth").is_file()
    assert (run_folder / "validation" / "summary.json").is_file()
    debug = (run_folder / "debug.json").read_text()
    assert "ReportFindings" not in debug and "diameters" not in debug  # nothing that a report says of a patient


def test_the_trained_model_predicts(trained: tuple[Path, dict[str, str], str]) -> None:
    folder, environment, _ = trained
    images, output = folder / "raw" / NAME / "imagesTs", folder / "predicted"
    run(
        environment, "nnUNetv2_predict", "-i", str(images), "-o", str(output), "-d", "1", "-c", "3d_fullres",
        "-tr", TRAINER, "-f", "0", "-device", "cpu", "--disable_tta", "-npp", "1", "-nps", "1",
    )  # fmt: skip
    assert [file.name for file in output.glob("*.nii.gz")] == [
        file.name.replace("_0000", "") for file in images.glob("*.nii.gz")
    ]


def test_nnunet_finds_the_trainer_by_name(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        main(["nnunet", "path"])
    monkeypatch.setenv("nnUNet_extTrainer", capsys.readouterr().out.strip())
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    found = recursive_find_trainer_class_by_name("nnUNetTrainerReports")
    assert found.__module__ == "dictamen.nnunet.trainer"


def balls(size: int) -> Any:
    """[2, size, size, size]: a label map with a ball of radius a quarter, and the map of its region, off the centre."""
    axes = np.indices((size, size, size)) - size * 0.45
    ball = (axes**2).sum(0) < (size / 4) ** 2
    return np.stack([ball, ball]).astype(np.int16)


@pytest.mark.parametrize("dummy_2d", [False, True], ids=["3d", "2d"])
def test_region_maps_follow_the_augmentation_and_keep_their_volume(dummy_2d: bool) -> None:
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    from dictamen.nnunet.transforms import spacing_after, with_regions

    size, spacing = 48, (3.0, 1.0, 2.0)
    transforms = with_regions(
        nnUNetTrainer.get_training_transforms((size,) * 3, (-0.5, 0.5), [[1, 1, 1], [0.5] * 3], (0, 1, 2), dummy_2d)
    )
    spatial = next(step for step in transforms.transforms if hasattr(step, "spatial")).spatial
    spatial.p_rotation = spatial.p_scaling = 1
    np.random.seed(0)
    maps, shapes = torch.from_numpy(balls(size)), set()
    volume = float((maps[0] > 0).sum()) * np.prod(spacing)
    for _ in range(8):
        moved = transforms(image=torch.randn(1, size, size, size), segmentation=maps.clone())
        *targets, both, steps = moved["segmentation"]
        assert [tuple(t.shape) for t in targets] == [(1, 48, 48, 48), (1, 24, 24, 24)]
        assert ((both[0] > 0) == (both[1] > 0)).all() and ((both[0] > 0) == (targets[0][0] > 0)).all()
        now = spacing_after(steps, spacing)
        assert float((both[1] > 0).sum()) * np.prod(now) == pytest.approx(volume, rel=0.06)
        if dummy_2d:
            assert now[0] == pytest.approx(spacing[0], rel=0.5)
        shapes.add(round(now[1], 3))
    assert len(shapes) > 4  # they were scaled
