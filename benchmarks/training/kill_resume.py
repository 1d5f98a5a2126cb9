"""Kill a training with SIGKILL at random moments, resume it each time, compare with a run that was left alone.

usage: python benchmarks/training/kill_resume.py [WORK_FOLDER] [--kills 50] [--seed 0]      (or: make robustness)

Generates its own small cohort. A moment is an amount of the process's own processor time, drawn evenly, so that a busy
machine changes nothing; every other kill waits from there for the next checkpoint and strikes while it is being
written. Each training is a fork of one process that has everything imported: most kills hit steps,
checkpoints and restoring, not imports. After each kill every checkpoint in the folder is read as a whole. Writes a
row of benchmarks/results/kill_resume.md; four seeds are 200 kills.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import monai.networks.nets  # imported before the forks, as all below: a kill should not hit imports
import monai.transforms  # noqa: F401
import polars  # noqa: F401
import scipy.ndimage  # noqa: F401
import tensorstore  # noqa: F401
import torch
from safetensors.torch import load_file

from dictamen.cohort.build import build_cohort
from dictamen.phantom.generate import write_phantom
from dictamen.training.config import TrainConfig, validated
from dictamen.training.train import train

RESULT = Path(__file__).parents[1] / "results" / "kill_resume.md"
LONGEST_S = 1.0
"""Processor seconds after which a process is killed at the latest: start, some steps, a few checkpoints."""
HEAD = (
    "# Kill and resume",
    "",
    "`python benchmarks/training/kill_resume.py --seed SEED`, a row a seed: a training left alone, and one killed",
    "by SIGKILL again and again, after some processor time that is drawn evenly up to a longest one, every other time "
    "while the next checkpoint was being written, and resumed each time; a checkpoint every other step.",
    "",
    "| seed | longest, s | kills | while a checkpoint was written | after which the newest checkpoint was newer | "
    "checkpoints read after kills | unreadable | tensors of the last checkpoint (weights, averaged weights, optimiser, "
    "generator) that differ | model.safetensors | metrics.jsonl (losses, learning rates, validation) | |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
)
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Outcome:
    """What the kills did.

    Attributes:
        steps: of the newest checkpoint after each kill.
        read: checkpoints read after kills.
        unreadable: those of them that could not be.
        saving: kills that left a half-written file beside the checkpoints.
        before: kills before the first step of that process.
        different: tensors of the last checkpoint that differ from those of the run left alone.
        tensors: tensors of the last checkpoint.
        same_model, same_metrics: whether model.safetensors and metrics.jsonl (see `measured`) are the same.
    """

    steps: list[int] = field(default_factory=list)
    read: int = 0
    unreadable: int = 0
    saving: int = 0
    different: int = 0
    tensors: int = 0
    same_model: bool = False
    same_metrics: bool = False


def settings(steps: int) -> TrainConfig:
    """A network of a few weights; a checkpoint every other step."""
    return validated(
        {
            "network": {"channels": (4, 8), "strides": (2,), "num_res_units": 1},
            "targets": ("kidney_tumour",),
            "steps": steps,
            "patch_size": (16, 16, 16),
            "validate_every": steps // 2,
            "checkpoint_every": 2,
            "log_every": 1,
            "masks_only_fraction": 0.34,
            "warm_up_steps": 1,
            "accelerator": "cpu",
        }
    )


def make_cohort(folder: Path) -> Path:
    """Twelve coarse phantoms; made in a process of its own, since threads that were started don't survive a fork."""

    def make() -> None:
        options = {"masks": 3, "validation": 2, "test": 2, "spacing_mm": 8.0, "seed": 3}
        write_phantom(folder / "data", studies=12, tasks=("kidney",), **options)
        build_cohort(folder / "data" / "studies.csv", folder / "cohort", spacing_mm=8.0)

    if os.waitpid(forked(make), 0)[1]:
        raise RuntimeError("the cohort could not be built")
    return folder / "cohort"


def forked(work: Callable[[], object]) -> int:
    """Start a copy of this process that does `work`; its number."""
    number = os.fork()
    if number:
        return number
    try:
        os.setpgrp()
        work()
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)


def processor_seconds(number: int) -> float:
    """What a process has used."""
    words = Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICK


def killed_after(seconds: float, work: Callable[[], object], saving_in: Path | None = None) -> bool:
    """Do `work` in a copy of this process and kill it; False where it had ended before.

    Args:
        saving_in: wait, from then on, until a half-written checkpoint lies in this folder.
    """
    number = forked(work)
    while True:
        ended, status = os.waitpid(number, os.WNOHANG)
        if ended:
            if status:
                raise RuntimeError("the training failed")
            return False
        late = processor_seconds(number) >= seconds
        if late and (saving_in is None or half_written(saving_in)):
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)
            return True
        time.sleep(0 if late else 0.002)


def kill_and_resume(
    cohort: Path, work: Path, *, kills: int, steps: int, seed: int, longest_s: float = LONGEST_S
) -> Outcome:
    """Train once undisturbed and once with kills, and compare."""
    config, chance, outcome = settings(steps), random.Random(seed), Outcome()
    whole, killed = work / "whole", work / "killed"
    if os.waitpid(forked(lambda: train(cohort, whole, config, overwrite=True)), 0)[1]:
        raise RuntimeError("the training failed")

    def resumed() -> object:
        return train(cohort, killed, config, resume=True)

    checkpoints = killed / "checkpoints"
    while len(outcome.steps) < kills:
        saving_in = checkpoints if len(outcome.steps) % 2 else None
        if not killed_after(chance.uniform(0, longest_s), resumed, saving_in):
            break  # it came to its end; the table says how many kills there were
        check(checkpoints, outcome)
    os.waitpid(forked(resumed), 0)
    a, b = (load_file(sorted((run / "checkpoints").glob("*.safetensors"))[-1]) for run in (whole, killed))
    outcome.tensors = len(a)
    outcome.different = len(a.keys() ^ b.keys()) + sum(
        not torch.equal(a[name], b[name]) for name in a.keys() & b.keys()
    )
    models = [(run / "model" / "model.safetensors").read_bytes() for run in (whole, killed)]
    outcome.same_model, outcome.same_metrics = models[0] == models[1], measured(whole) == measured(killed)
    return outcome


def measured(run: Path) -> list[str]:
    """Lines of metrics.jsonl but those that count what a process has used since it began or last validated."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if json.loads(line)["event"] != "supervision"]


def half_written(folder: Path) -> list[Path]:
    """What a checkpoint is before it has its name."""
    return list(folder.glob(".partial-*")) if folder.is_dir() else []


def check(folder: Path, outcome: Outcome) -> None:
    """Read every checkpoint that a kill left behind."""
    step = 0
    for path in sorted(folder.glob("step_*.safetensors")):
        outcome.read += 1
        try:
            load_file(path)
            step = int(path.stem.removeprefix("step_"))
        except Exception as error:  # whatever it is: it is counted
            print(path, error)
            outcome.unreadable += 1
    outcome.steps.append(step)
    half = half_written(folder)
    outcome.saving += bool(half)
    for path in half:
        path.unlink()


def main() -> None:
    """Run, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--longest", type=float, default=LONGEST_S, help="seconds of processor time before a kill")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        work = arguments.work or Path(place)
        cohort = make_cohort(work)
        found = kill_and_resume(
            cohort,
            work,
            kills=arguments.kills,
            steps=arguments.steps,
            seed=arguments.seed,
            longest_s=arguments.longest,
        )
    moved = sum(b > a for a, b in zip([0, *found.steps], found.steps, strict=False))
    cells = [
        *(arguments.seed, arguments.longest, len(found.steps), found.saving, moved, found.read, found.unreadable),
        f"{found.different} of {found.tensors}",
        "identical" if found.same_model else "**differs**",
        "identical" if found.same_metrics else "**differs**",
        f"{datetime.now(UTC):%Y-%m-%d}",
    ]
    rows = RESULT.read_text(encoding="utf-8").splitlines()[len(HEAD) :] if RESULT.is_file() else []
    rows = [row for row in rows if row.startswith("| ") and not row.startswith(f"| {arguments.seed} |")]
    rows.append(f"| {' | '.join(map(str, cells))} |")
    RESULT.write_text("\n".join([*HEAD, *sorted(rows)]) + "\n", encoding="utf-8")
    print(rows[-1])


if __name__ == "__main__":
    main()
