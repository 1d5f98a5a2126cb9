"""What is asked of a patch and what is known of it; texts that say nothing of a patch change nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from dictamen.cohort.store import Cohort
from dictamen.losses.prompts import ABSENT, PRESENT, UNKNOWN
from dictamen.prompting.batches import PromptBatchMaker
from dictamen.prompting.cases import Case, CaseMaker
from dictamen.prompting.config import PromptConfig, validated
from dictamen.prompting.loop import PromptTrainer
from dictamen.prompting.plan import PromptPlan, make_plan
from dictamen.supervision.ledger import Ledger
from dictamen.supervision.patch import NEGATIVE, POSITIVE

CUT_DRAWS = 12


def config(**values: object) -> PromptConfig:
    return validated({
        "preset": "unet_tiny", "patch_size": (16, 16, 16), "accelerator": "cpu",
        "query": {"width": 16, "heads": 2, "feedforward": 16}, "text": {"width": 16, "heads": 2}, "dimension": 16,
        **values,
    })  # fmt: skip


def cases(cohort: Cohort, settings: PromptConfig) -> tuple[PromptPlan, list[Case]]:
    plan = make_plan([cohort], settings)
    maker = CaseMaker(plan.sources[0], plan.labels, settings)
    draws = [np.random.default_rng(seed) for seed in range(CUT_DRAWS)]
    return plan, [maker.case(study, rng, Ledger()) for study in plan.sources[0].studies[:2] for rng in draws]


def test_presence_follows_the_voxels(phantoms: Cohort) -> None:
    _, made = cases(phantoms, config(cut_views=0.5, supervision=("prompts", "masks")))
    seen = set()
    for case in made:
        for state, presence in zip(case.patch.state, case.presence, strict=True):
            seen.add(presence)
            if presence == PRESENT:
                assert (state == POSITIVE).any()
            if presence == ABSENT:
                assert (state == NEGATIVE).any() and not (state == POSITIVE).any()
    assert {ABSENT, PRESENT} <= seen


def test_a_cut_view_is_air_of_which_nothing_is_known(phantoms: Cohort) -> None:
    settings = config(patch_size=(48, 48, 48), anywhere=1.0, supervision=("prompts", "masks"))
    (_, whole), (_, cut) = (cases(phantoms, settings.model_copy(update={"cut_views": c})) for c in (0.0, 1.0))
    ended = 0
    for case in cut:
        air = case.image == -1024
        assert not (case.patch.state[:, air.all(axis=(0, 1))[None, None].repeat(48, 0).repeat(48, 1)] != 2).any()
        ended += sum(presence == ABSENT for presence in case.presence)
    assert ended > sum(presence == ABSENT for case in whole for presence in case.presence)


def test_sentences_of_reports_are_asked_with_their_lesion_or_region(phantoms: Cohort) -> None:
    _, made = cases(phantoms, config(lesion_centred=1.0, anywhere=0.0))
    asked = [(case, place) for case in made for place, sentence in enumerate(case.sentences) if sentence]
    assert asked
    for case, place in asked:
        assert "#" in case.keys[place] and case.texts[place]
        told = (case.patch.state[place] == POSITIVE).any() or (case.patch.weight[place] > 0).any()
        assert told or case.presence[place] in (ABSENT, UNKNOWN)


@pytest.mark.parametrize("padding", [1, 5])
def test_padding_changes_neither_loss_nor_gradients(cubes: tuple[Path, Path], tmp_path: Path, padding: int) -> None:
    settings = config(prompt_losses={"hierarchy": 0.1, "exclusion": 0.1})
    plan = make_plan([Cohort.open(path) for path in cubes], settings)
    batch = PromptBatchMaker(plan, settings).batch(0)
    b, _, *grid = batch.state.shape
    padded = replace(
        batch,
        keys=(*batch.keys, *(f"padding {i}" for i in range(padding))),
        texts=(*batch.texts, *("aorta",) * padding),
        state=torch.cat([batch.state, torch.full((b, padding, *grid), 2, dtype=torch.uint8)], 1),
        presence=torch.cat([batch.presence, torch.full((b, padding), UNKNOWN, dtype=torch.uint8)], 1),
        sentences=torch.cat([batch.sentences, torch.zeros(b, padding, dtype=torch.uint8)], 1),
    )
    found = []
    for one in (batch, padded):
        torch.manual_seed(0)
        trainer = PromptTrainer(Fabric(accelerator="cpu", devices=1), plan, tmp_path, settings)
        terms = trainer.losses(one)
        terms["total"].backward()
        gradients = [p.grad for p in trainer.state.model.parameters() if p.grad is not None]
        found.append((terms, torch.cat([gradient.flatten() for gradient in gradients])))
    (terms, gradient), (others, other) = found
    assert all(torch.allclose(value, others[name], atol=1e-6) for name, value in terms.items())
    assert torch.allclose(gradient, other, atol=1e-5)
