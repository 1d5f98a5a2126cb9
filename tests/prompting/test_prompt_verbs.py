"""Train on two cohorts and predict in words, by the command line alone."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dictamen.cli.main import main

FAST = [
    "--supervision", "prompts,masks", "--preset", "unet_tiny", "--set", "steps=4", "--set", "patch_size=[16,16,16]",
    "--set", "validate_every=4", "--set", "checkpoint_every=2", "--set", "log_every=2", "--set", "accelerator=cpu",
    "--set", 'query={"width": 16, "heads": 2, "feedforward": 16}',
    "--set", 'text={"width": 16, "heads": 2}', "--set", "dimension=16",
]  # fmt: skip


def run(*words: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert ended.value.code == 0


def fails(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0), capsys.readouterr().err


@pytest.fixture(scope="module")
def trained(cubes: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("run") / "run"
    run("train", *cubes, "-o", out, *FAST)
    return out


@pytest.fixture(scope="module")
def oblique(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An anisotropic image that is stored LPS and turned by some degrees."""
    turn = np.array([[np.cos(0.2), -np.sin(0.2), 0], [np.sin(0.2), np.cos(0.2), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-2.0, -2.5, 4.0])
    affine[:3, 3] = (30, 20, -10)
    voxels = np.random.default_rng(0).normal(0, 50, (24, 18, 11)).astype(np.int16)
    path: Path = tmp_path_factory.mktemp("images") / "oblique.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


def test_labels_of_two_cohorts_are_united(trained: Path) -> None:
    card = json.loads((trained / "model" / "model.json").read_text())
    assert [label["name"] for label in card["labels"]] == ["liver", "spleen"]
    facts = json.loads((trained / "run.json").read_text())
    assert facts["labels"] == {"liver": 1, "spleen": 1} and facts["cohorts"] == 2


def test_prompts_are_answered_on_the_grid_of_the_input(trained: Path, oblique: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--prompt", "Livr", "--prompt", "hypodense lesion in the liver", "--prompt", "hepar", "--prompt", "aorta"]
    run("predict", trained, oblique, "-o", out, *words, "--overlap", "independent", "--preview")
    image, found = nibabel.load(oblique), nibabel.load(out / "oblique.nii.gz")
    assert found.shape == image.shape and np.allclose(found.affine, image.affine, atol=1e-4)
    told = json.loads((out / "prompts.json").read_text())
    assert [one["name"] for one in told] == ["liver", "hypodense_lesion_in_the_liver", "aorta"]
    assert told[0]["also"] == ["hepar"] and told[0]["understood"] == "spelling"
    assert told[2]["understood"] == "concept" and not told[2]["trained"]
    assert any(near["name"] == "liver" for near in told[1]["nearest"])
    for one in told:
        mask = nibabel.load(out / "masks" / "oblique" / f"{one['name']}.nii.gz")
        assert mask.shape == image.shape and np.allclose(mask.affine, image.affine, atol=1e-4)
        assert set(np.unique(np.asarray(mask.dataobj))) <= {0, 1}
    line = json.loads((out / "studies.jsonl").read_text())
    assert set(line["presence"]) == {one["name"] for one in told}
    assert all(0 <= value <= 1 for value in line["presence"].values())


def test_a_file_of_prompts_and_the_whole_list(trained: Path, oblique: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("# organs\n\nspleen\nliver\n", encoding="utf-8")
    run("predict", trained, oblique, "-o", tmp_path / "file", "--prompts", prompts)
    run("predict", trained, oblique, "-o", tmp_path / "all")
    for name, expected in (("file", ["spleen", "liver"]), ("all", ["liver", "spleen"])):
        labels = json.loads((tmp_path / name / "labels.json").read_text())["labels"]
        assert list(labels.values()) == expected
    scores = [json.loads((tmp_path / name / "studies.jsonl").read_text())["scores"] for name in ("file", "all")]
    assert scores[0] == scores[1]


def test_resume_goes_on_with_the_same_prompts_only(
    trained: Path, oblique: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run("predict", trained, oblique, "-o", out, "--prompt", "liver")
    run("predict", trained, oblique, "-o", out, "--prompt", "hepar", "--resume")
    code, error = fails(capsys, "predict", trained, oblique, "-o", out, "--prompt", "spleen", "--resume")
    assert code == 2 and "other settings" in error


def test_training_goes_on_where_it_was_interrupted(cubes: tuple[Path, Path], trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run("train", *cubes, "-o", out, *FAST)
    (out / "checkpoints" / "step_00000004.safetensors").unlink()
    run("train", *cubes, "-o", out, "--resume")
    one, other = (load_file(folder / "model" / "model.safetensors") for folder in (trained, out))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--prompt", "?"), 3, "no word"),
        (("--overlap", "union"), 2, "hierarchy, argmax, independent"),
        (("--prompt", "liver", "--mirror"), 3, "left from right"),
        (("--prompts", "missing.txt"), 3, "can't be read"),
    ],
    ids=["no word", "policy", "mirror", "no file"],
)
def test_wrong_prompts_are_told(
    trained: Path,
    oblique: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    got, error = fails(capsys, "predict", trained, oblique, "-o", tmp_path / "out", *words)
    assert got == code and said in error


def test_wrong_training_is_told(cubes: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    code, error = fails(capsys, "train", *cubes, "-o", out)
    assert code == 2 and "--supervision prompts" in error
    code, error = fails(capsys, "train", cubes[0], "-o", out, *FAST, "--set", 'labels=["aorta"]')
    assert code == 2 and "aorta" in error and "liver" in error
    code, error = fails(capsys, "train", cubes[0], "-o", out, *FAST, "--set", "max_mask_studies=2")
    assert code == 2 and "max_mask_studies" in error
    assert not out.exists()
