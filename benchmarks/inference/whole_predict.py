"""Peak memory and time of a whole `dictamen predict`: a scan of 512 x 512 x 600 voxels, 30 labels, all that is written.

    python benchmarks/inference/whole_predict.py [--labels 30]

The command runs in a process of its own, once with the scan and once with a small one of the same kind; the difference
of their peaks is what the scan takes beyond Python, the libraries and the model. The network looks at one voxel: each
label is a band of Hounsfield units, so that organs and lesions of usual sizes are found; it has as many features before
its head as real ones. Writes benchmarks/results/whole_predict.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume
from dictamen.models.card import Architecture, ModelCard, OutputLabel
from dictamen.models.package import save_model
from dictamen.models.presets import PRESETS, Preset, build

RESULT = Path(__file__).parents[1] / "results" / "whole_predict.md"
LARGE, SMALL = (512, 512, 600), (96, 96, 96)
SPACING_MM, WINDOW = (0.75, 0.75, 1.0), (96, 96, 96)
LIMIT_GB = 1.5
CASES = {
    "default preset's 16 features, 1.5 mm": (16, (1.5, 1.5, 1.5)),
    "16 features, the scan's own grid": (16, SPACING_MM),
    "32 features, the scan's own grid": (32, SPACING_MM),
}
"""Name -> features before the head, spacing of the model."""
ORGANS = (
    *("liver", "spleen", "pancreas", "stomach", "gallbladder", "duodenum", "colon", "urinary_bladder", "aorta"),
    *("kidney_left", "kidney_right", "adrenal_gland_left", "adrenal_gland_right", "heart", "oesophagus", "trachea"),
    *("prostate", "inferior_vena_cava", "portal_vein_and_splenic_vein", "brain", "sacrum", "sternum", "spinal_cord"),
    *("thyroid_gland", "small_bowel"),
)
TUMOURS = ("liver", "spleen", "pancreas", "stomach", "colon")
BANDS = len(ORGANS) + len(TUMOURS) + 2
"""Of Hounsfield units, one a label; the lowest and the highest are none's."""
STEEP = 12.0
"""Logit in the middle of a band; it is 0 at its borders."""


class Bands(nn.Module):
    """Features of a voxel: its intensity h, its square, and nothing more."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.more = out_channels - 2 * in_channels

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([image, image**2, image.new_zeros((1, self.more, *image.shape[2:]))], dim=1)


PRESETS["bands"] = Preset(
    backbone="whole_predict:Bands", features=16, divisor=1, why="this benchmark's", activated=True
)


def centre(value: int) -> float:
    """Normalised intensity of a label, from 1 on; 0 is fat."""
    return -1 + (2 * value + 1) / BANDS


def write_model(folder: Path, features: int, spacing_mm: tuple[float, float, float]) -> ModelCard:
    """A model whose head knows the bands: 1 - ((h - c) / w)^2 is linear in h and h^2."""
    organs = [OutputLabel(name=name, kind="organ", structure=name) for name in ORGANS]
    tumours = [OutputLabel(name=f"{name}_tumour", kind="lesion", structure=name) for name in TUMOURS]
    labels = (*organs, *tumours)
    network = build("bands", in_channels=1, out_channels=len(labels), features=features)
    with torch.no_grad():
        network.head.weight.zero_()
        for channel in range(len(labels)):
            c, w = centre(channel + 1), 1 / BANDS
            network.head.weight[channel, :2, 0, 0, 0] = STEEP / w**2 * torch.tensor([2 * c, -1.0])
            network.head.bias[channel] = STEEP * (1 - (c / w) ** 2)
    card = ModelCard(
        architecture=Architecture(preset="bands", out_channels=len(labels), overrides={"features": features}),
        labels=labels,
        spacing_mm=spacing_mm,
        patch_size=WINDOW,
    )
    save_model(folder, network, card)
    return card


def write_scan(path: Path, shape: Sequence[int], card: ModelCard) -> None:
    """A body of fat in air with 25 ellipsoids; in five of them a ball that is a lesion. Noise of 4 HU."""
    random = np.random.default_rng(0)
    x, y, z = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    values = np.full(tuple(shape), -1000, dtype=np.int16)
    body = (x[:, None] / 0.95) ** 2 + (y / 0.75) ** 2 < 1
    values[body] = -160
    places = [
        (a, b, c)
        for c in (-0.8, -0.4, 0, 0.4, 0.8)
        for a, b in ((-0.6, 0), (-0.2, 0.3), (-0.2, -0.3), (0.2, 0), (0.6, 0))
    ]
    window = card.intensity
    for value, (a, b, c) in enumerate(places, start=1):
        fill(values, (x - a, y - b, z - c), 0.18, hounsfield(window, value))
        if (name := ORGANS[value - 1]) in TUMOURS:
            fill(values, (x - a, y - b, z - c), 0.06, hounsfield(window, len(ORGANS) + 1 + TUMOURS.index(name)))
    for part in range(0, shape[2], 32):
        there = values[:, :, part : part + 32]
        there += np.clip(random.normal(0, 2, there.shape), -4, 4).astype(np.int16)
    write_volume(Volume(values[None], np.diag([*SPACING_MM, 1.0])), path)


def fill(values: Any, along: Sequence[Any], radius: float, hu: int) -> None:
    """Set a ball, in units of half the volume."""
    near = [np.flatnonzero(np.abs(axis) <= radius) for axis in along]
    part = tuple(slice(int(axis[0]), int(axis[-1]) + 1) for axis in near)
    x, y, z = (axis[inside] for axis, inside in zip(along, part, strict=True))
    values[part][x[:, None, None] ** 2 + y[:, None] ** 2 + z**2 <= radius**2] = hu


def hounsfield(window: Any, value: int) -> int:
    """The middle of a label's band."""
    return round(window.lo_hu + (centre(value) + 1) / 2 * (window.hi_hu - window.lo_hu))


def predict(model: Path, scans: Path, output: Path, options: Sequence[str]) -> tuple[float, float, dict[str, Any]]:
    """Peak in GB and seconds of the clock of a `dictamen predict`, and its line of studies.jsonl."""
    code = "import whole_predict; from dictamen.cli.main import main; main()"
    command = [sys.executable, "-c", code, "predict", str(model), str(scans), "-o", str(output), *options]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"predict ended with {status}")
    line = json.loads((output / "studies.jsonl").read_text(encoding="utf-8").splitlines()[0])
    return usage.ru_maxrss / 2**20, time.perf_counter() - started, line


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=tuple(CASES))
    parser.add_argument("--options", default="", help="of predict")
    arguments = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as place:
        folder = Path(place)
        for name in ("small", "large"):
            (folder / name).mkdir()
        for case in arguments.cases:
            features, spacing_mm = CASES[case]
            model = folder / case
            card = write_model(model, features, spacing_mm)
            for name, shape in (("small", SMALL), ("large", LARGE)):
                path = folder / name / "scan.nii.gz"
                if not path.exists():
                    write_scan(path, shape, card)
            options = ["--precision", "32-true", *arguments.options.split()]
            base, _, _ = predict(model, folder / "small", folder / f"{case} small", options)
            peak, seconds, line = predict(model, folder / "large", folder / f"{case} large", options)
            found = f"{sum(mm3 > 0 for mm3 in line['volumes_mm3'].values())}, {len(line['lesions'])}"
            lines.append(
                f"| {case} | {peak:.2f} | {base:.2f} | {peak - base:.2f} | {LIMIT_GB} | {seconds:.0f} | {found} |"
            )
            print(lines[-1], line["seconds"], flush=True)
    labels, logits_gb = len(ORGANS) + len(TUMOURS), 4 * (len(ORGANS) + len(TUMOURS)) * np.prod(LARGE) / 2**30
    text = [
        "# A whole `dictamen predict`\n",
        f"{date.today()}, `python benchmarks/inference/whole_predict.py`: one scan of {'x'.join(map(str, LARGE))} "
        f"voxels of {' x '.join(map(str, SPACING_MM))} mm (.3 GB of int16), {labels} labels, windows of {WINDOW[0]}: "
        "reading .nii.gz, resampling, a network that looks at one voxel, labels on the scan's own grid, lesions, "
        "writing. One core, float32.\n",
        f"Beyond the model: less the peak of the same command with a scan of {SMALL[0]} voxels a side. Logits alone "
        f"would be {logits_gb:.0f} GB on the scan's own grid.\n",
        "| features before the head, grid of the model | peak, GB | of a small scan | beyond the model | limit | s "
        "| labels, lesions found |",
        "|---|---|---|---|---|---|---|",
        *lines,
    ]
    RESULT.write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
