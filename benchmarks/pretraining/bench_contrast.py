"""Time of the contrastive step against open_clip's loss, and of retrieval among 100,000 embeddings.

usage: python benchmarks/pretraining/bench_contrast.py [--batch 64] [--repeats 5]

Both losses get the same embeddings of the same encoder (forward, loss, backward). open_clip's loss is imported where
open_clip_torch and its torchvision are installed; else its formula is written out here, which the table says. Writes
benchmarks/results/pretraining_speed.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dictamen.losses.contrastive import ContrastiveLoss
from dictamen.losses.tag_recognition import tag_recognition_loss
from dictamen.models import presets
from dictamen.models.pair_model import PairModel
from dictamen.models.text_encoder import TextSettings
from dictamen.pretraining.metrics import retrieval

RESULT = Path(__file__).parents[1] / "results" / "pretraining_speed.md"
REPORT = "The liver is unremarkable. There is a 2.3 cm cyst in the left kidney. Status post cholecystectomy. " * 8
PHRASES = [[f"a CT of the {organ}"] for organ in ("liver", "spleen", "pancreas", "left kidney", "right kidney")]
SIDE, DIMENSION, STORED, QUERIES = 32, 256, 100_000, 10


def open_clip_loss() -> tuple[str, Callable[[Tensor, Tensor, Tensor], Tensor]]:
    """Its loss (image, text, 1 / temperature), and where it comes from."""
    try:
        from open_clip.loss import ClipLoss
    except (ImportError, RuntimeError):

        def plain(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
            per_image, per_text = scale * image @ text.T, scale * text @ image.T
            own = torch.arange(len(image))
            return (functional.cross_entropy(per_image, own) + functional.cross_entropy(per_text, own)) / 2

        return "open_clip's formula, written out (open_clip_torch can't be imported)", plain
    return "open_clip", ClipLoss()


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """CPU time of one thread, which a busy machine does not change; of `repeats` calls after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        call()
        times.append(1000 * (time.process_time() - begun))
    return float(np.median(times))


def main() -> None:
    """Time everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    network = {"channels": (8, 16, 32), "strides": (2, 2)}
    model = PairModel(
        presets.build_backbone("unet", in_channels=1, **network),
        channels=32, phrases=PHRASES, dimension=DIMENSION, text=TextSettings(width=64, layers=1),
    )  # fmt: skip
    scans = torch.randn(arguments.batch, 1, SIDE, SIDE, SIDE)
    texts = [f"{index} {REPORT}" for index in range(arguments.batch)]
    ours, (source, theirs) = ContrastiveLoss(), open_clip_loss()
    target = torch.randint(0, 2, (arguments.batch, len(PHRASES))).float()

    def ours_of(found: object) -> Tensor:
        return ours(found.image, found.text)  # type: ignore[attr-defined]

    def with_tags(found: object) -> Tensor:
        tags = tag_recognition_loss(found.scores.logits, target, torch.ones_like(target))  # type: ignore[attr-defined]
        return ours_of(found) + tags

    def theirs_of(found: object) -> Tensor:
        image, text = (functional.normalize(one, dim=1) for one in (found.image, found.text))  # type: ignore[attr-defined]
        return theirs(image, text, 1 / ours.temperature)

    def step(loss: Callable[[object], Tensor]) -> None:
        loss(model(scans, texts)).backward()
        model.zero_grad(set_to_none=True)
        ours.zero_grad(set_to_none=True)

    with torch.no_grad():
        found = model(scans, texts)
        assert torch.allclose(ours_of(found), theirs_of(found), atol=1e-5)
    embeddings = torch.randn(2, arguments.batch, DIMENSION, requires_grad=True)

    def alone(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        loss(embeddings[0], embeddings[1]).backward()

    rows = [
        ("step, our contrastive loss", median_ms(lambda: step(ours_of), arguments.repeats)),
        (f"step, loss of {source}", median_ms(lambda: step(theirs_of), arguments.repeats)),
        ("step, our contrastive loss and tags", median_ms(lambda: step(with_tags), arguments.repeats)),
        ("loss alone, ours", median_ms(lambda: alone(ours), 10 * arguments.repeats)),
        (f"loss alone, {source}", median_ms(lambda: alone(lambda image, text: theirs(
            functional.normalize(image, dim=1), functional.normalize(text, dim=1), 1 / ours.temperature)),
            10 * arguments.repeats)),
    ]  # fmt: skip
    stored = functional.normalize(torch.randn(STORED, DIMENSION), dim=1)
    for queries in (1, QUERIES):
        asked = functional.normalize(torch.randn(queries, DIMENSION), dim=1)
        rows.append((f"{queries} queries, the five nearest of {STORED:,}",
                     median_ms(lambda asked=asked: (asked @ stored.T).topk(5), 10 * arguments.repeats)))  # fmt: skip
    some = stored[:4000]
    rows.append((f"metrics of {len(some):,} pairs", median_ms(lambda: retrieval(some, some), arguments.repeats)))
    lines = [
        "# Time of contrast and retrieval\n",
        f"`python benchmarks/pretraining/bench_contrast.py --batch {arguments.batch} --repeats {arguments.repeats}`\n",
        f"Median CPU time, {torch.get_num_threads()} thread; {arguments.batch} scans of {SIDE}^3 voxels with reports",
        f"of 150 words, embeddings of {DIMENSION} numbers. Both losses gave the same value.\n",
        "| what | ms |\n|---|---|",
        *(f"| {name} | {ms:.2f} |" for name, ms in rows),
    ]
    text = "\n".join(lines) + "\n"
    RESULT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
