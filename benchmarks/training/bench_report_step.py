"""CPU seconds of a report-supervised step against a masks-only step, interleaved in one process and one thread.

usage: OMP_NUM_THREADS=1 python benchmarks/training/bench_report_step.py COHORT [--patch 64] [--steps 20]

All steps have two patches, the same network and settings; the batches are made beforehand, as the loader threads do.
What other jobs of the machine take is not in CPU time. Writes benchmarks/results/report_step_PATCH.md.
"""

from __future__ import annotations

import argparse
import os
import resource
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
MASKS, REPORTS, NO_TEACHER = "masks", "masks and reports", "the same, lesions placed by the network itself"


def peak_mb() -> float:
    """The most memory that the process had so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Time steps in turn and write medians and means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = [f"patch_size={[arguments.patch] * 3}", "max_mask_studies=6", "masks_only_fraction=0.5", "steps=10000"]
    cohort = Cohort.open(arguments.cohort)
    config = resolve(None, settings)
    plan = make_plan(cohort, config)
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision.resolve(config.precision, "cpu", training=True))
    fabric.launch()
    trainers: dict[str, Trainer] = {}
    with tempfile.TemporaryDirectory() as folder:
        trainers[REPORTS] = Trainer(fabric, cohort, plan, Path(folder), config)
        alone = resolve(None, [*settings, "losses.teacher=false"])
        trainers[NO_TEACHER] = Trainer(fabric, cohort, plan, Path(folder), alone)
    trainers[MASKS] = trainers[REPORTS]
    maker = BatchMaker(cohort, plan, trainers[REPORTS].supervisor, config)
    first = {MASKS: 0, REPORTS: config.first_report_step}
    batches = {kind: [maker.batch(begin + step) for step in range(arguments.steps)] for kind, begin in first.items()}
    batches[NO_TEACHER] = batches[REPORTS]
    seconds: dict[str, list[float]] = {kind: [] for kind in (MASKS, REPORTS, NO_TEACHER)}
    peaks: dict[str, float] = {}
    for kind in seconds:
        for batch in batches[kind][:2]:  # not timed
            trainers[kind].step(batch)
        peaks[kind] = peak_mb()
    for step in range(2, arguments.steps):
        for kind, times in seconds.items():
            began = time.process_time()
            trainers[kind].step(batches[kind][step])
            times.append(time.process_time() - began)
    lesions = statistics.mean(len(batch.plan.lesion_order) if batch.plan else 0 for batch in batches[REPORTS])
    masks_median, masks_mean = statistics.median(seconds[MASKS]), statistics.mean(seconds[MASKS])
    rows = "".join(
        f"| {kind} | {statistics.median(times):.3f} | {statistics.median(times) / masks_median:.2f} "
        f"| {statistics.mean(times):.3f} | {statistics.mean(times) / masks_mean:.2f} | {peaks[kind]:.0f} |\n"
        for kind, times in seconds.items()
    )
    text = (
        f"# Step with reports against step with masks only\n\n{datetime.now(UTC):%Y-%m-%d}, CPU time of one thread, "
        f"patches {config.patch_size}, batch 2, {arguments.steps - 2} steps each, interleaved; {lesions:.1f} reported "
        f"lesions a batch; load {os.getloadavg()[0]:.0f} on {os.cpu_count()} shared cores.\n\n"
        "| step | median s | ratio | mean s | ratio | peak MB of the process so far |\n|---|---|---|---|---|---|\n"
        f"{rows}\n    OMP_NUM_THREADS=1 python benchmarks/training/bench_report_step.py COHORT "
        f"--patch {arguments.patch} --steps {arguments.steps}\n"
    )
    (RESULTS / f"report_step_{arguments.patch}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
