"""Each kind of bad input, on purpose: one clear problem, the other studies unharmed."""

import gzip
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from small_studies import LESION, StudiesCsv, affine, blank, image, lesion_map, organ_map, write

from dictamen.cohort.build import build_cohort
from dictamen.cohort.check import check_cohort, check_source
from dictamen.cohort.layouts import read_source
from dictamen.errors import InputError

Spoil = Callable[[StudiesCsv], None]


def spoilt_header(path: Path, offset: int, form: str, *values: float) -> None:
    data = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into(form, data, offset, *values)
    path.write_bytes(gzip.compress(bytes(data)))


def save_raw(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine()), path)


def missing_image(s: StudiesCsv) -> None:
    s.add("bad", image="images/no.nii.gz")


def missing_mask(s: StudiesCsv) -> None:
    s.add("bad", organs="organs/no.nii.gz")


def missing_mask_without_table(s: StudiesCsv) -> None:
    s.labels({"lesions": {"1": "liver_lesion"}})
    for row in s.rows:
        row["organs"] = ""
    s.add("bad", organs="organs/no.nii.gz")


def missing_report(s: StudiesCsv) -> None:
    s.add("bad", report="reports/no.txt")


def latin_report(s: StudiesCsv) -> None:
    (s.root / "r.txt").write_bytes("Größe".encode("latin-1"))
    s.add("bad", report="r.txt")


def empty_folder_of_masks(s: StudiesCsv) -> None:
    (s.root / "nothing").mkdir()
    s.add("bad", organs="nothing")


def no_nifti(s: StudiesCsv) -> None:
    (s.root / "x.nii.gz").write_bytes(b"hello, this is no image")
    s.add("bad", image="x.nii.gz")


def empty_file(s: StudiesCsv) -> None:
    (s.root / "x.nii.gz").write_bytes(b"")
    s.add("bad", image="x.nii.gz")


def truncated(s: StudiesCsv) -> None:
    s.add("bad")
    path = s.root / "images/bad.nii.gz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def truncated_mask(s: StudiesCsv) -> None:
    s.add("bad")
    path = s.root / "lesions/bad.nii.gz"
    path.write_bytes(path.read_bytes()[:-30])


def huge_claim(s: StudiesCsv) -> None:
    s.add("bad")
    spoilt_header(s.root / "images/bad.nii.gz", 40, "<4h", 3, 30000, 30000, 30000)


def flat(s: StudiesCsv) -> None:
    save_raw(s.root / "x.nii.gz", image(shape=(30, 28, 1)))
    s.add("bad", image="x.nii.gz")


def four_dimensions(s: StudiesCsv) -> None:
    save_raw(s.root / "x.nii.gz", image(shape=(30, 28, 20, 3)))
    s.add("bad", image="x.nii.gz")


def not_a_number(s: StudiesCsv) -> None:
    array = image().astype(np.float32)
    array[3, 3, 3] = np.nan
    save_raw(s.root / "x.nii.gz", array)
    s.add("bad", image="x.nii.gz")


def zero_spacing(s: StudiesCsv) -> None:
    s.add("bad")
    spoilt_header(s.root / "images/bad.nii.gz", 80, "<3f", 1.5, 0.0, 3.0)


def other_shape(s: StudiesCsv) -> None:
    write(s.root / "m.nii.gz", blank((30, 28, 19)))
    s.add("bad", organs="m.nii.gz")


def other_spacing(s: StudiesCsv) -> None:
    write(s.root / "m.nii.gz", organ_map(), affine((1.5, 1.5, 2.5)))
    s.add("bad", organs="m.nii.gz")


def other_place(s: StudiesCsv) -> None:
    matrix = affine()
    matrix[2, 3] += 4
    write(s.root / "m.nii.gz", organ_map(), matrix)
    s.add("bad", lesions="m.nii.gz")


def unknown_value(s: StudiesCsv) -> None:
    labels = organ_map()
    labels[LESION] = 7
    write(s.root / "m.nii.gz", labels)
    s.add("bad", organs="m.nii.gz")


def fractions(s: StudiesCsv) -> None:
    save_raw(s.root / "m.nii.gz", lesion_map() * np.float32(0.5))
    s.add("bad", lesions="m.nii.gz")


def outside_by_dots(s: StudiesCsv) -> None:
    s.add("bad", image="../elsewhere/x.nii.gz")


def outside_by_root(s: StudiesCsv) -> None:
    s.add("bad", image="/etc/hostname")


def unknown_split(s: StudiesCsv) -> None:
    s.add("bad", split="holdout")


def no_image(s: StudiesCsv) -> None:
    s.add("bad", image="")


def twice(s: StudiesCsv) -> None:
    s.add("bad")
    s.add("bad")


def patient_in_two_splits(s: StudiesCsv) -> None:
    s.add("bad", patient_id="SECRET", split="train")
    s.add("bad2", patient_id="SECRET", split="test")


def unsafe_name(s: StudiesCsv) -> None:
    s.add("bad", image="images/a.nii.gz", organs="", lesions="")
    s.rows[-1]["study_id"] = "../bad"
    s.save()


BAD: list[tuple[Spoil, str, str]] = [
    (missing_image, "missing_file", "does not exist"),
    (missing_mask, "missing_file", "does not exist"),
    (missing_mask_without_table, "missing_file", "does not exist"),
    (missing_report, "missing_file", "does not exist"),
    (latin_report, "unreadable_report", "not in UTF-8"),
    (empty_folder_of_masks, "missing_file", "holds no volume"),
    (no_nifti, "unreadable", "NIfTI"),
    (empty_file, "unreadable", "empty"),
    (truncated, "unreadable", "truncated"),
    (truncated_mask, "unreadable", "truncated"),
    (huge_claim, "unreadable", "30000"),
    (flat, "not_3d", "2D"),
    (four_dimensions, "not_3d", "4 dimensions"),
    (not_a_number, "not_finite", "1 voxels"),
    (zero_spacing, "spacing_not_positive", "spacing"),
    (other_shape, "geometry_mismatch", r"shape \(30, 28, 19\) against \(30, 28, 20\)"),
    (other_spacing, "geometry_mismatch", "2.5"),
    (other_place, "geometry_mismatch", "4.00 mm apart"),
    (unknown_value, "unknown_label_value", "Received: 7. Expected: 1"),
    (fractions, "unreadable", "not integers"),
    (outside_by_dots, "unusable_row", "leaves the folder"),
    (outside_by_root, "unusable_row", "leaves the folder"),
    (unknown_split, "unusable_row", "train, val, test"),
    (no_image, "unusable_row", "`image` is empty"),
    (twice, "duplicate_study_id", "given 2 times"),
    (patient_in_two_splits, "patient_in_several_splits", "several splits"),
    (unsafe_name, "unsafe_study_id", "file name"),
]


@pytest.mark.parametrize(("spoil", "code", "words"), BAD, ids=[spoil.__name__ for spoil, _, _ in BAD])
def test_bad_input_is_one_problem_and_harms_no_other_study(
    studies: StudiesCsv, tmp_path: Path, spoil: Spoil, code: str, words: str
) -> None:
    studies.add("good")
    spoil(studies)
    problems = [p for p in check_source(studies.path) if p.severity == "error"]
    assert {p.code for p in problems} == {code}
    assert {p.study_id for p in problems} <= {"bad", "bad2", "../bad"}
    assert re.search(words, problems[0].message), problems[0].message
    result = build_cohort(studies.path, tmp_path / "out")
    assert result.built == ("good",)
    assert set(result.failed) == {p.study_id for p in problems}
    assert [p.code for p in check_cohort(tmp_path / "out") if p.severity == "error"] == [p.code for p in problems]
    assert "SECRET" not in str(result)
    assert [p.name for p in (tmp_path / "out/arrays").iterdir()] == ["good.zarr"]


def test_all_problems_of_a_study_are_listed_at_once(studies: StudiesCsv) -> None:
    write(studies.root / "m.nii.gz", blank((30, 28, 19)))
    (studies.root / "l.nii.gz").write_bytes(b"")
    studies.add("bad", image="no.nii.gz", organs="m.nii.gz", lesions="l.nii.gz", report="no.txt")
    errors = [p for p in check_source(studies.path) if p.severity == "error"]
    assert [p.code for p in errors] == ["missing_file", "unreadable", "missing_file"]


def test_warnings(studies: StudiesCsv) -> None:
    outside = blank()
    outside[26:29, 25:27, 1:3] = 1
    write(studies.root / "far.nii.gz", outside)
    write(studies.root / "nothing.nii.gz", blank())
    write(studies.root / "raw.nii.gz", (image().astype(int) + 1024).astype(np.int16))
    write(studies.root / "narrow.nii.gz", (image() > 0).astype(np.uint8))
    studies.add("far", lesions="far.nii.gz")
    studies.add("nothing", organs="nothing.nii.gz", report="Technique: CT.")
    studies.add("raw", image="raw.nii.gz", report="")
    studies.add("narrow", image="narrow.nii.gz", report="FINDINGS: Pancreas: 1 cm cyst in the pancreas.")
    studies.add("bare", organs="", lesions="", report="")
    studies.add("none", lesions="nothing.nii.gz", report=" ")
    problems = check_source(studies.path)
    assert {p.severity for p in problems} == {"warning"}
    assert {(p.study_id, p.code) for p in problems} == {
        ("far", "lesion_outside_organ"),
        ("nothing", "empty_mask"),
        ("nothing", "lesion_outside_organ"),
        ("nothing", "report_without_finding"),
        ("raw", "suspicious_intensity"),
        ("raw", "study_without_report"),
        ("narrow", "suspicious_intensity"),
        ("narrow", "organ_mask_missing"),
        ("bare", "nothing_known"),
        ("none", "study_without_report"),
    }
    assert "pancreas" in next(p.message for p in problems if p.code == "organ_mask_missing")


def test_building_lists_the_same_warnings(studies: StudiesCsv, tmp_path: Path) -> None:
    studies.add("a", report="FINDINGS: Pancreas: 1 cm cyst in the pancreas.")
    first = build_cohort(studies.path, tmp_path / "out").problems
    assert [p.code for p in first] == ["organ_mask_missing"]
    assert build_cohort(studies.path, tmp_path / "out", resume=True).problems == first


def test_names_that_the_vocabulary_does_not_know(studies: StudiesCsv, tmp_path: Path) -> None:
    studies.labels({"organs": {"1": "livr"}, "lesions": {"1": "blob"}})
    studies.add("a")
    problems = check_source(studies.path)
    assert {p.code for p in problems if p.severity == "error"} == {"unknown_structure"}
    assert any("Did you mean liver" in p.message for p in problems)
    assert any(p.code == "unclear_lesion_label" for p in problems)
    assert build_cohort(studies.path, tmp_path / "out").built == ("a",)  # it costs the label, not the study


def test_an_organ_map_without_names(studies: StudiesCsv) -> None:
    (studies.root / "labels.json").unlink()
    studies.add("bad")
    errors = [p for p in check_source(studies.path) if p.severity == "error"]
    assert [p.code for p in errors] == ["labels_without_names"]
    assert "labels.json" in errors[0].message


def test_allow_outside(studies: StudiesCsv, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere.nii.gz", image())
    studies.add("a", image="../elsewhere.nii.gz")
    assert [p.code for p in check_source(studies.path)] == ["unusable_row"]
    assert check_source(studies.path, allow_outside=True) == []


def test_a_mask_in_another_orientation_is_on_the_same_grid(studies: StudiesCsv) -> None:
    matrix = affine(flip=(1, 1, 1))
    matrix[:2, 3] = affine()[:2, 3] - 1.5 * (np.array([30, 28]) - 1)
    write(studies.root / "m.nii.gz", organ_map()[::-1, ::-1], matrix)
    studies.add("a", organs="m.nii.gz")
    assert check_source(studies.path) == []


def test_unknown_columns_are_told(good: StudiesCsv) -> None:
    good.rows = [{**row, "age": "44"} for row in good.rows]
    good.save()
    assert [(p.code, p.severity) for p in check_source(good.path)] == [("unknown_column", "warning")]


@pytest.mark.parametrize("content", [b"", b"study_id,picture\na,b\n", "study_id,image\na,ü\n".encode("latin-1")])
def test_a_table_that_can_t_be_used_at_all(studies: StudiesCsv, content: bytes) -> None:
    studies.path.write_bytes(content)
    with pytest.raises(InputError, match=r"studies\.csv"):
        read_source(studies.path)


def test_damage_after_building_is_found(good: StudiesCsv, tmp_path: Path) -> None:
    build_cohort(good.path, tmp_path / "out")
    assert check_cohort(tmp_path / "out") == []
    shard = next(p for p in (tmp_path / "out/arrays/b.zarr/image/0/c").rglob("*") if p.is_file())
    shard.write_bytes(b"\xff" * shard.stat().st_size)
    (tmp_path / "out/arrays/c.zarr/zarr.json").unlink()
    (tmp_path / "out/reports.parquet").chmod(0o644)
    assert [(p.study_id, p.code) for p in check_cohort(tmp_path / "out")] == [
        (None, "reports_readable_by_others"),
        ("b", "damaged"),
        ("c", "damaged"),
    ]


def test_no_problem_quotes_a_report(studies: StudiesCsv, tmp_path: Path) -> None:
    studies.add("a", report="SECRETWORD is all it says", organs="", lesions="")
    studies.add("b", report="SECRETWORD: 2 cm cyst in the pancreas.", image="no.nii.gz")
    text = json.dumps([p.to_dict() for p in check_source(studies.path)])
    assert "SECRETWORD" not in text
    assert "SECRETWORD" not in str(build_cohort(studies.path, tmp_path / "out"))
