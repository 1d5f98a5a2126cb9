"""Kill a training with SIGKILL at random steps, resume it each time, and compare with a run that was left alone.

usage: python benchmarks/training/kill_resume.py COHORT WORK_FOLDER [--kills 3] [--seed 0]

Writes benchmarks/results/kill_resume.md.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import torch
from safetensors.torch import load_file

RESULTS = Path(__file__).parent.parent / "results"
SETTINGS = [
    "steps=120",
    "checkpoint_every=10",
    "validate_every=60",
    "validation_studies=2",
    "patch_size=[32,32,32]",
    "log_every=1",
]


def command(cohort: Path, run: Path, *extra: str) -> list[str]:
    """`dictamen train` with the benchmark's settings."""
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return [sys.executable, "-m", "dictamen", "train", str(cohort), "-o", str(run), *settings, *extra]


def last_step(run: Path) -> int:
    """The last step that metrics.jsonl names."""
    path = run / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return max((json.loads(line)["step"] for line in lines if line.endswith("\n")), default=0)


def main() -> None:
    """Run both, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    whole, killed = arguments.work / "whole", arguments.work / "killed"
    subprocess.run(command(arguments.cohort, whole, "--overwrite"), check=True, capture_output=True)
    extra, steps = ["--overwrite"], []
    for target in sorted(chance.sample(range(15, 115), arguments.kills)):
        process = subprocess.Popen(
            command(arguments.cohort, killed, *extra), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while last_step(killed) < target and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        steps.append(last_step(killed))
        extra = ["--resume"]
    subprocess.run(command(arguments.cohort, killed, "--resume"), check=True, capture_output=True)
    a, b = (load_file(sorted((run / "checkpoints").glob("*.safetensors"))[-1]) for run in (whole, killed))
    different = [name for name in a if not torch.equal(a[name], b[name])]
    models = [load_file(run / "model" / "model.safetensors") for run in (whole, killed)]
    same = all(torch.equal(value, models[1][name]) for name, value in models[0].items())
    text = (
        f"# Kill and resume\n\n{datetime.now(UTC):%Y-%m-%d}, seed {arguments.seed}. "
        f"SIGKILL after steps {steps} of 120, a checkpoint every 10 steps, resumed each time.\n\n"
        f"- tensors of the last checkpoint that differ from the uninterrupted run: {len(different)} of {len(a)}\n"
        f"- saved model identical: {'yes' if same else 'no'}\n\n"
        f"    python benchmarks/training/kill_resume.py COHORT WORK --kills {arguments.kills} --seed {arguments.seed}\n"
    )
    (RESULTS / "kill_resume.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
