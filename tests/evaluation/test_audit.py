"""Contradictions between masks and reports: planted ones are found, and little else."""

import csv
import json
import stat
from pathlib import Path

import nibabel
import numpy as np
import pytest

from dictamen.cli.main import main
from dictamen.cohort.build import build_cohort
from dictamen.cohort.store import Cohort
from dictamen.errors import InputError, UsageError
from dictamen.evaluation.audit import audit
from dictamen.phantom.generate import write_phantom


def rows_of(data: Path) -> dict[str, dict[str, str]]:
    with (data / "studies.csv").open(encoding="utf-8") as file:
        return {row["study_id"]: row for row in csv.DictReader(file)}


def built(data: Path, folder: Path) -> Cohort:
    build_cohort(data / "studies.csv", folder, spacing_mm=8.0)
    return Cohort.open(folder)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cohort, str, str]:
    """A phantom; the study whose lesion mask was emptied; the one whose report denies its lesion and gallbladder."""
    folder = tmp_path_factory.mktemp("audit")
    data = folder / "data"
    write_phantom(data, studies=14, validation=1, test=1, spacing_mm=8.0, seed=11, tasks=("kidney",), all_masks=True)
    honest = {one.study_id for one in audit(built(data, folder / "honest")).contradictions}
    rows = {study: row for study, row in rows_of(data).items() if study not in honest and row["lesions"]}
    sizes = {study: int((nibabel.load(data / row["lesions"]).get_fdata() > 0).sum()) for study, row in rows.items()}
    emptied, denied = sorted(sizes, key=lambda study: -sizes[study])[:2]
    mask = nibabel.load(data / rows[emptied]["lesions"])
    nibabel.save(nibabel.Nifti1Image(np.zeros(mask.shape, np.uint8), mask.affine), data / rows[emptied]["lesions"])
    (data / rows[denied]["report"]).write_text(
        "FINDINGS: The kidneys are unremarkable. Status post cholecystectomy.", encoding="utf-8"
    )
    return built(data, folder / "planted"), emptied, denied


def test_planted_contradictions_are_the_gravest(planted: tuple[Cohort, str, str], tmp_path: Path) -> None:
    cohort, emptied, denied = planted
    found = audit(cohort, tmp_path / "out")
    kinds = {(one.study_id, one.kind): one for one in found.contradictions}
    assert {(emptied, "not in the mask"), (denied, "not in the report"), (denied, "removed organ")} <= set(kinds)
    missing = kinds[emptied, "not in the mask"]
    assert missing.found == "no lesion" and "kidney_tumour" in missing.said and missing.spans
    assert found.contradictions[0].study_id in (emptied, denied)
    severities = [one.severity for one in found.contradictions]
    assert severities == sorted(severities, reverse=True)


def test_the_list_quotes_nothing_and_the_page_is_private(planted: tuple[Cohort, str, str], tmp_path: Path) -> None:
    cohort, _, denied = planted
    audit(cohort, tmp_path / "out", pictures=2)
    lines = (tmp_path / "out" / "contradictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert not any("unremarkable" in line for line in lines)
    page = tmp_path / "out" / "index.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    text = page.read_text(encoding="utf-8")
    assert denied in text and "data:image/png" in text and "https://" not in text


def test_the_verb_lists_them(
    planted: tuple[Cohort, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort, emptied, _ = planted
    with pytest.raises(SystemExit) as end:
        main(["audit", str(cohort.path), "-o", str(tmp_path / "out"), "--json"])
    assert end.value.code == 0
    assert emptied in {one["study_id"] for one in json.loads(capsys.readouterr().out)}


def test_nothing_is_overwritten_and_nothing_to_audit_is_said(planted: tuple[Cohort, str, str], tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(UsageError):
        audit(planted[0], tmp_path)
    data = planted[0].path.parent / "data"
    row = next(iter(rows_of(data).values()))
    table = f"study_id,image,organs\na,{data / row['image']},{data / row['organs']}\n"
    (tmp_path / "studies.csv").write_text(table)
    build_cohort(tmp_path / "studies.csv", tmp_path / "silent", spacing_mm=8.0, allow_outside=True)
    with pytest.raises(InputError, match="Expected: studies with a report"):
        audit(tmp_path / "silent")
