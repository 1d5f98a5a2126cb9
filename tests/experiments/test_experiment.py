"""Three arms, two seeds, on a small generated cohort; resume; the demo's page."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dictamen.cohort.build import build_cohort
from dictamen.cohort.store import Cohort
from dictamen.experiments.arms import CONTRASTIVE, FEW, REPORTS, STANDARD, arm_grid, standard_arms
from dictamen.experiments.demo_page import demo_page
from dictamen.experiments.experiment import run_experiment
from dictamen.experiments.result import ExperimentResult
from dictamen.phantom.generate import write_phantom
from dictamen.training.config import TrainConfig, validated

CONFIG: TrainConfig = validated(
    {
        "preset": "unet_tiny",
        "targets": ("kidney_tumour",),
        "steps": 2,
        "patch_size": (16, 16, 16),
        "validation_studies": 1,
        "accelerator": "cpu",
    }
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("experiment")
    write_phantom(
        folder / "data", studies=12, validation=1, test=5, spacing_mm=8.0, seed=5, tasks=("kidney",), all_masks=True
    )
    build_cohort(folder / "data" / "studies.csv", folder / "cohort", spacing_mm=8.0)
    return Cohort.open(folder / "cohort")


@pytest.fixture(scope="module")
def run(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], ExperimentResult]:
    folder = tmp_path_factory.mktemp("runs")
    return lambda: run_experiment(cohort, folder, standard_arms(2), seeds=(0, 1), base=CONFIG, resume=True)


def test_every_arm_and_seed_is_trained_predicted_and_compared(run: Callable[[], ExperimentResult]) -> None:
    result = run()
    assert {name: len(found) for name, found in result.evaluations.items()} == {FEW: 2, REPORTS: 2, "all-masks": 2}
    summary = json.loads((result.folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["kidney_tumour"]["studies"] == 5
    table = (result.folder / "table.md").read_text(encoding="utf-8")
    assert "2 masks + reports" in table
    assert "gap closed: 2 masks + reports" in table
    for arm in result.arms:
        facts = json.loads((result.folder / arm.name / "seed_1" / "run" / "run.json").read_text(encoding="utf-8"))
        assert facts["studies"]["masks"]["count"] == (6 if arm.name == "all-masks" else 2)


def test_a_second_call_trains_nothing_and_gives_the_same_table(run: Callable[[], ExperimentResult]) -> None:
    first = run()
    weights = sorted(first.folder.rglob("model.safetensors"))
    before = [path.stat().st_mtime_ns for path in weights]
    table = (first.folder / "table.md").read_text(encoding="utf-8")
    again = run()
    assert [path.stat().st_mtime_ns for path in weights] == before
    assert (again.folder / "table.md").read_text(encoding="utf-8") == table


def test_the_demo_page_is_self_contained_and_shows_each_step(
    run: Callable[[], ExperimentResult], cohort: Cohort
) -> None:
    page = demo_page(cohort, run(), CONFIG, minutes=1.0)
    assert page.count("<section>") == 6
    assert page.count("data:image/png;base64,") >= 4
    assert "http://" not in page
    assert "https://" not in page
    assert "<mark" in page


def test_the_page_of_an_experiment_shows_tables_curves_and_pictures(run: Callable[[], ExperimentResult]) -> None:
    page = (run().folder / "index.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") >= 2 + 3  # values, training, one picture an arm
    assert "Gap closed" in page
    assert "http://" not in page and "https://" not in page


def test_curves_over_the_number_of_masks_and_contrastive_pretraining(cohort: Cohort, tmp_path: Path) -> None:
    small = replace(STANDARD[CONTRASTIVE], pretraining={**(STANDARD[CONTRASTIVE].pretraining or {}), "batch": 4})
    arms = arm_grid((FEW, CONTRASTIVE), masks=(2, 4), ways={**STANDARD, CONTRASTIVE: small})
    result = run_experiment(cohort, tmp_path / "x", arms, base=CONFIG)
    page = (result.folder / "index.html").read_text(encoding="utf-8")
    assert "Dice by the number of studies with masks" in page
    assert set(result.comparisons["kidney_tumour"].gain) == {"contrastive+masks@2", "contrastive+masks@4"}
    config = (result.run("contrastive+masks@2", 0) / "config.toml").read_text(encoding="utf-8")
    assert "pretraining" in config
    assert (result.folder / "contrastive+masks@2" / "seed_0" / "pretraining" / "model").is_dir()


def test_masks_of_report_studies_never_reach_the_report_arm(cohort: Cohort, tmp_path: Path) -> None:
    result = run_experiment(cohort, tmp_path / "x", standard_arms(2, (REPORTS,)), base=CONFIG)
    facts = json.loads((result.folder / REPORTS / "seed_0" / "run" / "run.json").read_text(encoding="utf-8"))
    assert facts["studies"]["masks"]["count"] == 2
    assert facts["studies"]["reports"]["count"] == 4
