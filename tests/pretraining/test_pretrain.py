"""Pretraining from cohort to encoder: files, resume, wrong use."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dictamen.cohort.store import Cohort
from dictamen.errors import InputError, UsageError
from dictamen.inference.sliding import predict_probabilities
from dictamen.models import presets
from dictamen.models.package import load_model
from dictamen.models.pretrained import load_pretrained, start_from
from dictamen.pretraining.config import PretrainConfig, resolve
from dictamen.pretraining.pairs import PairMaker
from dictamen.pretraining.pretrain import pretrain
from dictamen.training.config import to_toml, validated
from dictamen.training.train import train


class KilledError(Exception):
    """Stands for a process that ends in the middle."""


def kill(done: int, total: int, words: str) -> None:
    if done == 3:
        raise KilledError


def test_a_run_leaves_an_encoder_that_starts_a_segmenter_and_resumes_as_if_never_killed(
    pairs_cohort: Cohort, pretrain_config: PretrainConfig, tmp_path: Path
) -> None:
    result = pretrain(pairs_cohort, tmp_path / "whole", pretrain_config)
    assert result.tags == ("spleen",)
    assert {"recall_at_1", "tag_map", "pointing", "image_effective_rank"} <= set(result.metrics)
    saved = PretrainConfig.model_validate(tomllib.loads((tmp_path / "whole/config.toml").read_text(encoding="utf-8")))
    assert saved.model_dump(mode="json") == pretrain_config.model_dump(mode="json")
    written = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "whole").rglob("*.json*"))
    assert "splenectomy" not in written and '"s1"' not in written  # no text of a report, no study id
    page = (tmp_path / "whole/report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 4 and '"s1"' not in page and "splenectomy" not in page
    losses = [json.loads(line) for line in (tmp_path / "whole/metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in losses] == [1, 2, 3, 4, 4]

    with pytest.raises(KilledError):
        pretrain(pairs_cohort, tmp_path / "run", pretrain_config, progress=kill)
    pretrain(pairs_cohort, tmp_path / "run", pretrain_config, resume=True)
    whole, resumed = (load_file(tmp_path / name / "model" / "pretrained.safetensors") for name in ("whole", "run"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)

    network = presets.build("unet", in_channels=1, out_channels=2, **pretrain_config.network)
    decoder = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    pretrained = load_pretrained(tmp_path / "whole")
    carried = start_from(network, pretrained, preset="unet")
    changed = {name for name, value in network.backbone.state_dict().items() if not torch.equal(value, decoder[name])}
    assert 0 < len(changed) <= carried < len(decoder)
    output = network(torch.randn(1, 1, 16, 16, 16))
    assert output.logits.shape == (1, 2, 16, 16, 16)
    assert output.maps is not None and output.maps.shape == (1, 2, 8, 8, 8)
    with pytest.raises(UsageError, match="another network"):
        start_from(presets.build("unet", in_channels=1, out_channels=2), pretrained, preset="unet")


def test_training_starts_from_it_and_the_saved_model_keeps_its_maps(
    pairs_cohort: Cohort, pretrain_config: PretrainConfig, tmp_path: Path
) -> None:
    pretrain(pairs_cohort, tmp_path / "pretrained", pretrain_config.model_copy(update={"steps": 1}))
    settings = {
        "network": pretrain_config.network, "pretrained": str(tmp_path / "pretrained"), "supervision": ("masks",),
        "steps": 2, "patch_size": (16, 16, 16), "masks_per_batch": 2, "reports_per_batch": 0, "warm_up_steps": 1,
        "validate_every": 2, "validation_studies": 1, "checkpoint_every": 2, "log_every": 1, "accelerator": "cpu",
    }  # fmt: skip
    train(pairs_cohort, tmp_path / "run", validated(settings))
    lines = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [json.loads(line) for line in lines if '"train"' in line]
    assert [line["step"] for line in steps] == [1, 2]
    assert all(0 < line["tag_maps"] < 100 for line in steps)
    page = (tmp_path / "run/tag_maps.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 4 and "Validation study 1" in page
    network, card = load_model(tmp_path / "run")
    assert card.architecture.tags == ("spleen",)
    table = load_pretrained(tmp_path / "pretrained").tensors["tag_table"]
    torch.testing.assert_close(network.get_buffer("tag_maps.tags"), table)
    assert network(torch.zeros(1, 1, 16, 16, 16)).maps.shape == (1, 2, 8, 8, 8)


def test_an_encoder_of_slices_starts_networks_of_slices_and_of_volumes(
    pairs_cohort: Cohort, pretrain_config: PretrainConfig, tmp_path: Path
) -> None:
    flat = {**pretrain_config.network, "spatial_dims": 2}
    config = pretrain_config.model_copy(update={"steps": 1, "network": flat, "patch_size": (16, 16, 3)})
    result = pretrain(pairs_cohort, tmp_path / "flat", config)
    assert "pointing" in result.metrics
    pretrained = load_pretrained(tmp_path / "flat")
    deep = presets.build("unet", in_channels=1, out_channels=2, **pretrain_config.network)
    before = {name: value.clone() for name, value in deep.backbone.state_dict().items()}
    carried = start_from(deep, pretrained, preset="unet")
    changed = {name for name, value in deep.backbone.state_dict().items() if not torch.equal(value, before[name])}
    assert 0 < len(changed) <= carried
    assert deep(torch.randn(1, 1, 16, 16, 16)).maps.shape == (1, 2, 8, 8, 8)
    settings = {
        "network": flat, "pretrained": str(tmp_path / "flat"), "supervision": ("masks",), "steps": 1,
        "patch_size": (16, 16, 9), "masks_per_batch": 2, "reports_per_batch": 0, "warm_up_steps": 1,
        "validation_studies": 1, "accelerator": "cpu",
    }  # fmt: skip
    train(pairs_cohort, tmp_path / "run", validated(settings))
    network, _ = load_model(tmp_path / "run")
    assert network(torch.zeros(1, 1, 16, 16, 5)).maps.shape == (1, 2, 8, 8, 5)
    found = predict_probabilities(network, np.zeros((20, 18, 17), np.float32), patch_size=(16, 16, 9), device="cpu")
    assert found.shape[1:] == (20, 18, 17)
    with pytest.raises(UsageError, match="multiples of"):
        network(torch.zeros(1, 1, 15, 16, 5))


def test_batches_are_pure_functions_of_the_step_and_move(pairs_cohort: Cohort, pretrain_config: PretrainConfig) -> None:
    maker = PairMaker(pairs_cohort, pretrain_config)
    first, again = maker.batch(3), PairMaker(pairs_cohort, pretrain_config).batch(3)
    assert torch.equal(first.image, again.image) and first.texts == again.texts
    starts = {tuple(maker.start(pairs_cohort.study("s0"), np.random.default_rng(seed))) for seed in range(5)}
    assert len(starts) > 1
    assert maker.start(pairs_cohort.study("s0")) == [0, 0, 0]
    shrunk = PairMaker(pairs_cohort, pretrain_config.model_copy(update={"shrink": 2}))
    assert shrunk.view("s0").shape == (16, 16, 16)
    study = pretrain_config.window.apply(pairs_cohort.study("s0").level("image", 1))
    np.testing.assert_allclose(shrunk.view("s0")[4, 4, 4], study[:2, :2, :2].mean(), rtol=1e-5)


def test_two_processes_learn_what_one_learns_from_the_same_batches(
    pairs_cohort: Cohort, pretrain_config: PretrainConfig, tmp_path: Path
) -> None:
    config = pretrain_config.model_copy(update={"precision": "32-true", "soft_targets": True})
    pretrain(pairs_cohort, tmp_path / "one", config)
    settings = tmp_path / "config.toml"
    settings.write_text(to_toml(config.model_copy(update={"devices": 2})), encoding="utf-8")
    command = Path(sys.executable).with_name("dictamen")  # the second process is started with the same words
    done = subprocess.run(
        [command, "pretrain", pairs_cohort.path, "-o", tmp_path / "two", "--config", settings],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("steps in") == 1
    one, two = (load_pretrained(tmp_path / name).tensors for name in ("one", "two"))
    # a bias before a norm, and that of keys, changes nothing: its gradient is rounding, which AdamW makes steps of
    felt = [name for name in one if not name.endswith(("conv.bias", "in_proj_bias"))]
    assert len(felt) > 20
    for name in felt:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-5)
    logs = [(tmp_path / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines() for name in ("one", "two")]
    for line, other in zip(*logs, strict=True):
        for key, value in json.loads(line).items():
            assert json.loads(other)[key] == (value if key == "event" else pytest.approx(value, rel=1e-3, abs=1e-4))


def test_wrong_use_is_refused(pairs_cohort: Cohort, pretrain_config: PretrainConfig, tmp_path: Path) -> None:
    for changes, error, words in (
        ({"batch": 40}, InputError, "too few pairs"),
        ({"fewest": 9}, InputError, "teach no tag"),
        ({"tags": ("splen",)}, UsageError, "names something else"),
        ({"patch_size": (16, 16, 17)}, UsageError, "multiples of 2"),
    ):
        with pytest.raises(error, match=words):
            pretrain(pairs_cohort, tmp_path / "run", pretrain_config.model_copy(update=changes))
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="one of `contrastive`"):
        resolve(None, ["contrastive=0", "recognition=0"])
    for wrong in (["head=query", "dimension=10"], ["text.heads=3"], ["stepz=3"], ["devices=3"]):
        with pytest.raises(UsageError, match=r"multiple|stepz"):
            resolve(None, wrong)
    with pytest.raises(InputError, match="no pretrained encoder"):
        load_pretrained(tmp_path)


def test_the_settings_of_the_asymmetric_loss_reach_it(
    pairs_cohort: Cohort, pretrain_config: PretrainConfig, tmp_path: Path
) -> None:
    first = {}
    for name, change in {"published": {}, "cross-entropy": {"gamma_negative": 0.0, "clip": 0.0}}.items():
        config = pretrain_config.model_copy(update={"steps": 1, **change})
        pretrain(pairs_cohort, tmp_path / name, config)
        line = (tmp_path / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[0]
        first[name] = json.loads(line)["recognition"]
    assert first["cross-entropy"] > first["published"]  # the same batch; absent tags cost more without focus
