"""What everything around the network costs: a model of two labels, from a volume to a label map and a table of lesions.

    python benchmarks/inference/export_share.py

The networks are the default preset and one four times as wide, with random weights; their logits are replaced by those
of a threshold on Hounsfield units, so that an organ and a lesion of usual sizes are found, and not noise. Seconds are
of the processor. Writes benchmarks/results/export_share.md.
"""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import torch
from torch import Tensor, nn

from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume
from dictamen.inference import study
from dictamen.models.card import Architecture, ModelCard, OutputLabel
from dictamen.models.presets import SegmentationOutput, build

RESULT = Path(__file__).parents[1] / "results" / "export_share.md"
SHAPE, SPACING_MM, MODEL_MM, WINDOW = (256, 256, 96), (0.75, 0.75, 2.5), (1.5, 1.5, 1.5), (96, 96, 96)
LIMIT = 0.10
ROUNDS = 5
WIDTHS = {"the default preset": (16, 32, 64, 128), "four times as wide": (64, 128, 256, 512)}
CARD = ModelCard(
    architecture=Architecture(preset="unet", out_channels=2),
    labels=(
        OutputLabel(name="kidney_tumour", kind="lesion", structure="kidney"),
        OutputLabel(name="kidney", kind="organ", structure="kidney"),
    ),
    spacing_mm=MODEL_MM,
    patch_size=WINDOW,
)


class Bright(nn.Module):
    """A network, paid for, and a threshold, looked at: lesions are above 90 HU, organs between 0 and 90."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.network = build("unet", in_channels=1, out_channels=2, channels=channels)

    def forward(self, image: Tensor) -> SegmentationOutput:
        self.network(image)
        return SegmentationOutput(torch.cat([image - 0.25, 0.225 - (image - 0.025).abs()], dim=1) * 40, None)


def scan() -> Volume:
    """Fat with noise, as no window of a scan is the same everywhere; a kidney of 60 mm, in it a lesion of 20 mm."""
    x, y, z = (np.arange(n) * step for n, step in zip(SHAPE, SPACING_MM, strict=True))
    millimetres = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1)
    values = np.random.default_rng(0).integers(-110, -90, SHAPE, dtype=np.int16)
    for centre, radius, units in (((60, 100, 120), 30, 40), ((70, 100, 120), 10, 140)):
        values[np.linalg.norm(millimetres - centre, axis=-1) <= radius] = units
    return Volume(values[None], np.diag([*SPACING_MM, 1.0]), "scan")


def measure(channels: tuple[int, ...], volume: Volume) -> tuple[float, float, float]:
    """Processor seconds of the network with its window, of what follows, and of writing."""
    torch.manual_seed(0)
    model = Bright(channels).eval()
    started = process_time()
    found = study.segment(model, CARD, volume, study.Settings(device="cpu", precision="32-true"))
    segmented = process_time() - started
    with tempfile.TemporaryDirectory() as folder:
        started = process_time()
        write_volume(found.labels, Path(folder) / "labels.nii.gz", label_names=study.label_values(CARD))
        written = process_time() - started
    return found.seconds_network, segmented - found.seconds_network, written


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    study.monotonic = process_time  # the machine may do other things meanwhile
    volume, lines = scan(), []
    for name, channels in WIDTHS.items():
        rounds = [measure(channels, volume) for _ in range(ROUNDS)]
        network, rest, written = (median(parts) for parts in zip(*rounds, strict=True))
        share = (rest + written) / network
        lines.append(f"| {name} | {network:.1f} s | {rest:.2f} s | {written:.2f} s | {share:.1%} | {LIMIT:.0%} |")
    text = [
        "# What everything around the network costs",
        "",
        f"{date.today()}, `python benchmarks/inference/export_share.py`: {'x'.join(map(str, SHAPE))} voxels of "
        f"{' x '.join(map(str, SPACING_MM))} mm, two labels, `unet` at {MODEL_MM[0]} mm in windows of {WINDOW[0]}; "
        f"one core, processor seconds, medians of {ROUNDS}.",
        "",
        "| network | it with its window | resampling, native labels, lesions | writing .nii.gz | the last two, of the "
        "first | limit |",
        "|---|---|---|---|---|---|",
        *lines,
    ]
    RESULT.write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
