"""The comparison of pretraining's parts: every arm runs, what is done is skipped, the table says what was measured."""

import json
from pathlib import Path

import pytest

from dictamen.cohort.store import Cohort
from dictamen.errors import UsageError
from dictamen.experiments.ablation import AblationConfig, ablate, resolve_ablation
from dictamen.experiments.ablation_table import ablation_table
from dictamen.pretraining.config import PretrainConfig


def test_arms_are_trained_measured_and_skipped_when_done(
    pairs_cohort: Cohort, pretrain_config: PretrainConfig, tmp_path: Path
) -> None:
    config = AblationConfig(
        pretrain=pretrain_config.model_copy(update={"steps": 1}),
        arms=("scratch", "scratch+maps", "contrast", "both-query+maps"),
        fractions=(0.1, 1.0),
        seeds=1,
        steps=1,
        batch=2,
        split="val",
    )
    result = ablate(pairs_cohort, tmp_path / "out", config)
    files = sorted(path.name for path in (tmp_path / "out/seed_0").glob("*.json"))
    assert files == sorted(f"{arm}_{count}.json" for arm in config.arms for count in (1, 10))
    assert {path.name for path in (tmp_path / "out/seed_0").iterdir() if path.is_dir()} == {"contrast", "both-query"}
    summary = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    assert set(summary["arms"]["scratch"]["10"]["0"]["dice"]) == {"spleen"}
    assert 0 < summary["encoders"]["contrast"]["0"]["first_contrastive"] < 5
    assert "| scratch+maps |" in result.table and "| 1 labels | 10 labels |" in result.table
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/seed_0").glob("*.json")}
    (tmp_path / "out/seed_0/scratch_1.json").unlink()
    saved = resolve_ablation(tmp_path / "out/config.toml")
    assert saved.model_dump(mode="json") == config.model_dump(mode="json")
    again = ablate(pairs_cohort, tmp_path / "out", saved, resume=True)
    changed = {path.name for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert changed == {"scratch_1.json"} and again.table == result.table
    with pytest.raises(UsageError, match=r"(?s)other settings.*steps"):
        ablate(pairs_cohort, tmp_path / "out", saved.model_copy(update={"steps": 2}), resume=True)


def test_gains_are_of_the_same_seed_and_have_an_interval() -> None:
    scores = {"scratch": (0.1, 0.5, 0.3), "both": (0.2, 0.6, 0.4)}
    runs = {
        arm: {5: {seed: {"dice": {"liver": dice, "spleen": dice}, "hd95_mm": {}} for seed, dice in enumerate(found)}}
        for arm, found in scores.items()
    }
    table = ablation_table(runs, {}, organs=("liver", "spleen"), train=50, test=9, batch=4)
    assert "| both | +0.100 (+0.100 to +0.100), 3 of 3 |" in table
    assert "| scratch | 0.300 ± 0.200 |" in table


def test_wrong_use_of_the_ablation_is_refused(pairs_cohort: Cohort, tmp_path: Path) -> None:
    for wrong in (['arms=["best"]'], ["fractions=[0]"], ["pretrain.stepz=3"]):
        with pytest.raises(UsageError):
            resolve_ablation(None, wrong)
    config = AblationConfig(pretrain=PretrainConfig(batch=4, fewest=3), organs=("liver",))
    with pytest.raises(UsageError, match="no mask of an organ"):
        ablate(pairs_cohort, tmp_path / "out", config)
