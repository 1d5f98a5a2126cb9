"""Time of a masks-only training step of each preset: 64^3, batch 2, bf16 channels_last_3d against fp32 contiguous.

    python benchmarks/models/bench_step.py            # writes benchmarks/results/model_steps.md
    python benchmarks/models/bench_step.py unet       # only these presets, no file

Dice + cross-entropy, AdamW, one warm-up step, the median of the others.
"""

import statistics
import sys
import time
from pathlib import Path

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from dictamen.errors import UsageError
from dictamen.models.presets import PRESETS, build

SIDE, BATCH, LABELS, STEPS = 64, 2, 2, 5
RESULT = Path(__file__).parents[1] / "results" / "model_steps.md"


def loss_of(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    probability = logits.float().sigmoid()
    dims = (0, 2, 3, 4)
    dice = (2 * (probability * target).sum(dims) + 1) / (probability.sum(dims) + target.sum(dims) + 1)
    return 1 - dice.mean() + binary_cross_entropy_with_logits(logits.float(), target)


def seconds_per_step(preset: str, *, fast: bool, **overrides: object) -> tuple[float, int]:
    """Median seconds of a step, and the number of parameters."""
    torch.manual_seed(0)
    layout = torch.channels_last_3d if fast else torch.contiguous_format
    network = build(preset, in_channels=1, out_channels=LABELS, auxiliary_head=True, **overrides).to(
        memory_format=layout
    )
    image = torch.randn(BATCH, 1, SIDE, SIDE, SIDE).contiguous(memory_format=layout)
    target = (torch.rand(BATCH, LABELS, SIDE, SIDE, SIDE) < 0.02).float()
    optimizer = torch.optim.AdamW(network.parameters())
    times = []
    for _ in range(STEPS + 1):
        begun = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast):
            output = network(image)
        optimizer.zero_grad(set_to_none=True)
        loss_of(output.logits, target).backward()
        optimizer.step()
        times.append(time.perf_counter() - begun)
    return statistics.median(times[1:]), sum(parameter.numel() for parameter in network.parameters())


def main(names: list[str]) -> None:
    rows = []
    for preset in names or [name for name in PRESETS if name != "custom"]:
        try:
            fast, parameters = seconds_per_step(preset, fast=True)
            plain, _ = seconds_per_step(preset, fast=False)
        except UsageError as error:
            print(f"{preset}: {error}")
            continue
        rows.append(f"| {preset} | {parameters / 1e6:.2f} | {fast:.3f} | {plain:.3f} | {plain / fast:.1f} |")
        print(rows[-1], flush=True)
    if names:
        return
    head = f"# Masks-only training step\n\n{SIDE}^3, batch {BATCH}, {LABELS} labels, both heads built, "
    head += f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}; seconds, median of {STEPS} steps.\n\n"
    head += (
        "| preset | parameters (M) | bf16 channels_last_3d | fp32 contiguous | times faster |\n|---|---|---|---|---|\n"
    )
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(
        head + "\n".join(rows) + "\n\nMade by `python benchmarks/models/bench_step.py`.\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
