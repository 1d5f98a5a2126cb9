"""Two cohorts with disjoint labels in one run: do both prompts work on both? And against fixed classes.

Generated kidneys (see `kidneys.py`): cohort A drew the left and right kidneys only, cohort B the lesions only. Arms:
both in one run, asked in words; and the same backbone with one output a label, trained on the same batches. Dice on
held-out studies of either cohort, whose truth is known; and the area under the ROC curve of presence: in 40 % of all
studies, of training and test, one kidney was removed.

    python benchmarks/prompts/two_cohorts.py [--steps 200] [--seeds 3]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from kidneys import SPACING_MM, make, write

from dictamen.anatomy import asking
from dictamen.cohort.build import build_cohort
from dictamen.cohort.store import Cohort
from dictamen.inference.encoded import EncodedVolume
from dictamen.inference.sliding import predict_probabilities
from dictamen.losses.overlap import masked_dice_bce
from dictamen.models import presets
from dictamen.models.package import load_model
from dictamen.models.prompted import PromptedNetwork
from dictamen.prompting.batches import PromptBatchMaker
from dictamen.prompting.config import validated
from dictamen.prompting.plan import make_plan
from dictamen.prompting.train import train_prompts
from dictamen.prompting.validation import auc
from dictamen.training.schedule import learning_rate

PATCH = (36, 24, 28)
LABELS = ("kidney_lesion", "kidney_left", "kidney_right", "kidney")
TEST_STUDIES, TEST_SEED = 24, 2000
REMOVED = 0.4
"""Chance that one kidney was taken out, in training and test: what is always there is never known to be absent."""


def cohorts(folder: Path, seed: int) -> list[Path]:
    """A: organs drawn, no lesions. B: lesions drawn, no organs."""
    made = []
    for number, (name, drops) in enumerate((("a", "lesions"), ("b", "organs"))):
        table = write(folder / name, studies=14, masks=12, validation=2, seed=10 * seed + number, removed=REMOVED)
        head, *rows = table.read_text(encoding="utf-8").splitlines()
        at = head.split(",").index(drops)
        kept = [",".join("" if i == at else cell for i, cell in enumerate(row.split(","))) for row in rows]
        table.write_text("\n".join([head, *kept]) + "\n", encoding="utf-8")
        build_cohort(table, folder / f"cohort_{name}", spacing_mm=SPACING_MM)
        made.append(folder / f"cohort_{name}")
    return made


def fixed(paths: list[Path], config: object, labels: tuple[str, ...]) -> torch.nn.Module:
    """The same backbone with one output a label, on the same batches."""
    plan = make_plan([Cohort.open(path) for path in paths], config)
    maker = PromptBatchMaker(plan, config)
    torch.manual_seed(config.seed)
    network = presets.build("unet", in_channels=1, out_channels=len(labels), **config.architecture.arguments)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=config.weight_decay)
    for step in range(config.steps):
        batch = maker.batch(step)
        keys = [i for i, key in enumerate(batch.keys) if key in labels]
        logits = network(batch.image).logits[:, [labels.index(batch.keys[i]) for i in keys]]
        for group in optimizer.param_groups:
            group["lr"] = 5 * learning_rate(step, config)
        optimizer.zero_grad()
        masked_dice_bce(logits, batch.state[:, keys], batch_dice=True).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.gradient_clip)
        optimizer.step()
    return network.eval()


def measure(model: torch.nn.Module, labels: tuple[str, ...], window: object) -> dict[str, float]:
    rng = np.random.default_rng(TEST_SEED)
    dice: dict[str, list[float]] = {label: [] for label in labels}
    there: dict[bool, list[float]] = {True: [], False: []}
    painted_ml: list[float] = []
    for _ in range(TEST_STUDIES):
        image, organs, numbered, _ = make(rng, removed=REMOVED)
        truth = {"kidney_lesion": numbered > 0, "kidney_left": organs == 1, "kidney_right": organs == 2,
                 "kidney": organs > 0}  # fmt: skip
        maps, presence = answers(model, labels, window.apply(image))
        for label, found, present in zip(labels, maps, presence, strict=True):
            there[bool(truth[label].any())].append(present)
            painted = found >= 0.5
            if truth[label].any():
                both = 2 * (painted & truth[label]).sum()
                dice[label].append(float(both / max(1, painted.sum() + truth[label].sum())))
            else:
                painted_ml.append(float(painted.sum()) * SPACING_MM**3 / 1000)
    return {
        **{label: float(np.mean(rows)) for label, rows in dice.items()}, "auc": auc(there[True], there[False]),
        "absent, mean ml painted": float(np.mean(painted_ml)), "absent": float(len(painted_ml)),
    }  # fmt: skip


def answers(
    model: torch.nn.Module, labels: tuple[str, ...], scaled: np.ndarray
) -> tuple[list[np.ndarray], list[float]]:
    """Probabilities and presence of each label; without a presence score the highest probability."""
    if isinstance(model, PromptedNetwork):
        volume = EncodedVolume(model, scaled, patch_size=PATCH)
        told = list(volume.ask(model.embed([asking.texts(label)[0] for label in labels])))
        return [one.logits.sigmoid().detach().numpy() for one in told], [one.presence for one in told]
    maps = list(predict_probabilities(model, scaled, patch_size=PATCH).astype(np.float32))
    return maps, [float(one.max()) for one in maps]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--log", type=Path, default=Path(__file__).parents[1] / "results" / "prompts_two_cohorts.jsonl")
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = given.log.read_text().splitlines() if given.log.exists() else []
    done = {(row["arm"], row["seed"], row["steps"]) for row in map(json.loads, lines)}
    for seed in range(given.seeds):
        for arm in ("in words", "fixed classes"):
            if (arm, seed, given.steps) in done:
                continue
            with tempfile.TemporaryDirectory() as name:
                paths = cohorts(Path(name), seed)
                config = validated({
                    "preset": "test", "patch_size": PATCH, "steps": given.steps, "seed": seed, "anywhere": 0.0,
                    "validate_every": given.steps, "checkpoint_every": given.steps, "accelerator": "cpu",
                    "supervision": ["prompts", "masks"],
                })  # fmt: skip
                if arm == "in words":
                    train_prompts(paths, Path(name) / "run", config)
                    model, _ = load_model(Path(name) / "run")
                else:
                    model = fixed(paths, config, LABELS)
                row = {"arm": arm, "seed": seed, "steps": given.steps, **measure(model, LABELS, config.window)}
            with given.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)


if __name__ == "__main__":
    main()
