"""Search of the best centres: ours against plain implementations, interleaved in one process.

    OMP_NUM_THREADS=1 python benchmarks/losses/bench_ball.py

Plain ones: a loop over lesions with one conv3d of the whole patch and one argmax each; the same on our crop of the
region; one complex FFT of the whole patch each. Times are CPU seconds of one thread (what other jobs of the machine
take is not in them). Writes benchmarks/results/ball_search.md. The argmax must be the same; where it is not, the table
says so.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from dictamen.losses.ball_plan import plan_balls
from dictamen.losses.ball_targets import best_centre, smoothing_kernel
from dictamen.losses.crops import crop

SEED = 0
CASES = ((64, 11, 1), (96, 31, 1), (128, 60, 1), (96, 31, 4))
"""Patch side, diameter in voxels, lesions (each of another study of the batch)."""
OURS_ROUNDS, PLAIN_ROUNDS = 25, 3
LONG_CASE = 31
"""Diameter from which a direct convolution takes long and is run once."""
SLAB_CASE, SLABS = 60, 16
"""Diameter from which a sixteenth of its output planes is computed, around our centre, and its time multiplied."""
RESULT = Path(__file__).parents[1] / "results" / "ball_search.md"
Centre = tuple[int, ...]


def direct(q: Tensor, kernel: Tensor) -> list[int]:
    """The definition: for each lesion one convolution and one argmax, read back."""
    return [int(convolved(q[i], kernel[i]).argmax()) for i in range(len(q))]


def convolved(q: Tensor, kernel: Tensor, *, pad_first: bool = True) -> Tensor:
    """One direct convolution, the first axis without padding where the caller padded it.

    oneDNN is asked for by name: with one thread `conv3d` takes another way, which is ten times slower.
    """
    x, y, z = (n // 2 for n in kernel.shape)
    padding, ones = [x if pad_first else 0, y, z], [1, 1, 1]
    return torch.ops.aten.mkldnn_convolution(q[None, None], kernel[None, None], None, padding, ones, ones, 1)[0, 0]


def direct_slab(q: Tensor, kernel: Tensor, first: int, planes: int) -> list[int]:
    """Of one lesion, the argmax over the output planes [first, first + planes): the work of so many of them."""
    reach = kernel.shape[1] // 2
    padded = functional.pad(q[0], (0, 0, 0, 0, reach, reach))[first : first + planes + 2 * reach]
    return [int(convolved(padded, kernel[0], pad_first=False).argmax()) + first * q.shape[2] * q.shape[3]]


def plain_fft(q: Tensor, kernel: Tensor) -> list[int]:
    """Full linear convolution by complex FFT, sizes as they come, one lesion after the other."""
    shape = [n + k - 1 for n, k in zip(q.shape[1:], kernel.shape[1:], strict=True)]
    cut = tuple(slice(k // 2, k // 2 + n) for n, k in zip(q.shape[1:], kernel.shape[1:], strict=True))
    return [
        int(torch.fft.ifftn(torch.fft.fftn(q[i], s=shape) * torch.fft.fftn(kernel[i], s=shape)).real[cut].argmax())
        for i in range(len(q))
    ]


def timed(runs: dict[str, Callable[[], list[Centre]]], rounds: dict[str, int]) -> tuple[dict[str, float], bool]:
    """Median seconds of each, interleaved, and whether all found the same centres."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    found = {name: run() for name, run in runs.items() if rounds[name] > 1}  # the first call is not timed
    for turn in range(max(rounds.values())):
        for name, run in runs.items():
            if turn < rounds[name]:
                start = time.process_time()
                found[name] = run()
                seconds[name].append(time.process_time() - start)
    first = next(iter(found.values()))
    medians = {name: statistics.median(values) if values else math.nan for name, values in seconds.items()}
    return medians, all(centres == first for centres in found.values())


def compare(size: int, diameter: int, lesions: int) -> str:
    """One row of the table: an organ (ellipsoid of .7 of the patch), noise with one lesion-like bump, a study each."""
    generator = torch.Generator().manual_seed(SEED)
    axis = torch.linspace(-1, 1, size)
    squared = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2
    region = (squared < 0.49).to(torch.uint8).expand(lesions, 1, -1, -1, -1).contiguous()
    noise = torch.randn(lesions, 1, size, size, size, generator=generator)
    logits = noise - 3 + 4 * torch.exp(-((squared - 0.1) ** 2) * 50)
    diameters, spacing = torch.full((lesions, 3), float(diameter)), torch.ones(lesions, 3)
    index = torch.tensor([[study, 0, 0] for study in range(lesions)])
    plan = plan_balls(region, index, diameters, spacing)
    whole = torch.where(region[:, 0] > 0, logits[:, 0].sigmoid(), 0)
    # the region is convex and the bump inside, so the maximum over the region is the maximum of all
    kernel = smoothing_kernel(diameters[:, 0] / 2, spacing, (diameter // 2,) * 3)
    scores = crop(logits, plan.rows, plan.start, plan.size)
    free = crop(region, plan.rows, plan.start, plan.size) > 0
    cropped = torch.where(free, scores.sigmoid(), 0)
    start, (n, m, o) = plan.start[0], plan.size

    def places(flat: list[int], extent: tuple[int, ...], shift: tuple[int, ...]) -> list[Centre]:
        unravelled = [(i // (extent[1] * extent[2]), i // extent[2] % extent[1], i % extent[2]) for i in flat]
        return [tuple(a + b for a, b in zip(place, shift, strict=True)) for place in unravelled]

    def ours() -> list[Centre]:
        centre, _ = best_centre(scores, free, diameters[:, 0], spacing, plan.rounds[0])
        return [tuple(a + b for a, b in zip(place, start, strict=True)) for place in centre.tolist()]

    few = 1 if diameter >= LONG_CASE else PLAIN_ROUNDS
    full, none = (size,) * 3, (0, 0, 0)
    in_slabs, planes = diameter >= SLAB_CASE, size // SLABS
    first = min(max(ours()[0][0] - planes // 2, 0), size - planes)
    seconds, same = timed(
        {
            "ours": ours,
            "direct": lambda: places(
                direct_slab(whole, kernel, first, planes) if in_slabs else direct(whole, kernel), full, none
            ),
            "crop": lambda: places(direct(cropped, kernel), (n, m, o), start),
            "fft": lambda: places(plain_fft(whole, kernel), full, none),
        },
        {"ours": OURS_ROUNDS, "direct": few, "crop": 0 if in_slabs else few, "fft": PLAIN_ROUNDS},
    )
    if in_slabs:
        seconds["direct"] *= SLABS
    times = [f"{1e3 * value:.1f}" for value in seconds.values()]
    ratios = [f"{seconds[other] / seconds['ours']:.0f}" for other in ("direct", "crop", "fft")]
    cells = [f"{size}^3", str(diameter), str(lesions), f"{n}x{m}x{o}", *times, *ratios, "yes" if same else "NO"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write and print the table."""
    lines = [
        "# Ball search: time of one smoothing and argmax",
        "",
        f"{date.today()}, seed {SEED}, CPU time, medians of {OURS_ROUNDS} (ours) and {PLAIN_ROUNDS} (plain; direct "
        f"ones of {LONG_CASE} voxels and more: 1) interleaved rounds, {torch.get_num_threads()} thread, "
        f"torch {torch.__version__}, "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} shared cores.",
        f"At {SLAB_CASE} voxels one in {SLABS} of the direct convolution's output planes was computed, around our "
        f"centre, and its time multiplied by {SLABS}.",
        "Command: `OMP_NUM_THREADS=1 python benchmarks/losses/bench_ball.py`.",
        "",
        "| patch | d, voxels | lesions | crop | ours ms | conv3d ms | conv3d on the crop ms | FFT ms "
        "| conv3d / ours | on the crop / ours | FFT / ours | same argmax |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case in CASES:
        lines.append(compare(*case))
        print(lines[-1], flush=True)
        RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
