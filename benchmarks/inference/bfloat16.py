"""What bfloat16 saves and what it changes: time and memory of a window, and label maps of a trained model.

    python benchmarks/inference/bfloat16.py RUN COHORT [--split test] [--studies 20]

The window is the default preset's, in a process of its own for each precision; RUN is a trained run folder, whose
network sees studies of COHORT in both precisions. Writes benchmarks/results/bfloat16.md.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from time import process_time

RESULT = Path(__file__).parents[1] / "results" / "bfloat16.md"
WINDOWS, ROUNDS = (96, 128), 5
PRECISIONS = ("32-true", "bf16-mixed")


def in_a_process(function: Callable[[], list[float]]) -> list[float]:
    """What the function gives, called in a copy of this process."""
    reading, writing = os.pipe()
    number = os.fork()
    if not number:
        os.write(writing, json.dumps(function()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        found: list[float] = json.loads(pipe.read())
    os.waitpid(number, 0)
    return found


def window(side: int, precision: str) -> list[float]:
    """Processor seconds of one window of the default preset (median), and GB that it needs."""
    import torch

    from dictamen.inference.sliding import _Network
    from dictamen.models.presets import build

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = _Network(build("unet", in_channels=1, out_channels=3).eval(), torch.device("cpu"), precision)  # type: ignore[arg-type]
    image = torch.randn(1, 1, side, side, side)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before, taken = peak_gb(), []
    with torch.inference_mode():
        for _ in range(ROUNDS + 1):
            started = process_time()
            network.channels(image)
            taken.append(process_time() - started)
    return [median(taken[1:]), peak_gb() - before]


def peak_gb() -> float:
    """The most main memory that this process has had since its peak was last forgotten."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 2**20


def studies(run: Path, cohort: Path, split: str, count: int) -> list[str]:
    """Rows: a label, how well the label maps of both precisions overlap."""
    import numpy as np
    import torch

    from dictamen.cohort.store import Cohort
    from dictamen.imaging.volume import Volume
    from dictamen.inference.study import Settings, segment
    from dictamen.models.package import load_model

    torch.set_num_threads(1)
    model, card = load_model(run)
    opened = Cohort.open(cohort)
    dice: dict[str, list[float]] = {name: [] for name in card.names}
    volumes: dict[str, list[float]] = {name: [] for name in card.names}
    scores: dict[str, list[float]] = {name: [] for name in card.names}
    for study_id in opened.ids(split)[:count]:
        arrays = opened.study(study_id)
        image = Volume(arrays.level("image", 0)[None], arrays.native_affine, study_id)
        exact, rounded = (
            segment(model, card, image, Settings(device="cpu", precision=precision))  # type: ignore[arg-type]
            for precision in PRECISIONS
        )
        for value, name in enumerate(card.names, start=1):
            a, b = exact.canonical_labels == value, rounded.canonical_labels == value
            scores[name].append(abs(exact.scores[name] - rounded.scores[name]))
            if a.any() or b.any():
                dice[name].append(2 * float(np.count_nonzero(a & b)) / float(np.count_nonzero(a) + np.count_nonzero(b)))
                volumes[name].append(abs(float(np.count_nonzero(b)) / max(1, np.count_nonzero(a)) - 1))
    return [
        f"| {name} | {len(dice[name])} of {len(scores[name])} | {mean(dice[name]):.4f} | {min(dice[name]):.3f} "
        f"| {100 * mean(volumes[name]):.2f} % | {max(scores[name]):.3f} |"
        for name in card.names
        if dice[name]
    ]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--studies", type=int, default=20)
    arguments = parser.parse_args()
    import dictamen  # before torch, see its top
    import dictamen.inference.sliding
    import dictamen.models.presets  # noqa: F401

    lines = []
    for side in WINDOWS:
        exact, rounded = (in_a_process(lambda p=precision, s=side: window(s, p)) for precision in PRECISIONS)
        lines.append(
            f"| {side} | {exact[0]:.3f} | {rounded[0]:.3f} | {exact[0] / rounded[0]:.2f} | {exact[1]:.2f} "
            f"| {rounded[1]:.2f} |"
        )
    rows = studies(arguments.run, arguments.cohort, arguments.split, arguments.studies)
    text = [
        "# bfloat16\n",
        f"{date.today()}, `python benchmarks/inference/bfloat16.py RUN COHORT --split {arguments.split} --studies "
        f"{arguments.studies}`; torch {version('torch')}, one core of a CPU with AVX512-BF16, where `--precision auto` "
        "chooses bfloat16.\n",
        "## A window of the default preset\n",
        "| side, voxels | float32, s | bfloat16, s | times as fast | float32, GB | bfloat16, GB |",
        "|---|---|---|---|---|---|",
        *lines,
        "\n## Label maps of a trained model, bfloat16 against float32\n",
        "| label | studies that have it | mean Dice of the two | lowest | mean difference of the volume "
        "| largest difference of a score |",
        "|---|---|---|---|---|---|",
        *rows,
    ]
    RESULT.write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
