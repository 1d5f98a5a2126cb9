import csv
import json
import logging
import pickle
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from small_models import CARD, grid, random_network, write_image

from dictamen.errors import InputError, ResourceError, UsageError
from dictamen.imaging.nifti import read_header
from dictamen.imaging.read import read_image_header, read_label_map
from dictamen.inference import predict as module
from dictamen.inference.inputs import InputStudy
from dictamen.inference.lesions import Lesion
from dictamen.inference.predict import PredictResult, Products, predict
from dictamen.inference.preview import TILE
from dictamen.inference.study import Settings
from dictamen.models.card import RESEARCH_USE
from dictamen.models.package import save_model


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    write_image(folder / "a.nii.gz", seed=1)
    write_image(folder / "b_0000.nii.gz", seed=2, affine=grid("LPS", (1.5, 2.5, 3.0), degrees=12))
    write_image(folder / "site" / "a.nii", seed=3, affine=grid("PSR", (1.0, 2.0, 4.0)))
    return folder


def run_on(run: Path, images: Path, output: Path, **options: object) -> PredictResult:
    return predict(run, images, output, device="cpu", **options)  # type: ignore[arg-type]


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def content(folder: Path) -> dict[str, bytes]:
    """All files but those that hold times."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.suffix != ".jsonl"
    }


def test_everything_promised_is_there(run: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run_on(run, images, out)
    assert result.predicted == ("a", "b", "site_a")
    assert not result.failed
    assert json.loads((out / "labels.json").read_text()) == {"labels": {"1": "kidney_tumour", "2": "kidney"}}
    sources = {"a": "a.nii.gz", "b": "b_0000.nii.gz", "site_a": "site/a.nii"}
    for study_id, name in sources.items():
        source, label_map = read_header(images / name), read_label_map(out / f"{study_id}.nii.gz")
        assert label_map.shape == source.shape
        assert np.array_equal(label_map.affine, source.affine)
        assert label_map.array.max() <= 2
        assert read_header(out / f"{study_id}.nii.gz").label_names == {1: "kidney_tumour", 2: "kidney"}
    studies = lines(out / "studies.jsonl")
    assert [line["study_id"] for line in studies] == list(sources)
    assert all(set(line["scores"]) == {"kidney_tumour", "kidney"} for line in studies)  # type: ignore[call-overload]
    with (out / "lesions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result.lesions > 0
    assert tuple(rows[0]) == Lesion.columns()
    assert len(rows[0]["centroid_mm"].split()) == 3
    assert not (out / "failed.jsonl").exists()
    assert json.loads((out / "predict.json").read_text())["intended_use"] == RESEARCH_USE


def test_one_bad_study_never_stops_the_rest_and_resume_does_only_what_is_missing(
    run: Path, images: Path, tmp_path: Path
) -> None:
    good = run_on(run, images, tmp_path / "whole")
    data = (images / "a.nii.gz").read_bytes()
    (images / "a.nii.gz").write_bytes(data[:200])
    out = tmp_path / "out"
    result = run_on(run, images, out)
    assert result.predicted == ("b", "site_a")
    (failure,) = lines(out / "failed.jsonl")
    assert failure["study_id"] == "a"
    assert "a.nii.gz" in str(failure["where"])
    assert not (out / "a.nii.gz").exists()
    before = (out / "b.nii.gz").stat().st_mtime_ns
    (images / "a.nii.gz").write_bytes(data)
    again = run_on(run, images, out, resume=True)
    assert (again.predicted, again.skipped, again.failed) == (("a",), ("b", "site_a"), ())
    assert (out / "b.nii.gz").stat().st_mtime_ns == before
    assert content(out) == content(tmp_path / "whole")
    assert [line["study_id"] for line in lines(out / "studies.jsonl")] == list(good.predicted)


def test_a_killed_run_loses_only_the_study_in_work(run: Path, images: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    run_on(run, images, whole)
    shutil.copytree(whole, out)
    (out / "lesions.csv").unlink()
    text = (out / "studies.jsonl").read_text().splitlines(keepends=True)
    (out / "studies.jsonl").write_text(text[0] + text[1][:40])
    (out / ".partial-xyz.nii.gz").write_bytes(b"half")
    result = run_on(run, images, out, resume=True)
    assert result.skipped == ("a",)
    (out / ".partial-xyz.nii.gz").unlink()
    assert content(out) == content(whole)


def test_interrupting_keeps_what_is_done(
    run: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment, calls = module.segment, []

    def interrupted(*arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return segment(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "segment", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_on(run, images, tmp_path / "out")
    assert [line["study_id"] for line in lines(tmp_path / "out" / "studies.jsonl")] == ["a"]
    assert (tmp_path / "out" / "lesions.csv").exists()


def test_a_full_disk_stops_with_the_reason(
    run: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise ResourceError("The disk is full.")

    monkeypatch.setattr(module, "write_volume", full)
    with pytest.raises(ResourceError, match="full"):
        run_on(run, images, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.nii.gz"))


def test_not_empty_resume_with_another_model_and_overwrite(run: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_on(run, images, out)
    (out / "mine.txt").write_text("kept")
    with pytest.raises(UsageError, match="not empty"):
        run_on(run, images, out)
    with pytest.raises(UsageError, match="other settings"):
        run_on(run, images, out, resume=True, settings=Settings(mirror=True))
    save_model(tmp_path / "other", random_network(), CARD.model_copy(update={"spacing_mm": (3.0, 3.0, 3.0)}))
    with pytest.raises(UsageError, match="another model"):
        run_on(tmp_path / "other", images, out, resume=True)
    (images / "a.nii.gz").unlink()
    run_on(tmp_path / "other", images, out, overwrite=True)
    assert sorted(path.name for path in out.glob("*.nii.gz")) == ["a.nii.gz", "b.nii.gz"]  # site/a is now the only "a"
    assert (out / "mine.txt").exists()


def test_the_output_never_replaces_the_input(run: Path, images: Path) -> None:
    before = (images / "a.nii.gz").read_bytes()
    with pytest.raises((UsageError, InputError)):
        run_on(run, images, images, overwrite=True)
    with pytest.raises(UsageError, match="holds the input"):
        run_on(run, images / "a.nii.gz", images, overwrite=True)
    assert (images / "a.nii.gz").read_bytes() == before


def test_the_worker_and_its_failures_can_be_sent_to_other_processes(run: Path, images: Path, tmp_path: Path) -> None:
    """Without starting processes, which takes longer than all other tests: what is sent is what counts."""
    job = module._Job(run / "model", tmp_path / "out", Settings(device="cpu"), Products(), False, "abc")
    worker, good, bad = pickle.loads(
        pickle.dumps(
            (
                partial(module._predict_one, job=job),
                InputStudy("a", images / "a.nii.gz"),
                InputStudy("c", error=InputError("Unusable.", where="c")),
            )
        )
    )
    line = pickle.loads(pickle.dumps(worker(good)))
    assert line["study_id"] == "a"
    assert (tmp_path / "out" / "a.nii.gz").exists()
    with pytest.raises(InputError, match="Unusable"):
        worker(bad)


def test_processes_need_a_cpu_and_at_least_one(run: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="jobs"):
        run_on(run, images, tmp_path / "out", jobs=0)


def test_a_segmentation_for_slicer_holds_the_label_map_and_its_names(run: Path, images: Path, tmp_path: Path) -> None:
    run_on(run, images / "a.nii.gz", tmp_path / "out", products=Products(slicer=True))
    path = tmp_path / "out" / "slicer" / "a.seg.nrrd"
    nifti, slicer = read_label_map(tmp_path / "out" / "a.nii.gz"), read_label_map(path)
    assert np.array_equal(slicer.array, nifti.array) and np.allclose(slicer.affine, nifti.affine, atol=1e-5)
    assert read_image_header(path).label_names == {1: "kidney_tumour", 2: "kidney"}


def test_previews_and_probabilities(run: Path, images: Path, tmp_path: Path) -> None:
    from matplotlib.image import imread

    out = tmp_path / "out"
    run_on(run, images / "a.nii.gz", out, products=Products(preview=True, probabilities=True))
    picture = imread(out / "previews" / "a.png")
    assert picture.shape[1] == 4 * TILE  # three planes and a projection
    assert picture.shape[0] in (TILE, 2 * TILE, 3 * TILE)
    source = read_header(images / "a.nii.gz")
    for name in ("kidney_tumour", "kidney"):
        probability = read_label_map(out / "probabilities" / "a" / f"{name}.nii.gz")
        assert probability.shape == source.shape
        assert np.array_equal(probability.affine, source.affine)


def test_research_use_is_said_once(run: Path, images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    module._loaded.cache_clear()
    with caplog.at_level(logging.WARNING):
        run_on(run, images, tmp_path / "out")
    assert [record.getMessage() for record in caplog.records].count(RESEARCH_USE) == 1


def test_a_cohort_is_predicted_on_its_canonical_grid(run: Path, tmp_path: Path) -> None:
    from dictamen.cohort.build import build_cohort
    from dictamen.cohort.store import Cohort

    source = tmp_path / "source"
    rows = ["study_id,image,split"]
    for number, split in enumerate(("train", "test", "test")):
        write_image(source / f"{number}.nii.gz", seed=number, affine=grid("LPS", (2.0, 2.0, 2.5)))
        rows.append(f"s{number},{number}.nii.gz,{split}")
    (source / "studies.csv").write_text("\n".join(rows) + "\n")
    build_cohort(source, tmp_path / "cohort", spacing_mm=2.0)
    result = run_on(run, tmp_path / "cohort", tmp_path / "out", split="test")
    assert result.predicted == ("s1", "s2")
    study = Cohort.open(tmp_path / "cohort").study("s1")
    label_map = read_label_map(tmp_path / "out" / "s1.nii.gz")
    assert np.allclose(label_map.affine, study.native_affine)
    assert label_map.shape == study.level("image", 0).shape


def test_no_model(images: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model here"):
        run_on(tmp_path / "nothing", images, tmp_path / "out")
    assert not (tmp_path / "out").exists()
