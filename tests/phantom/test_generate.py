"""A written cohort: files, labels, splits, determinism, and truth that agrees with pictures and reports."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, label

from dictamen.errors import UsageError
from dictamen.phantom.generate import PhantomSummary, write_phantom
from dictamen.reports.rules import read_report
from dictamen.reports.schema import ReportFindings

STUDIES = 14
SPACING_MM = 5.0
"""Coarse: the same code in a fifth of the time."""
UPPER = 75
"""Percentile that stands for an organ's inside: half of a thin organ's voxels touch fat on the coarse grid."""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, PhantomSummary]]:
    folder = tmp_path_factory.mktemp("phantom")
    yield folder, write_phantom(folder, studies=STUDIES, masks=3, validation=3, test=5, spacing_mm=SPACING_MM, seed=3)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def array(path: Path) -> Any:
    return np.asarray(nibabel.load(path).dataobj)


def test_studies_csv_names_existing_files_and_counts_add_up(cohort: tuple[Path, PhantomSummary]) -> None:
    folder, summary = cohort
    table = rows(folder / "studies.csv")
    assert len(table) == STUDIES == summary.studies
    assert [sum(row["split"] == split for row in table) for split in ("train", "val", "test")] == [6, 3, 5]
    for row in table:
        for column in ("image", "report", "organs"):
            assert (folder / row[column]).is_file()
        assert not row["lesions"] or (folder / row["lesions"]).is_file()
        assert row["lesions"] or row["split"] == "train"
    assert sum(bool(row["lesions"]) and row["split"] == "train" for row in table) == 3 == summary.masks
    assert len(list((folder / "lesions").iterdir())) == 11


def test_no_patient_is_in_two_splits(cohort: tuple[Path, PhantomSummary]) -> None:
    table = rows(cohort[0] / "studies.csv")
    splits: dict[str, set[str]] = {}
    for row in table:
        splits.setdefault(row["patient_id"], set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values())


def test_masks_share_the_grid_and_orientations_differ(cohort: tuple[Path, PhantomSummary]) -> None:
    folder, _ = cohort
    seen = set()
    for row in rows(folder / "studies.csv"):
        image = nibabel.load(folder / row["image"])
        assert image.get_data_dtype() == np.int16
        seen.add("".join(nibabel.aff2axcodes(image.affine)))
        for other in (folder / row["organs"], folder / "truth" / "lesions" / f"{row['study_id']}.nii.gz"):
            mask = nibabel.load(other)
            assert mask.shape == image.shape
            np.testing.assert_allclose(mask.affine, image.affine, atol=1e-4)
    assert len(seen) >= 4


def test_labels_are_vocabulary_names_and_lesions_lie_at_their_organ(cohort: tuple[Path, PhantomSummary]) -> None:
    from dictamen.anatomy import vocabulary

    folder, _ = cohort
    labels = json.loads((folder / "labels.json").read_text())
    assert all(name in vocabulary.load() for name in labels["organs"].values())
    assert labels["lesions"] == {"1": "kidney_tumour", "2": "liver_tumour", "3": "pancreas_tumour"}
    for row in rows(folder / "studies.csv"):
        organs = array(folder / row["organs"])
        lesions = array(folder / "truth" / "lesions" / f"{row['study_id']}.nii.gz")
        for value, name in labels["lesions"].items():
            organ = name.split("_")[0]
            own = np.isin(organs, [int(k) for k, v in labels["organs"].items() if v.startswith(organ)])
            components, count = label(lesions == int(value), structure=np.ones((3, 3, 3)))
            near = binary_dilation(own)
            assert all(near[components == index].any() for index in range(1, count + 1))


def test_lesion_table_agrees_with_masks(cohort: tuple[Path, PhantomSummary]) -> None:
    folder, summary = cohort
    table = rows(folder / "truth" / "lesion_table.csv")
    assert len(table) == summary.lesions
    names = json.loads((folder / "labels.json").read_text())["lesions"]
    for study in rows(folder / "studies.csv"):
        image = nibabel.load(folder / "truth" / "lesions" / f"{study['study_id']}.nii.gz")
        voxel = abs(np.linalg.det(image.affine[:3, :3]))
        for value, name in names.items():
            mine = [row for row in table if row["study_id"] == study["study_id"] and row["label"] == name]
            mask = np.asarray(image.dataobj) == int(value)
            assert label(mask, structure=np.ones((3, 3, 3)))[1] <= len(mine) + 2  # spikes may come loose
            assert mask.sum() * voxel == pytest.approx(sum(float(row["volume_mm3"]) for row in mine), rel=0.02, abs=1)
    assert all(row["label"] == "" for row in table if row["kind"] in ("cyst", "benign"))


def test_reports_state_every_lesion_with_its_size_within_the_readers_error(cohort: tuple[Path, PhantomSummary]) -> None:
    folder, _ = cohort
    table = rows(folder / "truth" / "lesion_table.csv")
    lines = (folder / "truth" / "findings.jsonl").read_text().splitlines()
    for findings in map(ReportFindings.model_validate_json, lines):
        text = (folder / "reports" / f"{findings.study_id}.txt").read_text()
        mine = [row for row in table if row["study_id"] == findings.study_id]
        assert {row["structure"] for row in mine} == {
            f.structure.replace("lung", "lung_lower_lobe") for f in findings.findings
        }
        assert sum(f.count.lo for f in findings.findings) <= len(mine)
        for finding in findings.findings:
            assert text[slice(*finding.span)].endswith(".")
            if finding.diameters_mm:
                true = [max(map(float, row["diameters_mm"].split(";"))) for row in mine]
                assert min(abs(finding.diameters_mm[0] / one - 1) for one in true) < 0.3
        assert not {f.structure for f in findings.findings} & set(findings.clear_structures)


def test_intensities_are_those_of_a_portal_venous_ct(cohort: tuple[Path, PhantomSummary]) -> None:
    folder, _ = cohort
    names = {name: int(value) for value, name in json.loads((folder / "labels.json").read_text())["organs"].items()}
    limits = {"liver": (80, 160), "spleen": (80, 175), "aorta": (90, 215), "lung_lower_lobe_right": (-930, -550)}
    for row in rows(folder / "studies.csv"):
        image, organs = array(folder / row["image"]), array(folder / row["organs"])
        assert image.min() < -900
        for name, (low, high) in limits.items():
            assert low < np.percentile(image[organs == names[name]], UPPER) < high, (row["study_id"], name)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    options = {"studies": 3, "masks": 1, "validation": 0, "test": 1, "spacing_mm": 8.0}
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_phantom(tmp_path / name, seed=seed, **options)  # type: ignore[arg-type]
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    first = digest(tmp_path / "a")
    other = digest(tmp_path / "c")
    assert all(first[name] != other[name] for name in first if name.startswith("images"))


def test_all_masks_fills_the_column_and_nothing_else_changes(tmp_path: Path) -> None:
    options = {"studies": 4, "masks": 1, "validation": 1, "test": 1, "spacing_mm": 8.0}
    few = write_phantom(tmp_path / "few", **options)  # type: ignore[arg-type]
    every = write_phantom(tmp_path / "all", all_masks=True, **options)  # type: ignore[arg-type]
    assert (few.masks, every.masks) == (1, 2)
    assert all(row["lesions"] for row in rows(tmp_path / "all" / "studies.csv"))
    same = {
        name: value
        for name, value in digest(tmp_path / "few").items()
        if name.split("/")[0] in ("images", "reports", "truth")
    }
    assert same.items() <= digest(tmp_path / "all").items()


def test_removed_organs_are_gone_from_picture_and_report_alike(tmp_path: Path) -> None:
    write_phantom(tmp_path, studies=10, masks=0, validation=1, test=1, spacing_mm=8.0, removed=0.4)
    names = json.loads((tmp_path / "labels.json").read_text(encoding="utf-8"))["organs"]
    seen, said = set(), 0
    for line in (tmp_path / "truth" / "findings.jsonl").read_text(encoding="utf-8").splitlines():
        truth = json.loads(line)
        study_id = truth["study_id"]
        labels = np.unique(nibabel.load(tmp_path / "organs" / f"{study_id}.nii.gz").get_fdata())
        there = {names[str(int(label))] for label in labels if label}
        missing = {"gallbladder", "spleen", "kidney_left", "kidney_right"} - there
        seen |= missing
        lost = {key.replace(":", "_") for key in truth["removed_structures"]}
        assert lost <= missing and len(missing & {"kidney_left", "kidney_right"}) < 2
        text = (tmp_path / "reports" / f"{study_id}.txt").read_text(encoding="utf-8")
        assert set(read_report(text, study_id).removed_structures) == set(truth["removed_structures"])
        said += len(lost)
    assert said and len(seen) == 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"studies": 2},
        {"studies": 10},
        {"masks": -1},
        {"spacing_mm": 0.0},
        {"tasks": ("heart",)},
        {"removed": 1.0},
        {"tasks": ("liver", "liver")},
    ],
)
def test_bad_numbers_are_usage_errors(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        write_phantom(tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        write_phantom(tmp_path, studies=3, masks=1, validation=1, test=1)
