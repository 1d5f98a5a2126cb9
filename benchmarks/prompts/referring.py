"""Is the right lesion of several painted? Sentences of reports as prompts, on generated kidneys with 2 to 4 lesions.

Arms: how much of the sentences is taught by masks, with and without features of every scale, with and without the
contrast of the sentences of one study. Each arm and seed is written as soon as it is done.

    python benchmarks/prompts/referring.py [--steps 240] [--seeds 3]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from kidneys import SPACING_MM, make, write

from dictamen.anatomy import asking
from dictamen.cohort.build import build_cohort
from dictamen.inference.encoded import EncodedVolume
from dictamen.models.package import load_model
from dictamen.models.prompted import PromptedNetwork
from dictamen.prompting.config import validated
from dictamen.prompting.train import train_prompts

ARMS = {
    "masks of 24 studies": {"masks": 24},
    "no scales": {"masks": 24, "scales": False},
    "no contrast": {"masks": 24, "contrast": 0.0},
    "masks of 6, reports of 18": {"masks": 6},
    "masks of 6 alone": {"masks": 6, "studies": 6},
}
RESULTS = Path(__file__).parents[1] / "results" / "prompts_referring.md"
TEST_STUDIES, TEST_SEED = 24, 1000
PATCH = (36, 24, 28)


def measure(folder: Path) -> dict[str, float]:
    """On held-out studies: share of sentences whose lesion has the highest mean probability of all lesions, chance, and
    mean Dice at .5; the same for phrases that say one thing alone."""
    model, card = load_model(folder)
    assert isinstance(model, PromptedNetwork)
    rng = np.random.default_rng(TEST_SEED)
    right, chance, dice, larger = [], [], [], []
    for _ in range(TEST_STUDIES):
        image, _, numbered, lesions = make(rng)
        volume = EncodedVolume(model, card.intensity.apply(image), patch_size=PATCH)
        with torch.inference_mode():
            embedded = model.embed([asking.normal(one.sentence) for one in lesions])
        for answer in volume.ask(embedded):
            found = answer.logits.sigmoid().numpy()
            means = [found[numbered == n].mean() if (numbered == n).any() else 0 for n in range(1, len(lesions) + 1)]
            right.append(int(np.argmax(means)) == answer.index)
            chance.append(1 / len(lesions))
            truth, painted = numbered == answer.index + 1, found >= 0.5
            dice.append(2 * (truth & painted).sum() / max(1, truth.sum() + painted.sum()))
        sizes = [one.diameter_mm for one in lesions]
        if sorted(sizes)[-1] >= 1.2 * sorted(sizes)[-2]:
            with torch.inference_mode():
                text = "largest lesion in the kidney" if len(lesions) > 2 else "larger lesion in the kidney"
                found = next(volume.ask(model.embed([text]))).logits.numpy()
            means = [found[numbered == n].mean() for n in range(1, len(lesions) + 1)]
            larger.append(int(np.argmax(means)) == int(np.argmax(sizes)))
    return {
        "right lesion": float(np.mean(right)), "chance": float(np.mean(chance)), "dice": float(np.mean(dice)),
        "the largest": float(np.mean(larger)),
    }  # fmt: skip


def run(arm: dict[str, object], seed: int, steps: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        studies = int(arm.get("studies", 24)) + 4
        table = write(folder / "data", studies=studies, masks=int(arm["masks"]), validation=4, seed=seed)
        build_cohort(table, folder / "cohort", spacing_mm=SPACING_MM)
        config = validated({
            "preset": "test", "patch_size": PATCH, "steps": steps, "seed": seed, "validate_every": steps,
            "checkpoint_every": steps, "query": {"scales": arm.get("scales", True)}, "anywhere": 0.0,
            "prompt_losses": {"sentences": arm.get("contrast", 0.2)}, "accelerator": "cpu", "learning_rate": 2e-3,
        })  # fmt: skip
        started = time.process_time()
        train_prompts([folder / "cohort"], folder / "run", config)
        return {**measure(folder / "run"), "cpu_seconds": time.process_time() - started}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="*", default=list(ARMS))
    parser.add_argument("--log", type=Path, default=RESULTS.with_suffix(".jsonl"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = given.log.read_text().splitlines() if given.log.exists() else []
    done = {(row["arm"], row["seed"], row["steps"]): row for row in map(json.loads, lines)}
    for seed in range(given.seeds):
        for name in given.arms:
            if (name, seed, given.steps) not in done:
                row = {"arm": name, "seed": seed, "steps": given.steps, **run(ARMS[name], seed, given.steps)}
                done[name, seed, given.steps] = row
                with given.log.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(row, flush=True)


if __name__ == "__main__":
    main()
