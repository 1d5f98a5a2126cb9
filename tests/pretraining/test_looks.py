"""Names and what their structures look like: pooling under masks, batches, learning, resuming."""

from pathlib import Path

import pytest
import torch
from torch import nn

from dictamen.anatomy import knowledge
from dictamen.cli.main import main
from dictamen.cohort.store import Cohort
from dictamen.errors import InputError
from dictamen.models.look_encoder import LookEncoder
from dictamen.models.text_encoder import TextSettings
from dictamen.pretraining.knowledge import pretrain_knowledge
from dictamen.pretraining.knowledge_config import KnowledgeConfig, LookSettings
from dictamen.pretraining.looks import LookMaker, look_loss

KNOWLEDGE = knowledge.load()
SMALL = KnowledgeConfig(
    text=TextSettings(width=32, layers=1, heads=2), dimension=32, steps=6, concepts=8, definitions=4, questions=6,
    checkpoint_every=3, log_every=2, look=LookSettings(preset="unet_tiny", features=8, patch_size=(16, 16, 16)),
)  # fmt: skip


def test_features_are_averaged_under_each_mask() -> None:
    encoder = LookEncoder(nn.Identity(), channels=1, dimension=1)
    with torch.no_grad():
        encoder.project.weight.fill_(1.0)
        encoder.project.bias.fill_(0.0)
    image = torch.arange(16.0).view(2, 1, 2, 2, 2)
    labels = torch.zeros(2, 2, 2, 2, dtype=torch.long)
    labels[0, 0, 0, 0] = labels[0, 1, 1, 1] = 3  # voxels 0 and 7
    labels[1, 0] = 3  # voxels 8 to 11
    found = encoder(image, labels, torch.tensor([[0, 3], [1, 3], [1, 5]]))
    assert found.flatten().tolist() == [3.5, 9.5, 0.0]


def test_the_loss_is_least_where_looks_and_names_agree() -> None:
    names = torch.eye(3)
    owners = ["liver", "spleen", "aorta"]
    right = look_loss(names[[2, 0, 2]], ["aorta", "liver", "aorta"], names, owners, 0.1)
    wrong = look_loss(names[[2, 0, 2]], ["spleen", "liver", "aorta"], names, owners, 0.1)
    assert right < 0.01 < wrong
    assert look_loss(torch.zeros(0, 3), [], names, owners, 0.1) == 0


def test_a_batch_is_a_function_of_the_step(pairs_cohort: Cohort) -> None:
    one, two = (LookMaker(pairs_cohort, KNOWLEDGE, SMALL).batch(3) for _ in range(2))
    assert torch.equal(one.image, two.image)
    assert one.concepts == two.concepts
    for (patch, value), concept in zip(one.structures.tolist(), one.concepts, strict=True):
        assert concept == "spleen" == pairs_cohort.info.organ_labels[value]
        assert (one.labels[patch] == value).sum() >= 8


def test_looks_are_learned_and_a_run_resumes(tmp_path: Path, pairs_cohort: Cohort) -> None:
    whole = pretrain_knowledge(tmp_path / "whole", SMALL, cohort=pairs_cohort.path)
    assert whole.metrics["looks"] == 1.0  # the only organ of the cohort
    without = pretrain_knowledge(tmp_path / "without", SMALL)
    assert "looks" not in without.metrics

    def stop(step: int, *_: object) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain_knowledge(tmp_path / "parts", SMALL, cohort=pairs_cohort.path, progress=stop)
    parts = pretrain_knowledge(tmp_path / "parts", SMALL, cohort=pairs_cohort.path, resume=True)
    assert parts.metrics == whole.metrics


def test_as_a_user_runs_it(tmp_path: Path, pairs_cohort: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    settings = [f"--set={key}" for key in ("steps=2", "look.preset=unet_tiny", "look.patch_size=[16,16,16]")]
    cohort = str(pairs_cohort.path)
    with pytest.raises(SystemExit) as end:
        main(["anatomy", "pretrain", "-o", str(tmp_path / "names"), "--cohort", cohort, *settings])
    assert end.value.code == 0
    assert "looks 1.000" in capsys.readouterr().out
    odd = ["--set=look.patch_size=[18,16,16]", "--set=look.preset=unet_tiny"]
    with pytest.raises(SystemExit) as end:
        main(["anatomy", "pretrain", "-o", str(tmp_path / "odd"), "--cohort", cohort, *odd])
    assert end.value.code == 2
    assert "multiples of 4" in capsys.readouterr().err


def test_a_cohort_without_organs(tmp_path: Path, pairs_cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cohort, "ids", lambda *_, **__: [])
    with pytest.raises(InputError, match="shows no structures"):
        LookMaker(pairs_cohort, KNOWLEDGE, SMALL)
