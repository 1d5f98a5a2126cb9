"""DICOM into `predict`: which studies there are, what they are called, and that a prediction lies where it should."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydicom import dcmread
from small_models import CARD, LESION_HU, ORGAN_HU, Bright, random_network, write_image
from synthetic_dicom import ACCESSION, BIRTH_DATE, PATIENT_ID, PATIENT_NAME, Scan, uid

from dictamen.imaging.dicom.segmentation import read_segmentation
from dictamen.imaging.dicom.volume import read_dicom
from dictamen.imaging.read import read_label_map
from dictamen.imaging.volume import Volume
from dictamen.inference.inputs import find_inputs
from dictamen.inference.predict import Products, predict
from dictamen.inference.study import Settings, segment
from dictamen.models.package import save_model


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """As an archive exports: two patients, one with two studies; a scout and a coronal series beside the axial one."""
    root = tmp_path / "export"
    Scan(study="1").write(root / "patient1" / "before" / "axial")
    Scan(study="2", seed=2).write(root / "patient1" / "after" / "axial")
    Scan(study="2", series="3", shape=(14, 12, 1)).write(root / "patient1" / "after" / "scout")
    Scan(study="3", patient="P3").write(root / "patient2" / "a" / "b" / "axial")
    Scan(study="3", series="2", patient="P3", shape=(14, 12, 9), orientation=(1, 0, 0, 0, 0, -1)).write(
        root / "patient2" / "a" / "b" / "coronal"
    )
    return root


def test_a_study_is_named_after_its_own_folder(archive: Path) -> None:
    found = {study.study_id: study for study in find_inputs(archive, series="largest")}
    assert sorted(found) == ["after", "before", "patient2"]
    assert found["patient2"].series == uid("series", "3", "2")
    assert all(study.error is None for study in found.values())


def test_several_series_are_a_failure_of_that_study_only(archive: Path) -> None:
    errors = {study.study_id: study.error for study in find_inputs(archive)}
    assert [name for name, error in errors.items() if error] == ["patient2"]
    assert "--series" in str(errors["patient2"])


def test_all_series(archive: Path) -> None:
    names = [study.study_id for study in find_inputs(archive, series="all")]
    assert sorted(names) == ["after_1", "before_1", "patient2_1", "patient2_2"]


def test_studies_of_other_modalities_are_failures(tmp_path: Path) -> None:
    Scan(modality="MR", slope=1.0, intercept=0.0, signed=True).write(tmp_path / "mr")
    (study,) = find_inputs(tmp_path, modality="CT")
    assert "expected" in str(study.error).lower() and "CT" in str(study.error)


def test_studies_in_one_flat_folder_and_in_archives(tmp_path: Path) -> None:
    for number in ("1", "2"):
        folder = Scan(study=number).write(tmp_path / number)
        with zipfile.ZipFile(tmp_path / f"case{number}.zip", "w") as file:
            for path in folder.iterdir():
                file.write(path, f"DICOM/S0/{path.name}")
    assert [study.study_id for study in find_inputs(tmp_path / "case1.zip")] == ["case1"]
    flat = tmp_path / "flat"
    flat.mkdir()
    for number in ("1", "2"):
        for path in (tmp_path / number).iterdir():
            shutil.move(path, flat / f"{number}_{path.name}")
    assert [study.study_id for study in find_inputs(flat)] == ["flat", "flat_2"]
    (flat / "more.zip").write_bytes(b"PK no archive")
    errors = {study.study_id: str(study.error) for study in find_inputs(flat) if study.error}
    assert list(errors) == ["more"] and "archive" in errors["more"]
    shutil.rmtree(flat)
    assert [study.study_id for study in find_inputs(tmp_path)] == ["case1", "case2"]


def test_prediction_of_an_archive(run: Path, archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = predict(run, archive, out, device="cpu", series="largest", products=Products(preview=True))
    assert not result.failed
    image = read_dicom(archive / "patient1" / "before")
    labels = read_label_map(out / "before.nii.gz")
    assert labels.shape == image.shape
    assert np.allclose(labels.affine, image.affine, atol=1e-5)
    assert {line["source"]["modality"] for line in _lines(out)} == {"CT"}
    secrets = (*PATIENT_NAME.split("^"), PATIENT_ID, BIRTH_DATE, ACCESSION, "Mancha", uid("study", "1"))
    for path in (path for path in out.rglob("*") if path.is_file()):
        text = path.name.encode() + path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in text], path


@pytest.mark.parametrize("degrees", [0, 15, -25])
def test_a_tilted_gantry_does_not_move_the_findings(degrees: float) -> None:
    """The same ball in the patient, scanned upright and tilted: the same centre and volume in millimetres."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    scan = Scan(
        shape=(40, 44, 30),
        orientation=(1, 0, 0, 0, float(c), float(s)),
        step=(0, 0, 2.0),
        pixel_mm=(1.5, 1.5),
        values=np.zeros((40, 44, 30), np.int16),
    )
    index = np.stack(np.meshgrid(*map(np.arange, scan.shape), indexing="ij"), -1)
    place = index @ scan.affine[:3, :3].T + scan.affine[:3, 3]
    centre = np.array(scan.affine[:3, :3] @ (20, 22, 15) + scan.affine[:3, 3])
    distance = np.linalg.norm(place - centre, axis=-1)
    values = np.where(distance < 20, ORGAN_HU, -200.0)
    values[distance < 8] = LESION_HU
    volume = Volume(values.astype(np.int16)[None], scan.affine)
    found = segment(Bright(), CARD, volume, Settings(device="cpu", precision="32-true"))
    (lesion,) = found.lesions
    assert np.abs(np.array(lesion.centroid_mm) - centre).max() < 0.5
    assert lesion.volume_mm3 == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.1)
    assert lesion.diameter_mm_3 == pytest.approx(16, abs=2.5)
    assert np.array_equal(found.labels.affine, volume.affine)


def test_dicom_goes_in_and_out(run: Path, archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_image(archive / "nifti.nii.gz")
    result = predict(run, archive, out, device="cpu", series="largest", products=Products(dicom=True))
    assert [failure.study_id for failure in result.failed] == ["nifti"]
    assert "DICOM can be written of DICOM only" in result.failed[0].error["what"]
    image = read_dicom(archive / "patient1" / "before")
    labels = read_label_map(out / "before.nii.gz").array[0]
    back, names = read_segmentation(out / "dicom" / "before" / "segmentation.dcm", image)
    organs = [number for number, name in names.items() if name == "kidney"]
    tumours = [number for number, name in names.items() if name.startswith("kidney_tumour ")]
    assert np.array_equal(np.isin(back.array[0], organs), labels == 2)
    assert np.array_equal(np.isin(back.array[0], tumours), labels == 1)
    lesions = next(line for line in _lines(out) if line["study_id"] == "before")["lesions"]
    assert len(tumours) == len(lesions) > 0
    sizes = [(back.array[0] == number).sum() * np.prod(image.spacing_mm) for number in tumours]
    assert np.allclose(sizes, [lesion["volume_mm3"] for lesion in lesions], atol=0.01)
    report = dcmread(out / "dicom" / "before" / "report.dcm")
    assert report.PatientID == PATIENT_ID
    assert "Long Axis" in str(report)
    predict(run, archive, out, device="cpu", overwrite=True)
    assert not list((out / "dicom").rglob("*.dcm"))


def test_deidentified_out(run: Path, archive: Path, tmp_path: Path) -> None:
    products = Products(dicom=True, deidentify=True)
    predict(run, archive, tmp_path / "out", device="cpu", series="largest", products=products)
    files = sorted((tmp_path / "out" / "dicom").rglob("*.dcm"))
    assert len(files) == 6
    secrets = (*PATIENT_NAME.split("^"), PATIENT_ID, BIRTH_DATE, ACCESSION, "Mancha", uid("study", "1"))
    for path in files:
        assert not [secret for secret in secrets if secret.encode() in path.read_bytes()]


def test_nothing_found_gives_a_report_that_says_so(archive: Path, tmp_path: Path) -> None:
    network = random_network()
    torch.nn.init.constant_(network.head.bias, -50.0)
    save_model(tmp_path / "run" / "model", network, CARD)
    result = predict(
        tmp_path / "run", archive / "patient1", tmp_path / "out", device="cpu", products=Products(dicom=True)
    )
    assert not result.failed
    folder = tmp_path / "out" / "dicom" / "before"
    assert sorted(path.name for path in folder.iterdir()) == ["report.dcm"]
    report = str(dcmread(folder / "report.dcm"))
    assert "Long Axis" not in report and "Not detected" in report


def _lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "studies.jsonl").read_text().splitlines()]
