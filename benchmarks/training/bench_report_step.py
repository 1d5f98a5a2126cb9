"""Seconds of a report-supervised step against a masks-only step, interleaved in one process.

usage: python benchmarks/training/bench_report_step.py COHORT [--patch 64] [--steps 20]

Both steps have two patches, the same network and settings; the batches are made beforehand, as the loader threads do.
Writes benchmarks/results/report_step_PATCH.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import torch
from lightning_fabric import Fabric

from dictamen.cohort.store import Cohort
from dictamen.models import precision
from dictamen.training.batches import BatchMaker
from dictamen.training.config import resolve
from dictamen.training.loop import Trainer
from dictamen.training.plan import make_plan

RESULTS = Path(__file__).parent.parent / "results"


def main() -> None:
    """Time steps in turn and write the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    size = [arguments.patch] * 3
    config = resolve(None, [f"patch_size={size}", "max_mask_studies=6", "masks_only_fraction=0.5", "steps=10000"])
    cohort = Cohort.open(arguments.cohort)
    plan = make_plan(cohort, config)
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision.resolve(config.precision, "cpu"))
    fabric.launch()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(fabric, cohort, plan, Path(folder), config)
    maker = BatchMaker(cohort, plan, trainer.supervisor, config)
    kinds = {"masks": 0, "reports": config.first_report_step}
    batches = {kind: [maker.batch(first + step) for step in range(arguments.steps)] for kind, first in kinds.items()}
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for step in range(arguments.steps):
        for kind in kinds:
            began = time.perf_counter()
            trainer.step(batches[kind][step])
            seconds[kind].append(time.perf_counter() - began)
    median = {kind: statistics.median(times[2:]) for kind, times in seconds.items()}
    lesions = statistics.mean(len(batch.plan.lesion_order) if batch.plan else 0 for batch in batches["reports"])
    rows = "".join(f"| {kind} | {value:.3f} |\n" for kind, value in median.items())
    text = (
        f"# Step with reports against step with masks only\n\n{datetime.now(UTC):%Y-%m-%d}, "
        f"{torch.get_num_threads()} threads, patches {size}, batch 2, {arguments.steps} steps each, interleaved; "
        f"{lesions:.1f} reported lesions a batch.\n\n| step | median s |\n|---|---|\n{rows}"
        f"| ratio | {median['reports'] / median['masks']:.2f} |\n\n"
        f"    python benchmarks/training/bench_report_step.py COHORT --patch {arguments.patch}\n"
    )
    (RESULTS / f"report_step_{arguments.patch}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
