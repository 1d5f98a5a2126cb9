"""Real CTs, where they are at hand: TotalSegmentator's names and grids, a liver and its metastases in one map."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from dictamen.anatomy.totalsegmentator import CLASS_NAMES
from dictamen.cohort.build import build_cohort
from dictamen.cohort.check import check_source
from dictamen.cohort.store import Cohort

DATA = Path(os.environ.get("DICTAMEN_SHARED_DATA", Path(__file__).parents[3] / "shared/data")) / "ct"
TOTAL, ATLAS = DATA / "totalsegmentator", DATA / "tcia_atlas"

pytestmark = pytest.mark.skipif(
    not TOTAL.is_dir() or not ATLAS.is_dir(), reason="the shared CTs are not here (set DICTAMEN_SHARED_DATA)"
)


def table(path: Path, rows: list[dict[str, Path | str]], labels: dict[str, dict[str, str]] | None = None) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    if labels:
        (path.parent / "labels.json").write_text(json.dumps(labels))
    return path


def row(study_id: str, image: str, organs: str) -> dict[str, Path | str]:
    return {"study_id": study_id, "image": TOTAL / f"{image}.nii.gz", "organs": TOTAL / f"{organs}.nii.gz"}


def test_totalsegmentator_names_its_values_in_the_header(tmp_path: Path) -> None:
    source = table(tmp_path / "studies.csv", [row("trunk", "example_ct", "example_seg_117cls")])
    assert [p for p in check_source(source, allow_outside=True) if p.severity == "error"] == []


def test_totalsegmentator(tmp_path: Path) -> None:
    rows = [
        row("trunk", "example_ct", "example_seg_117cls"),
        row("slab", "example_dicom_ct_1p6mm", "example_dicom_seg_117cls"),
    ]
    names = {"organs": {str(value): name for value, name in CLASS_NAMES.items()}}
    source = table(tmp_path / "studies.csv", rows, names)
    assert build_cohort(source, tmp_path / "out", spacing_mm=4, allow_outside=True).failed == ()
    cohort = Cohort.open(tmp_path / "out")
    assert set(cohort.info.organ_labels.values()) == set(CLASS_NAMES.values())
    for study in map(cohort.study, cohort.ids()):
        assert study.spacing_mm == pytest.approx((4, 4, 4))
        liver, spleen = (study.boxes[f"organ:{organ}"].mean(0) for organ in ("liver", "spleen"))
        assert liver[0] > spleen[0]  # RAS+: the liver is on the patient's right


def test_a_real_liver_with_metastases_in_one_map(tmp_path: Path) -> None:
    image, labelled = ATLAS / "liver_ct.nii.gz", ATLAS / "liver_seg.nii.gz"
    labels = {"organs": {"1": "liver"}, "lesions": {"2": "liver_metastasis"}}
    source = table(
        tmp_path / "studies.csv",
        [{"study_id": "liver", "image": image, "organs": labelled, "lesions": labelled}],
        labels,
    )
    build_cohort(source, tmp_path / "out", allow_outside=True)
    study = Cohort.open(tmp_path / "out").study("liver")
    organs, lesions = study.level("organs", 0), study.level("lesions", 0)
    assert (organs[lesions > 0] == 1).all()
    volume_ml = np.count_nonzero(lesions) * np.prod(study.spacing_mm) / 1000
    assert volume_ml == pytest.approx(45, rel=0.1)
    assert len(study.component_boxes["lesion:liver_metastasis"]) >= 1
