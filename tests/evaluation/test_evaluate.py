"""End to end on a tiny cohort: files in, metrics and page out."""

import csv
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tiny_cohort import STUDIES, Tiny
from typer.testing import CliRunner

from dictamen.cli.main import application
from dictamen.errors import InputError, UsageError
from dictamen.evaluation.compare import Arms
from dictamen.evaluation.evaluate import evaluate

LABEL = "kidney_tumour"


def copy_of(tiny: Tiny, path: Path) -> Path:
    return Path(shutil.copytree(tiny.predictions, path))


def test_against_masks(tiny: Tiny, tmp_path: Path) -> None:
    result = evaluate(tiny.predictions, tiny.cohort, tmp_path / "out", against="masks", resamples=100)
    summary = result.labels[LABEL]
    assert summary.studies == {"present": 3, "absent": 1, "unknown": 0}
    assert result.without_truth == ("S5", "S6") and not result.failed and not result.warnings
    assert summary.metrics["lesion_sensitivity"].value == 0.5 and summary.metrics[
        "lesion_precision"
    ].value == pytest.approx(2 / 3)
    assert summary.study_level["study"]["sensitivity"].value == pytest.approx(2 / 3)
    assert summary.study_level["left"]["f1"].value == 1.0 and summary.study_level["right"]["sensitivity"].value == 0.0
    truth, predicted = (
        np.count_nonzero(nib.load(p).get_fdata())
        for p in (tiny.cohort.parent / "source/lesions/S1.nii.gz", tiny.predictions / "S1.nii.gz")
    )
    assert result.values(LABEL, "dice")["S1"] == pytest.approx(2 * predicted / (truth + predicted), abs=1e-4)
    assert result.values(LABEL, "dice")["S4"] == 0 and np.isnan(result.values(LABEL, "dice")["S3"])


def test_files(tiny: Tiny, tmp_path: Path) -> None:
    evaluate(tiny.predictions, tiny.cohort, tmp_path / "out", against="masks", resamples=50)
    written = json.loads((tmp_path / "out/metrics.json").read_text())
    assert written["labels"][LABEL]["metrics"]["dice"]["n"] == 3 and written["bootstrap"]["unit"] == "patient"
    with (tmp_path / "out/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["study_id"] for row in rows} == {"S1", "S2", "S3", "S4"} and {row["side"] for row in rows} == {
        "",
        "left",
        "right",
    }
    with (tmp_path / "out/lesions.csv").open() as file:
        assert sum(row["role"] == "truth" for row in csv.DictReader(file)) == 4
    page = (tmp_path / "out/report.html").read_text()
    assert page.count("data:image/png") == 4 and "Best: study S1" in page
    for patient in STUDIES:
        assert f"PATIENT_{patient}" not in page + json.dumps(written)  # no patient ids


def test_against_reports_and_auto(tiny: Tiny) -> None:
    reports = evaluate(tiny.predictions, tiny.cohort, against="reports", resamples=50)
    assert {m.study_id: m.truth for m in reports.measurements if m.side is None} == {
        "S1": "present", "S2": "present", "S3": "absent", "S4": "present", "S5": "present", "S6": "absent",
    }  # fmt: skip
    study = reports.labels[LABEL].study_level
    assert study["study"]["sensitivity"].value == 0.75 and study["study"]["specificity"].value == 0.5
    assert study["study"]["specificity_disease_elsewhere"].value == 1.0  # S6: a liver cyst
    assert study["left"]["sensitivity"].value == 1.0 and study["right"]["sensitivity"].value == 0.0
    errors = reports.values(LABEL, "count_error")
    assert errors["S1"] == 0 and errors["S2"] == -1
    # S5's report says upper pole; the prediction in the middle lies within the margin around it
    assert reports.values(LABEL, "part_agreement")["S5"] == 1.0 and np.isnan(
        reports.values(LABEL, "part_agreement")["S1"]
    )
    auto = evaluate(tiny.predictions, tiny.cohort, resamples=50)
    assert {m.study_id: m.against for m in auto.measurements} == dict.fromkeys(
        ["S1", "S2", "S3", "S4"], "masks"
    ) | dict.fromkeys(["S5", "S6"], "reports")


def test_several_processes_give_the_same(tiny: Tiny) -> None:
    one = evaluate(tiny.predictions, tiny.cohort, against="masks", resamples=50)
    two = evaluate(tiny.predictions, tiny.cohort, against="masks", resamples=50, jobs=2)
    assert one.to_json() == two.to_json()


def test_missing_predictions(tiny: Tiny, tmp_path: Path) -> None:
    predictions = copy_of(tiny, tmp_path / "p")
    (predictions / "S1.nii.gz").unlink()
    excluded = evaluate(predictions, tiny.cohort, against="masks", resamples=20)
    assert excluded.missing == ("S1",) and "S1" not in {m.study_id for m in excluded.measurements}
    empty = evaluate(predictions, tiny.cohort, against="masks", resamples=20, missing="empty")
    assert empty.values(LABEL, "dice")["S1"] == 0 and empty.labels[LABEL].studies["present"] == 3


def test_another_grid_is_resampled_and_said(tiny: Tiny, tmp_path: Path) -> None:
    predictions = copy_of(tiny, tmp_path / "p")
    image = nib.load(predictions / "S1.nii.gz")
    finer = np.repeat(np.asarray(image.dataobj), 2, axis=2)
    affine = image.affine.copy()
    affine[2, 2] /= 2
    affine[2, 3] -= affine[2, 2] / 2
    nib.save(nib.Nifti1Image(finer, affine), predictions / "S1.nii.gz")
    plain, moved = (evaluate(p, tiny.cohort, against="masks", resamples=20) for p in (tiny.predictions, predictions))
    assert len(moved.warnings) == 1 and "S1" in moved.warnings[0]
    assert moved.values(LABEL, "dice") == plain.values(LABEL, "dice")


def test_one_bad_file_does_not_stop_the_others(tiny: Tiny, tmp_path: Path) -> None:
    predictions = copy_of(tiny, tmp_path / "p")
    (predictions / "S2.nii.gz").write_bytes(b"nothing")
    result = evaluate(predictions, tiny.cohort, tmp_path / "out", against="masks", resamples=20)
    assert set(result.failed) == {"S2"} and len({m.study_id for m in result.measurements}) == 3
    assert "S2" in (tmp_path / "out/report.html").read_text()


def test_scores_of_the_model_rank_the_studies(tiny: Tiny, tmp_path: Path) -> None:
    predictions = copy_of(tiny, tmp_path / "p")
    scores = {"S1": 0.9, "S2": 0.8, "S3": 0.4, "S4": 0.5, "S5": 0.7, "S6": 0.1}
    lines = [json.dumps({"study_id": s, "scores": {LABEL: v}}) for s, v in scores.items()]
    (predictions / "studies.jsonl").write_text("\n".join(lines))
    result = evaluate(predictions, tiny.cohort, against="masks", resamples=20).labels[LABEL]
    assert result.score_source == "model" and result.study_level["study"]["auc"].value == 1.0
    sides = [
        json.dumps({"study_id": s, "scores": {LABEL: v}, "scores_by_side": {LABEL: {"left": v, "right": 1 - v}}})
        for s, v in scores.items()
    ]
    (predictions / "studies.jsonl").write_text("\n".join(sides))
    measured = evaluate(predictions, tiny.cohort, against="masks", resamples=20).measurements
    assert {m.study_id: m.score for m in measured if m.side == "right"} == {
        s: pytest.approx(1 - v) for s, v in scores.items() if s in ("S1", "S2", "S3", "S4")
    }
    (predictions / "studies.jsonl").write_text(lines[0])
    assert (
        evaluate(predictions, tiny.cohort, against="masks", resamples=20).labels[LABEL].score_source
        == "predicted volume"
    )


def test_errors_name_the_way_out(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such split"):
        evaluate(tiny.predictions, tiny.cohort, split="holdout")
    with pytest.raises(InputError, match="has no studies"):
        evaluate(tiny.predictions, tiny.cohort, split="val")
    with pytest.raises(UsageError, match="way to evaluate"):
        evaluate(tiny.predictions, tiny.cohort, against="votes")  # type: ignore[arg-type]
    others = copy_of(tiny, tmp_path / "p")
    for file in others.glob("*.nii.gz"):
        file.rename(others / f"other_{file.name}")
    with pytest.raises(InputError, match="no prediction for any study") as caught:
        evaluate(others, tiny.cohort)
    assert "other_S1" in str(caught.value) and "S1, S2" in str(caught.value)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        evaluate(tiny.predictions, tiny.cohort, tmp_path / "full")


def test_arms_compare_on_common_studies(tiny: Tiny, tmp_path: Path) -> None:
    better = copy_of(tiny, tmp_path / "p")
    for study in ("S1", "S2", "S4"):
        shutil.copy(tiny.cohort.parent / f"source/lesions/{study}.nii.gz", better / f"{study}.nii.gz")
    few, every = (evaluate(p, tiny.cohort, against="masks", resamples=20) for p in (tiny.predictions, better))
    arms = Arms({"few": [few, few], "reports": [few, every], "all": [every, every]}, LABEL)
    assert arms.value("few", "dice", resamples=50).value == pytest.approx(few.labels[LABEL].metrics["dice"].value)
    for metric in ("dice", "lesion_f1", "lesion_sensitivity", "sensitivity"):
        assert arms.gap_closed("few", "reports", "all", metric, resamples=50).value == pytest.approx(0.5)
        assert few.labels[LABEL].metrics.get(
            metric, few.labels[LABEL].study_level["study"].get(metric)
        ).value == pytest.approx(arms.value("few", metric, resamples=20).value)  # type: ignore[union-attr]
    assert arms.difference("few", "all", "dice", resamples=50).lo > 0
    with pytest.raises(UsageError, match="Unknown metric"):
        arms.value("few", "beauty")


def test_command_line(tiny: Tiny, tmp_path: Path) -> None:
    predictions = copy_of(tiny, tmp_path / "p")
    run = CliRunner().invoke(
        application("evaluate"), ["evaluate", str(predictions), str(tiny.cohort), "--against", "masks"]
    )
    assert run.exit_code == 0, run.output
    assert "Lesion F1" in run.output and (predictions / "evaluation/report.html").exists()
    again = CliRunner().invoke(
        application("evaluate"),
        [
            "evaluate",
            str(predictions),
            str(tiny.cohort),
            "--against",
            "masks",
            "--overwrite",
            "--json",
            "--no-pictures",
        ],
    )
    assert json.loads(again.stdout)["labels"][LABEL]["studies"]["present"] == 3
