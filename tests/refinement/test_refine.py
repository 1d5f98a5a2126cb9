"""`dictamen refine` as a user runs it: new versions of masks, change maps, abstentions, resume."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from small_cases import SCHEME, ball
from typer.testing import CliRunner

from dictamen.anatomy.region_scheme import RegionScheme
from dictamen.cli.main import application
from dictamen.cohort.store import Cohort
from dictamen.errors import InputError, UsageError
from dictamen.evaluation.overlap import dice
from dictamen.imaging.nifti import write_volume
from dictamen.imaging.read import read_label_map
from dictamen.imaging.volume import Volume
from dictamen.refinement.config import RefineConfig
from dictamen.refinement.refine import refine
from dictamen.review.masks import MaskSource
from dictamen.review.store import FEEDBACK_SQLITE, FeedbackStore
from dictamen.supervision.feedback import RegionAnswer
from dictamen.supervision.region_errors import region_errors
from dictamen.supervision.simulated_raters import SimulatedRater

CONFIG = RefineConfig(steps=160, batch=1, learning_rate=2e-2, ema_decay=0.9, edge=1.0, most_change=1.0)
"""Quick: three masks that are wrong everywhere, and plain intensities."""


def said(cohort: Cohort, studies: tuple[str, ...] = ("a", "b", "c"), sha256: str | None = None) -> list[RegionAnswer]:
    """What a rater who knows the truth says."""
    source, records = MaskSource(cohort), []
    for name in studies:
        seen = source.mask(name, "spleen")
        assert seen is not None
        truth = ball("abcd".index(name))[1][::-1, ::-1]  # the files are LPS, cohorts RAS
        errors = region_errors(seen.mask, truth, seen.regions(SCHEME))
        records += [
            RegionAnswer(
                study_id=name, rater="r", label="spleen", mask_sha256=sha256 or seen.sha256, scheme=SCHEME.to_text(),
                region=error.region, score=score, direction=side,
            )
            for error, (score, side) in zip(errors, SimulatedRater().rate(errors), strict=True)
        ]  # fmt: skip
    return records


def test_refine_repairs_a_study_that_nobody_scored(spleens: Cohort, tmp_path: Path) -> None:
    result = refine(spleens, tmp_path / "run", said(spleens), config=CONFIG)
    assert (result.label, result.answered, result.trained_studies) == ("spleen", 12, 3)
    assert (result.refined, result.changed, result.for_review, result.failed) == (4, 4, 0, {})
    native = MaskSource(spleens).native("d", "spleen")
    after = read_label_map(tmp_path / "run" / "refined" / "d.nii.gz")
    assert native is not None
    assert after.shape == native.shape and np.allclose(after.affine, native.affine)
    truth = ball(3)[1][::-1, ::-1]
    assert dice(truth, after.array[0] > 0) > dice(truth, native.array[0] > 0) + 0.03
    changes = read_label_map(tmp_path / "run" / "changes" / "d.nii.gz").array[0]
    assert np.array_equal(changes == 2, native.array[0].astype(bool) & (after.array[0] == 0))
    assert np.array_equal(changes == 1, ~native.array[0].astype(bool) & (after.array[0] > 0))
    lines = [json.loads(line) for line in (tmp_path / "run" / "regions.jsonl").read_text().splitlines()]
    assert [line["study_id"] for line in lines] == list("abcd")
    # the refined folder is a folder of masks again, of which the line tells the hash
    again = MaskSource(spleens, tmp_path / "run" / "refined")
    assert again.mask("d", "spleen").sha256 == lines[3]["sha256"] != lines[3]["parent_sha256"]  # type: ignore[union-attr]
    applied = refine(spleens, tmp_path / "second", refiner=tmp_path / "run", masks=tmp_path / "run" / "refined")
    assert applied.refined == 4 and applied.answered == 0


def test_answers_of_several_schemes_train_together(spleens: Cohort, tmp_path: Path) -> None:
    answers = said(spleens, ("a", "b"))
    seen = MaskSource(spleens).mask("c", "spleen")
    assert seen is not None
    whole = answers[0].model_copy(
        update={
            "record_id": "w", "study_id": "c", "mask_sha256": seen.sha256, "scheme": RegionScheme("slab", 1).to_text(),
            "score": 3, "direction": "over", "origin": "report",
        }
    )  # fmt: skip
    beside = whole.model_copy(update={"record_id": "x", "study_id": "a", "mask_sha256": answers[0].mask_sha256})
    result = refine(spleens, tmp_path, [*answers, whole, beside], config=RefineConfig(steps=2))
    assert (result.answered, result.trained_studies) == (9, 3)  # a person has seen `a`: its report is not asked
    assert RegionScheme.from_text(json.loads((tmp_path / "refiner.json").read_text())["scheme"]) == SCHEME


def test_scored_disagreements_train_too(spleens: Cohort, tmp_path: Path) -> None:
    for name in "ab":
        native = MaskSource(spleens).native(name, "spleen")
        assert native is not None
        smaller = ndimage.binary_erosion(native.array[0]).astype(np.uint8)[None]
        write_volume(Volume(smaller, native.affine), tmp_path / "other" / f"{name}.nii.gz", label_names={1: "spleen"})
    scheme, source = RegionScheme("disagreement", 3), MaskSource(spleens, compare=tmp_path / "other")
    answers = []
    for name in "ab":
        seen = source.mask(name, "spleen")
        assert seen is not None and seen.regions(scheme).max() == 1
        answers.append(
            RegionAnswer(
                study_id=name, rater="r", label="spleen", mask_sha256=seen.version(scheme), scheme=scheme.to_text(),
                region=1, score=2, direction="over",
            )
        )  # fmt: skip
    with pytest.raises(UsageError, match="needs a second mask"):
        refine(spleens, tmp_path / "alone", answers, config=RefineConfig(steps=2))
    result = refine(spleens, tmp_path / "run", answers, compare=tmp_path / "other", config=RefineConfig(steps=2))
    assert (result.answered, result.refined) == (2, 4)
    assert json.loads((tmp_path / "run" / "refiner.json").read_text())["scheme"] == RegionScheme().to_text()


def test_resume_keeps_the_refiner_and_what_is_done(spleens: Cohort, tmp_path: Path) -> None:
    config = RefineConfig(steps=2)
    refine(spleens, tmp_path, said(spleens), config=config)
    weights = (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns
    (tmp_path / "refined" / "b.nii.gz").unlink()
    kept = (tmp_path / "refined" / "a.nii.gz").stat().st_mtime_ns
    result = refine(spleens, tmp_path, said(spleens), config=config, resume=True)
    assert result.refined == 4 and (tmp_path / "refined" / "b.nii.gz").is_file()
    assert (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns == weights
    assert (tmp_path / "refined" / "a.nii.gz").stat().st_mtime_ns == kept
    with pytest.raises(UsageError, match="not empty"):
        refine(spleens, tmp_path, said(spleens), config=config)


def test_resume_refines_a_mask_that_has_changed_since(spleens: Cohort, tmp_path: Path) -> None:
    refine(spleens, tmp_path / "run", said(spleens), config=RefineConfig(steps=2))
    other = tmp_path / "other"
    other.mkdir()
    for name in "abcd":
        mask = MaskSource(spleens).native(name, "spleen")
        assert mask is not None
        array = mask.array if name != "b" else ndimage.binary_erosion(mask.array[0])[None]
        write_volume(Volume(array.astype(np.uint8), mask.affine), other / f"{name}.nii.gz", label_names={1: "spleen"})
    kept = (tmp_path / "run" / "refined" / "a.nii.gz").stat().st_mtime_ns
    result = refine(spleens, tmp_path / "run", masks=other, resume=True)
    lines = [json.loads(line) for line in (tmp_path / "run" / "regions.jsonl").read_text().splitlines()]
    assert result.refined == 4 and [line["study_id"] for line in lines] == list("abcd")
    assert lines[1]["parent_sha256"] == MaskSource(spleens, other).mask("b", "spleen").sha256  # type: ignore[union-attr]
    assert (tmp_path / "run" / "refined" / "a.nii.gz").stat().st_mtime_ns == kept
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert told["studies"]["refined"]["count"] == 4 and told["label"] == "spleen"


def test_answers_on_other_versions_of_a_mask_count_nothing(spleens: Cohort, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No answer belongs to these masks"):
        refine(spleens, tmp_path / "x", said(spleens, sha256="f" * 64), config=CONFIG)
    with pytest.raises(InputError, match="No region has been scored"):
        refine(spleens, tmp_path / "y", [], label="spleen", config=CONFIG)
    with pytest.raises(InputError, match="No region has been scored"):  # and not: which of the labels?
        refine(spleens, tmp_path / "y", [], config=CONFIG)
    with pytest.raises(UsageError, match="no mask with this label"):
        refine(spleens, tmp_path / "z", [], label="liver", config=CONFIG)


def test_command_line(spleens: Cohort, tmp_path: Path) -> None:
    store = FeedbackStore(tmp_path / FEEDBACK_SQLITE)
    store.add(said(spleens))
    store.close()
    words = ["refine", str(spleens.path), "-o", str(tmp_path / "run"), "--feedback", str(tmp_path / FEEDBACK_SQLITE)]
    done = CliRunner().invoke(application("refine"), [*words, "--set", "steps=2"])
    assert done.exit_code == 0, done.output
    assert "Trained on 12 scored regions of 3 studies." in done.output and "spleen: 4 masks refined" in done.output


def test_answers_go_to_another_machine_and_studies_it_does_not_have_are_told(spleens: Cohort, tmp_path: Path) -> None:
    here, there = tmp_path / "here.sqlite", tmp_path / "there.sqlite"
    store = FeedbackStore(here)
    store.add([*said(spleens, ("a",)), said(spleens, ("b",))[0].model_copy(update={"study_id": "elsewhere"})])
    store.close()
    verb, lines = application("feedback"), str(tmp_path / "answers.jsonl")
    done = CliRunner().invoke(verb, ["feedback", "export", str(spleens.path), "-o", lines, "--feedback", str(here)])
    assert done.exit_code == 0 and "5 records written" in done.output
    words = ["feedback", "import", str(spleens.path), lines, "--feedback", str(there)]
    done = CliRunner().invoke(verb, words)
    assert done.exit_code == 0 and "5 records added, 0 were known already" in done.output
    assert "1 of their studies are not in this cohort: elsewhere" in done.output
    assert FeedbackStore(there).answers() == FeedbackStore(here).answers()
