import json
import shutil
import stat
from pathlib import Path

import numpy as np
import polars
import pytest
from small_studies import REPORT, StudiesCsv, image, write

from dictamen.cohort import arrays
from dictamen.cohort.build import build_cohort
from dictamen.cohort.manifest import Manifest
from dictamen.cohort.store import Cohort
from dictamen.errors import InputError, ResourceError, UsageError


def everything(folder: Path) -> dict[str, np.ndarray]:
    cohort = Cohort.open(folder)
    return {
        f"{name}/{kind}/{level}": cohort.study(name).level(kind, level)
        for name in cohort.ids()
        for kind in ("image", "organs", "lesions")
        for level in (0, 1)
    }


def same(a: Path, b: Path) -> bool:
    first, second = everything(a), everything(b)
    return first.keys() == second.keys() and all((first[key] == second[key]).all() for key in first)


def test_the_median_spacing_is_the_default_and_needs_no_second_level(good: StudiesCsv, tmp_path: Path) -> None:
    result = build_cohort(good.path, tmp_path / "out")
    assert result.spacing_mm == (1.5, 1.5, 3.0)
    study = Cohort.open(tmp_path / "out").study("a")
    assert (study.level("image", 0) == study.level("image", 1)).all()
    assert not (tmp_path / "out/arrays/a.zarr/image/1").exists()


def test_several_processes_make_the_same_cohort(good: StudiesCsv, tmp_path: Path) -> None:
    build_cohort(good.path, tmp_path / "one", spacing_mm=2)
    build_cohort(good.path, tmp_path / "two", spacing_mm=(2, 2, 2), jobs=2)
    assert same(tmp_path / "one", tmp_path / "two")
    assert Cohort.open(tmp_path / "one").studies.equals(Cohort.open(tmp_path / "two").studies)


def test_interrupted_and_resumed_equals_uninterrupted(good: StudiesCsv, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cohort(good.path, tmp_path / "out", spacing_mm=2, progress=stop)
    with pytest.raises(InputError, match="--resume"):
        Cohort.open(tmp_path / "out")
    with pytest.raises(UsageError, match="not empty"):
        build_cohort(good.path, tmp_path / "out", spacing_mm=2)
    result = build_cohort(good.path, tmp_path / "out", resume=True)
    assert (result.built, result.reused) == (("a", "b", "c"), 2)
    build_cohort(good.path, tmp_path / "whole", spacing_mm=2)
    assert same(tmp_path / "out", tmp_path / "whole")
    assert Cohort.open(tmp_path / "out").studies.equals(Cohort.open(tmp_path / "whole").studies)


def test_interrupted_while_writing_leaves_nothing_half_written(
    good: StudiesCsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_array = arrays._write_array

    def interrupted(folder: Path, array: np.ndarray, *, fill: int) -> None:
        write_array(folder, array, fill=fill)
        if "b.zarr" in str(folder) and folder.parent.name == "organs":
            raise KeyboardInterrupt

    monkeypatch.setattr(arrays, "_write_array", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_cohort(good.path, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out/arrays").iterdir()] == ["a.zarr"]
    monkeypatch.undo()
    assert build_cohort(good.path, tmp_path / "out", resume=True).reused == 1


def test_a_killed_writer_s_remains_are_cleared(good: StudiesCsv, tmp_path: Path) -> None:
    build_cohort(good.path, tmp_path / "out")
    shutil.copytree(tmp_path / "out/arrays/a.zarr", tmp_path / "out/arrays/a.zarr.partial")
    shutil.rmtree(tmp_path / "out/arrays/a.zarr")
    assert build_cohort(good.path, tmp_path / "out", resume=True).reused == 2
    assert sorted(p.name for p in (tmp_path / "out/arrays").iterdir()) == ["a.zarr", "b.zarr", "c.zarr"]


def test_a_changed_file_is_converted_again(good: StudiesCsv, tmp_path: Path) -> None:
    build_cohort(good.path, tmp_path / "out")
    write(good.root / "images/b.nii.gz", image(77))
    assert build_cohort(good.path, tmp_path / "out", resume=True).reused == 2
    assert (Cohort.open(tmp_path / "out").study("b").level("image", 0) == image(77)[::-1, ::-1]).all()


def test_a_cohort_that_grows_keeps_its_splits_and_labels(good: StudiesCsv, tmp_path: Path) -> None:
    build_cohort(good.path, tmp_path / "out")
    before = Cohort.open(tmp_path / "out")
    splits = dict(zip(before.studies["study_id"], before.studies["split"], strict=True))
    folder = good.root / "more"
    write(folder / "adrenal_gland_left.nii.gz", np.ones((30, 28, 20), np.uint8))
    for name in ("A1", "A2", "A3"):
        good.add(name, organs="more")
    build_cohort(good.path, tmp_path / "out", resume=True)
    after = Cohort.open(tmp_path / "out")
    assert {
        n: s for n, s in zip(after.studies["study_id"], after.studies["split"], strict=True) if n in splits
    } == splits
    assert after.info.organ_labels == {1: "liver", 2: "adrenal_gland_left"}
    assert (after.study("a").level("organs", 0) <= 1).all()


def test_disk_full_says_so_and_leaves_nothing(
    good: StudiesCsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, array: np.ndarray, *, fill: int) -> None:
        folder.mkdir(parents=True)
        raise ValueError("RESOURCE_EXHAUSTED: Error writing: No space left on device [type.googleapis.com='28']")

    monkeypatch.setattr(arrays, "_write_array", full)
    with pytest.raises(ResourceError, match="disk is full"):
        build_cohort(good.path, tmp_path / "out")
    assert not list((tmp_path / "out/arrays").iterdir())


def test_overwrite_deletes_a_cohort_and_nothing_else(good: StudiesCsv, tmp_path: Path) -> None:
    build_cohort(good.path, tmp_path / "out")
    (tmp_path / "out/notes.txt").write_text("mine")
    result = build_cohort(good.path, tmp_path / "out", overwrite=True)
    assert result.reused == 0
    assert (tmp_path / "out/notes.txt").exists()
    with pytest.raises(UsageError, match="no cohort"):
        build_cohort(good.path, good.root, overwrite=True)
    with pytest.raises(UsageError, match="no cohort"):
        build_cohort(good.path, good.root, resume=True)
    assert good.path.exists()


def test_resume_with_another_spacing_is_refused(good: StudiesCsv, tmp_path: Path) -> None:
    build_cohort(good.path, tmp_path / "out")
    with pytest.raises(UsageError, match="another spacing"):
        build_cohort(good.path, tmp_path / "out", spacing_mm=1, resume=True)
    assert Cohort.open(tmp_path / "out").ids() == ["a", "b", "c"]


@pytest.mark.parametrize("spacing", [0, -1, (1, 2), (1, 1, float("nan"))])
def test_bad_spacing(good: StudiesCsv, tmp_path: Path, spacing: float) -> None:
    with pytest.raises(UsageError, match="spacing_mm"):
        build_cohort(good.path, tmp_path / "out", spacing_mm=spacing)
    assert not (tmp_path / "out").exists()


def test_reports_are_private_and_patients_are_nowhere_but_in_the_table(studies: StudiesCsv, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        studies.add(name, patient_id="Doe^Jane")
    studies.add("bad", patient_id="Doe^Jane", image="missing.nii.gz")
    studies.add("torn", patient_id="Doe^Jane", split="train")
    studies.add("torn2", patient_id="Doe^Jane", split="test")
    build_cohort(studies.path, tmp_path / "none")
    studies.rows = [row for row in studies.rows if not row["split"]]
    studies.save()
    build_cohort(studies.path, tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out/reports.parquet").stat().st_mode) == 0o600
    for file in (tmp_path).glob("*/**/*"):
        if file.is_file() and "source" not in file.parts and file.name != "studies.parquet":
            assert b"Jane" not in file.read_bytes(), file
            assert b"2.3 cm" not in file.read_bytes() or file.name == "reports.parquet", file
    assert set(polars.read_parquet(tmp_path / "out/studies.parquet")["split"]) == {"train"}


def test_a_ready_findings_file_is_used_instead_of_the_reports(good: StudiesCsv, tmp_path: Path) -> None:
    finding = {"study_id": "a", "kind": "cyst", "structure": "liver", "diameters_mm": [99.0], "span": [0, 4]}
    (tmp_path / "f.jsonl").write_text(json.dumps({"study_id": "a", "findings": [finding]}) + "\n")
    build_cohort(good.path, tmp_path / "out", findings=tmp_path / "f.jsonl")
    cohort = Cohort.open(tmp_path / "out")
    findings = cohort.findings("a")
    assert findings is not None
    assert findings.findings[0].diameters_mm == (99.0,)
    assert cohort.findings("b") is None


def test_a_separate_reports_file(studies: StudiesCsv, tmp_path: Path) -> None:
    studies.add("a", report="")
    studies.add("b", report="")
    (tmp_path / "r.csv").write_text(f'study_id,report\na,"{REPORT}"\nz,alone\n')
    result = build_cohort(studies.path, tmp_path / "out", reports=tmp_path / "r.csv")
    assert {(p.study_id, p.code) for p in result.problems} == {
        ("z", "report_without_study"),
        ("b", "study_without_report"),
    }
    assert Cohort.open(tmp_path / "out").ids(having=("report",)) == ["a"]


def test_given_splits_by_any_of_their_usual_names(studies: StudiesCsv, tmp_path: Path) -> None:
    given = {"a": "validation", "b": "Train", "c": "test", "d": "val"}
    for name, split in given.items():
        studies.add(name, split=split)
    build_cohort(studies.path, tmp_path / "out")
    assert list(Cohort.open(tmp_path / "out").studies["split"]) == ["val", "train", "test", "val"]


def test_report_files(studies: StudiesCsv, tmp_path: Path) -> None:
    (studies.root / "reports").mkdir()
    (studies.root / "reports/a.txt").write_text(REPORT)
    studies.add("a", report="reports/a.txt")
    build_cohort(studies.path, tmp_path / "out")
    assert Cohort.open(tmp_path / "out").report("a") == REPORT


def test_metadata_follow_ome_zarr(shared_cohort: tuple[Path, Path]) -> None:
    group = json.loads((shared_cohort[1] / "arrays/a.zarr/image/zarr.json").read_text())
    assert (group["zarr_format"], group["node_type"]) == (3, "group")
    ome = group["attributes"]["ome"]
    assert ome["version"] == "0.5"
    (scales,) = ome["multiscales"]
    assert [axis["name"] for axis in scales["axes"]] == ["x", "y", "z"]
    assert [level["path"] for level in scales["datasets"]] == ["0", "1"]
    assert [level["coordinateTransformations"][0]["scale"] for level in scales["datasets"]] == [
        [1.5, 1.5, 3],
        [2, 2, 2],
    ]
    array = json.loads((shared_cohort[1] / "arrays/a.zarr/image/1/zarr.json").read_text())
    assert array["codecs"][0]["name"] == "sharding_indexed"
    assert array["data_type"] == "int16"


def test_manifest(shared_cohort: tuple[Path, Path]) -> None:
    manifest = Manifest.read(shared_cohort[1] / "cohort.json")
    assert (manifest.status, manifest.layout, manifest.studies) == ("complete", "studies_csv", 5)


def test_a_damaged_or_later_manifest_is_an_error(tmp_path: Path, shared_cohort: tuple[Path, Path]) -> None:
    text = (shared_cohort[1] / "cohort.json").read_text()
    (tmp_path / "cohort.json").write_text(text[:50])
    with pytest.raises(InputError, match="can't be read"):
        Cohort.open(tmp_path)
    (tmp_path / "cohort.json").write_text(json.dumps({**json.loads(text), "format_version": 99}))
    with pytest.raises(InputError, match="later version"):
        Cohort.open(tmp_path)
