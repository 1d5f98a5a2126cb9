"""A cohort of DICOM series."""

from pathlib import Path

import numpy as np
import pytest
from synthetic_dicom import PATIENT_ID, PATIENT_NAME, Scan

from dictamen.cohort.build import build_cohort
from dictamen.cohort.check import check_source
from dictamen.cohort.store import Cohort
from dictamen.errors import UsageError
from dictamen.imaging.geometry import to_canonical
from dictamen.imaging.volume import Volume


def test_folders_of_series_become_a_cohort(tmp_path: Path) -> None:
    root = tmp_path / "export"
    scans = {name: Scan(study=name, seed=int(name)) for name in ("1", "2")} | {"3": Scan(study="3", patient="other")}
    for name, scan in scans.items():
        scan.write(root / f"study{name}")
    Scan(study="4").write(root / "study4", lambda slices: [*slices[:3], *slices[4:]])
    report = build_cohort(root, tmp_path / "cohort")
    assert report.failed == ("study4",)
    assert any("Slices are missing" in p.message for p in report.problems if p.study_id == "study4")
    cohort = Cohort.open(tmp_path / "cohort")
    assert cohort.ids() == ["study1", "study2", "study3"]
    patients = dict(zip(cohort.studies["study_id"], cohort.studies["patient_id"], strict=True))
    assert patients == {"study1": "study1", "study2": "study1", "study3": "study3"}
    values = scans["2"].values
    assert values is not None
    expected = to_canonical(Volume(values[None], scans["2"].affine))
    study = cohort.study("study2")
    assert np.array_equal(study.level("image", 0), np.clip(expected.array[0], -1024, None))
    assert np.allclose(study.native_affine, expected.affine)
    text = "".join(p.read_text() for p in (tmp_path / "cohort").rglob("*.json"))
    assert PATIENT_ID not in text and PATIENT_NAME.split("^")[0] not in text
    again = build_cohort(root, tmp_path / "cohort", resume=True)
    assert again.reused == 3


def test_a_table_names_folders_and_series(tmp_path: Path) -> None:
    Scan().write(tmp_path / "ct" / "a")
    Scan(series="2", shape=(14, 12, 9)).write(tmp_path / "ct" / "b")
    (tmp_path / "studies.csv").write_text("study_id,image,series\nx,ct,2\ny,ct/a,\nz,ct,\n")
    codes = {problem.study_id: problem.message for problem in check_source(tmp_path) if problem.severity == "error"}
    assert list(codes) == ["z"]
    assert "--series" in codes["z"]
    assert {p.study_id for p in check_source(tmp_path, series="largest") if p.severity == "error"} == set()
    build_cohort(tmp_path, tmp_path / "cohort", spacing_mm=2)
    cohort = Cohort.open(tmp_path / "cohort")
    assert cohort.study("x").level("image", 0).shape == (14, 12, 9)
    assert cohort.study("y").level("image", 0).shape == (14, 12, 7)


def test_series_of_a_layout_without_any(tmp_path: Path) -> None:
    (tmp_path / "case" / "segmentations").mkdir(parents=True)
    with pytest.raises(UsageError, match="Only DICOM"):
        build_cohort(tmp_path, tmp_path / "out", series="largest")
