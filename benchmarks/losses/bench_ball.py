"""Search of the best centre: ours against a direct convolution and a plain FFT one, interleaved in one process.

    OMP_NUM_THREADS=2 python benchmarks/losses/bench_ball.py

Writes benchmarks/results/ball_search.md. The argmax must be the same; where it is not, the table says so.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from dictamen.losses.ball_plan import plan_balls
from dictamen.losses.ball_targets import best_centre, smoothing_kernel

SEED = 0
ROUNDS = 3
RESULT = Path(__file__).parents[1] / "results" / "ball_search.md"


def direct(q: Tensor, kernel: Tensor) -> int:
    """The definition: one conv3d."""
    return int(functional.conv3d(q[None], kernel[None], padding=[n // 2 for n in kernel.shape[1:]]).argmax())


def plain_fft(q: Tensor, kernel: Tensor) -> int:
    """Full linear convolution by complex FFT, sizes as they come."""
    shape = [n + k - 1 for n, k in zip(q.shape[1:], kernel.shape[1:], strict=True)]
    full = torch.fft.ifftn(torch.fft.fftn(q[0], s=shape) * torch.fft.fftn(kernel[0], s=shape)).real
    half = [k // 2 for k in kernel.shape[1:]]
    x, y, z = (full.narrow(0, half[0], q.shape[1]), half[1], half[2])
    return int(x[:, y : y + q.shape[2], z : z + q.shape[3]].argmax())


def fastest(runs: dict[str, Callable[[], int]]) -> tuple[dict[str, float], dict[str, int]]:
    """Least seconds of each, interleaved, and what each found."""
    seconds, found = dict.fromkeys(runs, float("inf")), dict.fromkeys(runs, -1)
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            found[name] = run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds, found


def compare(size: int, diameter: int) -> str:
    """One row of the table: an organ (ellipsoid of .7 of the patch), noise with one lesion-like bump."""
    generator = torch.Generator().manual_seed(SEED)
    axis = torch.linspace(-1, 1, size)
    squared = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2
    region = (squared < 0.49).to(torch.uint8)[None, None]
    logits = torch.randn(1, 1, size, size, size, generator=generator) - 3 + 4 * torch.exp(-((squared - 0.1) ** 2) * 50)
    diameters, spacing = torch.full((1, 3), float(diameter)), torch.ones(1, 3)
    plan = plan_balls(region, torch.zeros(1, 3, dtype=torch.long), diameters, spacing)
    whole = torch.where(region[0] > 0, logits[0].sigmoid(), 0)
    # the region is convex and the bump inside, so the maximum over the region is the maximum of all
    kernel = smoothing_kernel(diameters[:, 0] / 2, spacing, (diameter // 2,) * 3)
    (start,), (n, m, o) = plan.start, plan.size
    box = (slice(None), *(slice(s, s + w) for s, w in zip(start, plan.size, strict=True)))

    def ours() -> int:
        centre, _ = best_centre(logits[0][box], region[0][box] > 0, diameters[:, 0], spacing, plan.rounds[0])
        x, y, z = (int(c) + s for c, s in zip(centre[0], start, strict=True))
        return (x * size + y) * size + z

    seconds, found = fastest(
        {"ours": ours, "plain": lambda: plain_fft(whole, kernel), "direct": lambda: direct(whole, kernel)}
    )
    ratios = [f"{seconds[other] / seconds['ours']:.1f}" for other in ("direct", "plain")]
    times = [f"{1e3 * seconds[name]:.1f}" for name in ("ours", "plain", "direct")]
    same = "yes" if len(set(found.values())) == 1 else f"no: {found}"
    return " | ".join([f"| {size}^3", str(diameter), f"{n}x{m}x{o}", *times, *ratios, same]) + " |"


def main() -> None:
    """Write and print the table."""
    lines = [
        "# Ball search: time of one smoothing and argmax",
        "",
        f"{date.today()}, seed {SEED}, least of {ROUNDS} interleaved rounds, {torch.get_num_threads()} threads,",
        f"torch {torch.__version__}; other jobs were running, so single times are upper bounds.",
        f"Command: `python benchmarks/losses/{Path(sys.argv[0]).name}`.",
        "",
        "| patch | d, voxels | crop | ours ms | plain FFT ms | conv3d ms | conv3d / ours | FFT / ours | same argmax |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for size in (64, 96):
        for diameter in (11, 21, 31):
            lines.append(compare(size, diameter))
            print(lines[-1], flush=True)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
