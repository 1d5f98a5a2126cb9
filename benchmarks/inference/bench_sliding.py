"""The sliding window against those of MONAI and nnU-Net, in one run: time, memory, exactness.

    python -m venv peers && peers/bin/pip install -e . nnunetv2
    peers/bin/python benchmarks/inference/bench_sliding.py [--rounds 3] [--large]

Each measurement is a process of its own, a fork; methods take turns. All get the same normalised volume, window
(overlap one half, Gaussian weights) and network, whose logits they blend and turn into a label map. The network looks
at one voxel, so that the logits are known everywhere and that the code of the window is measured more than the network;
the default preset is measured, too. `--large`: 512 x 512 x 600 voxels and 30 labels, ours alone (the others need 9 GB
and more).
Writes benchmarks/results/sliding_window.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from datetime import date
from math import prod
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from types import SimpleNamespace
from typing import Any

RESULT = Path(__file__).parents[1] / "results" / "sliding_window.md"
METHODS = ("dictamen", "MONAI", "nnU-Net")
AS_INSTALLED = "dictamen, as it sets up torch"
"""With large pages (see dictamen/__init__.py). The other rows are without, so that windows are compared."""
LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"
LABELS = (3, 25)
NETWORKS = {"one voxel": 4, "unet": 8}
"""Name -> channels before the head."""
SHAPE, WINDOW = (192, 192, 224), (96, 96, 96)
LARGE_SHAPE, LARGE_LABELS = (512, 512, 600), 30
LIMIT_GB = 1.5


def network(name: str, labels: int) -> Any:
    """One of the networks with random weights."""
    import torch
    from torch import nn

    from dictamen.models.presets import SegmentationNetwork, build

    torch.manual_seed(0)
    if name == "unet":
        return build("unet", in_channels=1, out_channels=labels).eval()
    features = NETWORKS[name]
    made = SegmentationNetwork(nn.Conv3d(1, features, 1), features=features, out_channels=labels, auxiliary_head=False)
    made.activate = nn.Sequential()
    return made.eval()


def volume(shape: Sequence[int]) -> Any:
    """Noise in [-1, 1], float32: nowhere air."""
    import numpy as np

    return np.random.default_rng(0).random(tuple(shape), dtype=np.float32) * 2 - 1


def with_dictamen(model: Any, image: Any, labels: Any, logits: Any) -> None:
    """Fill the label map, and the logits where there are some to fill."""
    from dictamen.inference.sliding import slide

    for tile in slide(model, image, patch_size=WINDOW, precision="32-true"):
        labels[tile.place] = label_map(tile.logits)
        if logits is not None:
            logits[(slice(None), *tile.place)] = tile.logits.numpy()


def with_monai(model: Any, image: Any, labels: Any, logits: Any) -> None:
    """`sliding_window_inference`."""
    import torch
    from monai.inferers import sliding_window_inference

    with torch.inference_mode():
        found = sliding_window_inference(
            torch.from_numpy(image)[None, None],
            WINDOW,
            1,
            lambda window: model(window).logits,
            overlap=0.5,
            mode="gaussian",
            sigma_scale=0.125,
        )[0]
    labels[:] = label_map(found)
    if logits is not None:
        logits[:] = found.numpy()


def with_nnunet(model: Any, image: Any, labels: Any, logits: Any) -> None:
    """`nnUNetPredictor.predict_logits_from_preprocessed_data`."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from torch import nn

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, window: Any) -> Any:
            return self.model(window).logits

    predictor = nnUNetPredictor(
        use_mirroring=False,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    network = Logits()
    heads = SimpleNamespace(num_segmentation_heads=model.head.out_channels)
    plans = SimpleNamespace(get_label_manager=lambda _: heads)
    predictor.manual_initialization(
        network, plans, SimpleNamespace(patch_size=WINDOW), [network.state_dict()], {}, "", None
    )
    found = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(image)[None])
    labels[:] = label_map(found)
    if logits is not None:
        logits[:] = found.numpy()


def label_map(logits: Any) -> Any:
    """The label with the largest logit, 0 where none is positive, uint8; the same code for all methods."""
    import numpy as np
    import torch

    order = torch.arange(len(logits), 0, -1, dtype=torch.uint8)[:, None, None, None]
    found = np.zeros(logits.shape[1:], np.uint8)
    for first in range(0, len(found), 16):  # in a processor's cache: torch's max with indices takes twice the time
        part = logits[:, first : first + 16]
        highest = part.amax(dim=0)
        label = len(logits) + 1 - ((part == highest) * order).amax(dim=0)
        found[first : first + 16] = label.masked_fill_(highest <= 0, 0).numpy()
    return found


RUN = {"dictamen": with_dictamen, "MONAI": with_monai, "nnU-Net": with_nnunet}


def measure(method: str, name: str, labels: int, shape: Sequence[int], *, exact: bool = False) -> dict[str, float]:
    """One prediction in this process: seconds of the clock and of the processor, GB beyond model and volume."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    model, image = network(name, labels), volume(shape)
    small = np.ascontiguousarray(image[:96, :96, :96])
    RUN[method](model, small, np.zeros(small.shape, np.uint8), None)  # imports and warm-up
    found = np.zeros(shape, np.uint8)
    logits = np.zeros((labels, *shape), np.float32) if exact else None
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forget the peak of making the volume
    before, started, used = peak_kb(), perf_counter(), process_time()
    RUN[method](model, image, found, logits)
    result = {"clock": perf_counter() - started, "processor": process_time() - used}
    result["gb"] = (peak_kb() - before) / 2**20
    result["network"] = network_alone(model, small, shape)
    if logits is not None:
        with torch.inference_mode():
            worst = 0.0
            for part in range(0, shape[0], 16):
                truth = model(torch.from_numpy(image[None, None, part : part + 16])).logits[0].numpy()
                worst = max(worst, float(np.abs(logits[:, part : part + 16] - truth).max()))
        result["error"] = worst
    return result


def peak_kb() -> int:
    """The most main memory that this process has had since its peak was last forgotten."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


def network_alone(model: Any, window: Any, shape: Sequence[int]) -> float:
    """Processor seconds of the network in as many windows as the volume has, with nothing around it."""
    import torch

    from dictamen.inference.windows import Axis

    count = prod(len(Axis.of(size, side, 0.5).starts) for size, side in zip(shape, WINDOW, strict=True))
    given, few = torch.from_numpy(window)[None, None], 6
    with torch.inference_mode():
        started = process_time()
        for _ in range(few):
            model(given)
        return (process_time() - started) / few * count


def in_a_process(method: str, name: str, labels: int, *, exact: bool = False, large: bool = False) -> dict[str, float]:
    """`measure` in a copy of this process, which has everything imported and no memory of earlier ones."""
    reading, writing = os.pipe()
    number = os.fork()
    if not number:
        try:
            found = measure(method, name, labels, LARGE_SHAPE if large else SHAPE, exact=exact)
            os.write(writing, json.dumps(found).encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    if os.waitpid(number, 0)[1]:
        raise RuntimeError(f"{method} failed")
    result: dict[str, float] = json.loads(told)
    return result


def as_installed(name: str, labels: int) -> dict[str, float]:
    """`measure` of ours in a new process that imports dictamen before torch."""
    call = f"bench_sliding.measure('dictamen', {name!r}, {labels}, bench_sliding.SHAPE)"
    code = f"import json, dictamen, bench_sliding; print(json.dumps({call}))"
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    del environment[LARGE_PAGES]
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def rows(rounds: int, networks: Sequence[str]) -> list[str]:
    """The table's lines; methods take turns in each round."""
    lines = []
    for name in networks:
        for labels in LABELS:
            taken: dict[str, list[dict[str, float]]] = {method: [] for method in (*METHODS, AS_INSTALLED)}
            for _ in range(rounds):
                for method in METHODS:
                    taken[method].append(in_a_process(method, name, labels))
                taken[AS_INSTALLED].append(as_installed(name, labels))
            errors = (
                {method: in_a_process(method, name, labels, exact=True)["error"] for method in METHODS}
                if name == "one voxel"
                else {}
            )
            times = {method: median(one["processor"] for one in taken[method]) for method in taken}
            alone = median(one["network"] for method in METHODS for one in taken[method])
            best = min(times["MONAI"], times["nnU-Net"])
            for method in taken:
                ratio = f"{best / times[method]:.2f}" if method in ("dictamen", AS_INSTALLED) else ""
                cells = [
                    *(name, labels, method, f"{times[method]:.2f}", ratio),
                    f"{alone:.2f}" if method == "dictamen" else "",
                    f"{max(one['gb'] for one in taken[method]):.2f}",
                    f"{errors[method]:.0e}" if method in errors else "",
                ]
                line = f"| {' | '.join(map(str, cells))} |"
                print(line, flush=True)
                lines.append(line)
    return lines


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=tuple(NETWORKS))
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    os.environ[LARGE_PAGES] = "0"  # before torch and dictamen
    import monai.inferers  # noqa: F401  # before the forks, as all that the methods need
    import nnunetv2.inference.predict_from_raw_data  # noqa: F401
    import torch

    import dictamen.inference.sliding  # noqa: F401

    torch.set_num_threads(1)
    from importlib.metadata import version

    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "monai", "nnunetv2"))
    text = [
        "# Sliding window: dictamen, MONAI, nnU-Net\n",
        f"{date.today()}, `python benchmarks/inference/bench_sliding.py --rounds {arguments.rounds}"
        f"{' --large' if arguments.large else ''}`; {packages}; one core, float32.\n",
        f"{'x'.join(map(str, SHAPE))} voxels of noise, windows of {'x'.join(map(str, WINDOW))}, overlap one half, to a "
        "label map. Median of the rounds, in which methods take turns, each in a process of its own; memory beyond "
        "model and volume, the label map's 8 MB included. Ours may take less than the network in all windows: where it "
        "has few features for its labels, its head runs once a voxel, and not in every window.\n",
        "| network | labels | method | processor s | the better peer's / ours | of it the network in all windows, s "
        "| peak GB | largest error of a logit |",
        "|---|---|---|---|---|---|---|---|",
        *rows(arguments.rounds, arguments.networks),
    ]
    if arguments.large:
        one = in_a_process("dictamen", "one voxel", LARGE_LABELS, large=True)
        text.append(
            f"\n{'x'.join(map(str, LARGE_SHAPE))} voxels, {LARGE_LABELS} labels: peak {one['gb']:.2f} GB beyond model "
            f"and volume (limit {LIMIT_GB} GB; logits alone would be "
            f"{LARGE_LABELS * 4 * 512 * 512 * 600 / 2**30:.0f} GB), {one['processor']:.0f} s of the processor."
        )
    RESULT.write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
