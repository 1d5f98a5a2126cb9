"""The phantom in nnU-Net's raw layout, and what `dictamen nnunet check` says of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from dictamen.cli.main import main
from dictamen.errors import InputError, UsageError
from dictamen.nnunet.check import check_dataset
from dictamen.phantom.generate import write_phantom


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "Dataset007_Phantom"
    write_phantom(
        folder, studies=7, masks=1, validation=1, test=1, spacing_mm=8, seed=2, tasks=("kidney", "liver"), nnunet=True
    )
    return folder


def test_files_and_labels_are_as_nnunet_wants_them(dataset: Path) -> None:
    description = json.loads((dataset / "dataset.json").read_text())
    assert list(description["labels"]) == [
        "background", "liver", "kidney_right", "kidney_left", "kidney_tumour", "liver_tumour",
    ]  # fmt: skip
    assert list(description["labels"].values()) == list(range(6)) and description["numTraining"] == 6
    images = sorted((dataset / "imagesTr").iterdir())
    labels = sorted((dataset / "labelsTr").iterdir())
    assert [image.name.replace("_0000", "") for image in images] == [label.name for label in labels]
    assert len(images) == 6 and len(list((dataset / "imagesTs").iterdir())) == 1
    (split,) = json.loads((dataset / "splits_final.json").read_text())
    assert len(split["train"]) == 5 and len(split["val"]) == 1
    with (dataset / "reports.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 7
    lesions = {}
    for image, label in zip(images, labels, strict=True):
        one, other = nibabel.load(image), nibabel.load(label)
        assert nibabel.aff2axcodes(one.affine) == tuple("RAS") and np.allclose(one.affine, other.affine)
        assert one.shape == other.shape
        values = set(np.unique(np.asarray(other.dataobj)).tolist())
        assert {1, 2, 3} <= values <= set(range(6))
        lesions[label.name.removesuffix(".nii.gz")] = bool(values & {4, 5})
    assert sum(lesions[name] for name in split["train"]) == 1  # one mask; the others have reports alone


def test_cases_are_told_apart_by_what_speaks_of_their_lesions(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = check_dataset(dataset)
    assert found.lesions == ("kidney_tumour", "liver_tumour") and not found.others and not found.neither
    assert len(found.masks) + len(found.reports) == 6 and len(found.reports) >= 4
    with pytest.raises(SystemExit) as done:
        main(["nnunet", "check", str(dataset), "--json"])
    assert done.value.code == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(found.to_dict()))
    with pytest.raises(SystemExit):
        main(["nnunet", "check", str(dataset)])
    assert f"{len(found.reports)} cases show none and have a report" in capsys.readouterr().out


def test_without_label_maps_or_a_name_nnunet_knows_it_says_so(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text((dataset / "dataset.json").read_text())
    with pytest.raises(InputError, match="no label maps"):
        check_dataset(tmp_path)
    with pytest.raises(UsageError, match="nnU-Net would not find"):
        write_phantom(tmp_path / "phantom", studies=3, masks=1, validation=0, test=0, nnunet=True)


def test_the_trainer_folder_holds_the_trainer(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nnunet", "path"])
    folder = Path(capsys.readouterr().out.strip())
    assert "nnUNetTrainerReports" in (folder / "reports_trainer.py").read_text()
