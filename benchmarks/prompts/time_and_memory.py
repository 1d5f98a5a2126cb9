"""Time and memory of 1, 10, 100 and 400 prompts on one volume: the image is encoded once, memory stays flat.

python benchmarks/prompts/time_and_memory.py [--side 64] [--preset test]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch

from dictamen.inference.encoded import EncodedVolume
from dictamen.models import prompt_presets

COUNTS = (1, 10, 100, 400)


def measure(preset: str, side: int, count: int) -> dict[str, float]:
    """CPU seconds to embed, to encode and to answer, and the memory that answering added to that of encoding."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    chosen = prompt_presets.PROMPT_PRESETS[preset]
    network = prompt_presets.build(chosen.architecture, in_channels=1, labels=1).eval()
    image = np.random.default_rng(0).normal(0, 0.5, (side,) * 3).astype(np.float32)
    with torch.inference_mode():
        started = time.process_time()
        embeddings = network.embed([f"structure number {n}" for n in range(count)])
        embedded = time.process_time()
        volume = EncodedVolume(network, image, patch_size=chosen.patch_size)
        encoded = time.process_time()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        voxels = sum(int((answer.logits > 0).sum()) for answer in volume.ask(embeddings))
        answered = time.process_time()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "prompts": count, "embed, s": embedded - started, "encode, s": encoded - embedded,
        "answer, s": answered - encoded, "peak before answers, MB": before / 1024, "peak, MB": after / 1024,
        "voxels": voxels,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--preset", default="test")
    parser.add_argument("--count", type=int)
    given = parser.parse_args()
    if given.count is not None:
        print(json.dumps(measure(given.preset, given.side, given.count)))
        return
    print(
        "| prompts | embed, s | encode, s | answer, s | peak before answers, MB | peak, MB |\n|---|---|---|---|---|---|"
    )
    for count in COUNTS:  # a process each: peaks don't mix
        words = [sys.executable, __file__, "--side", str(given.side), "--preset", given.preset, "--count", str(count)]
        row = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        print("| " + " | ".join(f"{row[key]:.3g}" for key in row if key != "voxels") + " |", flush=True)


if __name__ == "__main__":
    main()
