"""Several processes train as one does with the larger batch."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from lightning_fabric import Fabric, seed_everything
from test_batches import maker

from dictamen.cohort.store import Cohort
from dictamen.models.package import load_model
from dictamen.training.batches import BatchMaker
from dictamen.training.config import TrainConfig, to_toml, validated
from dictamen.training.loop import Trainer
from dictamen.training.plan import make_plan

SETTINGS = {"steps": 4, "masks_only_fraction": 0.25, "validation_studies": 0, "precision": "32-true"}


def shares(cohort: Cohort, config: TrainConfig, trainer: Trainer) -> list[BatchMaker]:
    return [BatchMaker(cohort, trainer.plan, trainer.supervisor, config, rank=rank, processes=2) for rank in range(2)]


def test_processes_share_the_patches_of_a_larger_batch(cohort: Cohort, config: TrainConfig) -> None:
    one = maker(cohort, config, masks_per_batch=1, reports_per_batch=3)
    two = maker(cohort, config, masks_per_batch=0.5, reports_per_batch=1.5)
    for step in range(6):
        together = one.batch(step)
        for rank in range(2):
            two.rank, two.processes = rank, 2
            share = two.batch(step)
            assert torch.equal(share.image, together.image[rank::2])
            assert torch.equal(share.state, together.state[rank::2])


def test_two_processes_follow_the_mean_of_their_gradients(cohort: Cohort, config: TrainConfig, tmp_path: Path) -> None:
    config = validated({**config.model_dump(), **SETTINGS})
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fabric.launch()
    seed_everything(config.seed, verbose=False)
    trainer = Trainer(fabric, cohort, make_plan(cohort, config), tmp_path / "one", config)
    makers = shares(cohort, config, trainer)
    for step in range(config.steps):
        trainer.optimizer.zero_grad(set_to_none=True)
        for made in makers:
            fabric.backward(trainer.losses(made.batch(step))["total"] / 2)
        trainer.update()
        trainer.state.step += 1

    settings = tmp_path / "config.toml"
    settings.write_text(to_toml(validated({**config.model_dump(), "devices": 2})), encoding="utf-8")
    command = Path(sys.executable).with_name("dictamen")  # the second process is started with the same words
    done = subprocess.run(
        [command, "train", cohort.path, "-o", tmp_path / "two", "--config", settings],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("steps in") == 1
    trained = load_model(tmp_path / "two")[0].state_dict()
    for name, value in trainer.ema.model.state_dict().items():
        torch.testing.assert_close(trained[name], value, rtol=1e-4, atol=1e-5)
