"""How much of a training the step waits for its batch, in the real loop: the share that metrics.jsonl tells.

usage: python benchmarks/training/loader_wait.py COHORT WORK_FOLDER [--patch 64] [--steps 60]

Half of the steps have masks alone, the others reports too. Writes benchmarks/results/loader_wait.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from datetime import UTC, datetime
from pathlib import Path

from dictamen.training.config import resolve
from dictamen.training.train import train

RESULT = Path(__file__).parent.parent / "results" / "loader_wait.md"
EVERY = 5
"""Steps of one line of metrics.jsonl."""


def main() -> None:
    """Train and read what the log says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    config = resolve(
        None,
        [
            f"patch_size={[arguments.patch] * 3}",
            f"steps={arguments.steps}",
            f"log_every={EVERY}",
            "max_mask_studies=6",
            "masks_only_fraction=0.5",
            f"validate_every={arguments.steps}",
            "validation_studies=0",
        ],
    )
    train(arguments.cohort, arguments.work, config, overwrite=True)
    lines = map(json.loads, (arguments.work / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    windows = [line for line in lines if line["event"] == "train"]
    rows = []
    for name, kept in (
        ("masks", lambda step: step <= config.first_report_step),
        ("masks and reports", lambda step: step > config.first_report_step),
    ):
        own = [line for line in windows if kept(line["step"])]
        shares = [line["waiting_share"] for line in own]
        whole = sum(line["waiting_share"] * line["seconds_per_step"] for line in own)
        whole /= sum(line["seconds_per_step"] for line in own)
        seconds = statistics.median(line["seconds_per_step"] for line in own)
        rows.append(f"| {name} | {seconds:.2f} | {statistics.median(shares):.3f} | {whole:.3f} | {shares[0]:.3f} |\n")
    text = (
        f"# Waiting for batches\n\n{datetime.now(UTC):%Y-%m-%d}, patches {config.patch_size}, batch 2, "
        f"{config.loader_threads} loader thread, {arguments.steps} steps; load {os.getloadavg()[0]:.0f} on "
        f"{os.cpu_count()} shared cores.\n\n| steps | seconds a step | share waited, median of {EVERY} steps | of all "
        f"| of the first {EVERY} |\n|---|---|---|---|---|\n"
        f"{''.join(rows)}\n"
        f"    python benchmarks/training/loader_wait.py COHORT WORK --patch {arguments.patch} "
        f"--steps {arguments.steps}\n"
    )
    RESULT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
