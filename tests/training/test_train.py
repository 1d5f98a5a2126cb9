"""A run from cohort to model: files, determinism, resume, wrong use."""

import json
import tomllib
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dictamen.cohort.store import Cohort
from dictamen.errors import UsageError
from dictamen.models.package import load_model
from dictamen.training.config import TrainConfig, validated
from dictamen.training.dilation import choose_dilation
from dictamen.training.plan import make_plan
from dictamen.training.train import train


class KilledError(Exception):
    """Stands for a process that ends in the middle."""


def weights(run: Path) -> dict[str, torch.Tensor]:
    newest = sorted((run / "checkpoints").glob("*.safetensors"))[-1]
    return {name: value.clone() for name, value in load_file(newest).items()}  # not mapped: a test damages the file


def lines(run: Path, event: str) -> list[dict[str, object]]:
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in found if line["event"] == event]


def test_a_run_leaves_a_model_its_settings_and_what_was_used(
    cohort: Cohort, config: TrainConfig, tmp_path: Path
) -> None:
    result = train(cohort, tmp_path / "run", config)
    assert result.steps == 6
    saved = validated(tomllib.loads((tmp_path / "run" / "config.toml").read_text(encoding="utf-8")))
    assert saved.model_dump(mode="json") == config.model_dump(mode="json")
    network, card = load_model(tmp_path / "run")
    assert card.names == ("kidney_tumour", "kidney")
    assert network(torch.zeros(1, 1, 16, 16, 16)).logits.shape == (1, 2, 16, 16, 16)
    facts = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert facts["studies"]["masks"]["count"] == 3
    assert facts["region_dilation"]["part_mm"] == 15
    assert facts["studies"]["reports"]["count"] == 5
    assert not any(study in json.dumps(facts) for study in cohort.ids())
    used = lines(tmp_path / "run", "supervision")
    assert sum(line["patches"] for line in used) == 6  # type: ignore[misc]
    assert len(lines(tmp_path / "run", "train")) == 6


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    cohort: Cohort, config: TrainConfig, tmp_path: Path
) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(cohort, tmp_path / name, config.model_copy(update={"seed": seed}))
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)
    logs = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in "abc"]
    assert logs[0] == logs[1] != logs[2]


@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_a_killed_run_that_resumes_equals_one_that_was_not(
    cohort: Cohort, config: TrainConfig, tmp_path: Path, after: int
) -> None:
    def kill(done: int, total: int, words: str) -> None:
        if done == after:
            raise KilledError

    train(cohort, tmp_path / "whole", config)
    with pytest.raises(KilledError):
        train(cohort, tmp_path / "run", config, progress=kill)
    train(cohort, tmp_path / "run", config, resume=True)
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "run")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    terms = ("step", "overlap", "volume", "ball", "absence", "total")
    logs = [[[line[term] for term in terms] for line in lines(tmp_path / name, "train")] for name in ("whole", "run")]
    assert logs[0] == logs[1]
    assert (
        load_file(tmp_path / "whole/model/model.safetensors").keys()
        == load_file(tmp_path / "run/model/model.safetensors").keys()
    )


def test_resume_with_other_settings_is_refused(cohort: Cohort, config: TrainConfig, tmp_path: Path) -> None:
    train(cohort, tmp_path / "run", config)
    with pytest.raises(UsageError, match="steps=8"):
        train(cohort, tmp_path / "run", config.model_copy(update={"steps": 8}), resume=True)


def test_a_run_that_was_begun_before_a_setting_was_added_goes_on(
    cohort: Cohort, config: TrainConfig, tmp_path: Path
) -> None:
    train(cohort, tmp_path / "run", config)
    newest = sorted((tmp_path / "run" / "checkpoints").glob("*.safetensors"))[-1]
    with safe_open(newest, framework="pt") as file:
        facts = json.loads(file.metadata()["dictamen"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dictionary
    del facts["config"]["report_ramp_steps"], facts["config"]["losses"]["tag_maps"]
    save_file(tensors, newest, metadata={"dictamen": json.dumps(facts)})
    assert train(cohort, tmp_path / "run", config, resume=True).steps == config.steps


def test_a_full_folder_is_refused_and_overwrite_starts_anew(
    cohort: Cohort, config: TrainConfig, tmp_path: Path
) -> None:
    train(cohort, tmp_path / "run", config)
    with pytest.raises(UsageError, match="not empty"):
        train(cohort, tmp_path / "run", config)
    train(cohort, tmp_path / "run", config.model_copy(update={"steps": 2}), overwrite=True)
    assert [line["step"] for line in lines(tmp_path / "run", "train")] == [1, 2]


def test_resume_passes_over_a_damaged_checkpoint(cohort: Cohort, config: TrainConfig, tmp_path: Path) -> None:
    train(cohort, tmp_path / "run", config)
    before = weights(tmp_path / "run")
    newest = sorted((tmp_path / "run" / "checkpoints").glob("*.safetensors"))[-1]
    newest.write_bytes(newest.read_bytes()[:200])
    train(cohort, tmp_path / "run", config, resume=True)
    after = weights(tmp_path / "run")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_unknown_targets_organs_and_empty_plans_are_refused(
    cohort: Cohort, config: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no mask of an organ"):
        train(cohort, tmp_path / "a", config.model_copy(update={"organs": ("brain",)}))
    with pytest.raises(UsageError, match="lesion"):
        train(cohort, tmp_path / "b", config.model_copy(update={"targets": ("kidney",)}))
    assert not (tmp_path / "a").exists()


def test_a_target_that_nobody_speaks_of_is_warned_about(cohort: Cohort, config: TrainConfig) -> None:
    both = validated({**config.model_dump(), "targets": ("kidney_tumour", "spleen_tumour")})
    plan = make_plan(cohort, both)
    assert [words for words in plan.warnings if "spleen_tumour" in words] == [
        "no training study has a spleen_tumour, by its mask or by its report: nothing of it can be learned"
    ]
    assert not any("kidney_tumour" in words for words in plan.warnings)
    assert choose_dilation(cohort, plan, both).organ_mm > 0


def test_reports_alone_can_train(cohort: Cohort, config: TrainConfig, tmp_path: Path) -> None:
    result = train(cohort, tmp_path / "run", config.model_copy(update={"supervision": ("reports",)}))
    assert any("absence" in line for line in lines(tmp_path / "run", "train"))
    assert result.steps == 6
