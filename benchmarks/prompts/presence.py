"""Does a prompted network know what is not there? Presence on generated studies, over seeds.

Cohort: `dictamen phantom` with 30 % of studies where a gallbladder, a spleen or a kidney was removed, at 6 mm. Test: 20
studies as they are (organs removed, lesions absent), and each cut to its upper and to its lower half (structures
outside the view). A label is present where its mask has a voxel. Arms: with and without training views that end before
a structure (`cut_views`). Beside the presence score: the highest probability of any voxel, as a network without such a
score would tell it. Windows of 32^3: a study is several of them.

    python benchmarks/prompts/presence.py [--steps 400] [--seeds 3]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from dictamen.anatomy import asking
from dictamen.cohort.build import build_cohort
from dictamen.cohort.store import Cohort
from dictamen.inference.encoded import EncodedVolume
from dictamen.models.package import load_model
from dictamen.models.prompted import PromptedNetwork
from dictamen.phantom.generate import write_phantom
from dictamen.prompting.config import validated
from dictamen.prompting.train import train_prompts
from dictamen.prompting.validation import auc
from dictamen.supervision.prompt_states import PromptStates, is_lesion

SPACING_MM = 6.0
PATCH = (32, 32, 32)
LABELS = ("liver_tumour", "kidney_tumour", "kidney_left", "kidney_right", "spleen", "gallbladder", "liver", "stomach",
          "pancreas", "heart", "hip_left", "vertebrae_T9")  # fmt: skip
ARMS = {"cut views": {}, "no cut views": {"cut_views": 0.0}}
LOG = Path(__file__).parents[1] / "results" / "prompts_presence.jsonl"


def measure(folder: Path, cohort: Cohort) -> dict[str, float | None]:
    """AUC of presence, by kind of absence; and how much of what is absent is painted."""
    model, card = load_model(folder)
    assert isinstance(model, PromptedNetwork)
    states = PromptStates(LABELS, cohort.info.organ_labels, cohort.info.lesion_labels)
    with torch.inference_mode():
        embedded = model.embed([asking.texts(label)[0] for label in LABELS])
    found: dict[str, dict[bool, list[float]]] = {}
    painted, volumes = [], []
    for study_id in cohort.ids("test"):
        study = cohort.study(study_id)
        image, organs, lesions = (study.level(kind, 1) for kind in ("image", "organs", "lesions"))
        middle = image.shape[2] // 2
        for view, cut in (("whole", slice(None)), ("half", slice(middle)), ("half", slice(middle, None))):
            state = states.states(
                organs[..., cut], lesions[..., cut], study.organ_names_annotated, study.lesion_names_annotated
            )
            volume = EncodedVolume(model, card.intensity.apply(image[..., cut]), patch_size=PATCH)
            for answer in volume.ask(embedded):
                there = bool((state[answer.index] == 1).any())
                kind = "lesion" if is_lesion(LABELS[answer.index]) else "structure"
                highest = float(answer.logits.sigmoid().max())
                for name, score in (("presence", answer.presence), ("highest voxel", highest)):
                    key = f"{name}, {kind}, {view} study"
                    found.setdefault(key, {True: [], False: []})[there].append(score)
                if not there and kind == "structure":
                    volumes.append(float((answer.logits > 0).sum()) * SPACING_MM**3 / 1000)
                    painted.append(volumes[-1] > 1)
    return {
        **{key: auc(scores[True], scores[False]) for key, scores in found.items()},
        "absent structures painted (> 1 ml)": float(np.mean(painted)), "absent, median ml": float(np.median(volumes)),
        "absent, 90 % ml": float(np.quantile(volumes, 0.9)), "absent asked": float(len(volumes)),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="*", default=list(ARMS))
    parser.add_argument("--log", type=Path, default=LOG)
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = given.log.read_text().splitlines() if given.log.exists() else []
    done = {(row["arm"], row["seed"], row["steps"]) for row in map(json.loads, lines)}
    for seed in range(given.seeds):
        for arm in given.arms:
            if (arm, seed, given.steps) in done:
                continue
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                write_phantom(
                    folder / "data", studies=56, masks=16, validation=4, test=20, spacing_mm=SPACING_MM, seed=seed,
                    removed=0.3, all_masks=True, tasks=("kidney", "liver"),
                )  # fmt: skip
                build_cohort(folder / "data" / "studies.csv", folder / "cohort", spacing_mm=SPACING_MM)
                config = validated({
                    "preset": "test", "patch_size": PATCH, "steps": given.steps, "seed": seed, "labels": LABELS,
                    "validate_every": given.steps, "checkpoint_every": given.steps, "accelerator": "cpu",
                    "supervision": ["prompts", "masks"], **ARMS[arm],
                })  # fmt: skip
                train_prompts([folder / "cohort"], folder / "run", config)
                row = {"arm": arm, "seed": seed, "steps": given.steps}
                row |= measure(folder / "run", Cohort.open(folder / "cohort"))
            with given.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)


if __name__ == "__main__":
    main()
