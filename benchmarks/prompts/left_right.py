"""Are left and right told apart, with and without an encoder of names that was taught anatomy?

Two bright cubes in noise, 16^3 voxels, one at the left, one at the right; asked are "left kidney" and "right kidney",
and synonyms of each that training never used. Arms: the encoder of texts fresh and trained along (the default), fresh
and fixed, and taught by `dictamen anatomy pretrain` and fixed; each with and without features of every scale.
Dice .67 means that both cubes are painted for either word.

    python benchmarks/prompts/left_right.py NAMES [--seeds 3]          # NAMES: run of `dictamen anatomy pretrain`
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from dictamen.losses.overlap import masked_dice_bce
from dictamen.models import prompt_presets
from dictamen.models.name_encoder import load_name_encoder
from dictamen.models.prompted import PromptedNetwork

SIDE, STEPS, RATE = 16, (20, 40, 60, 100), 2e-3
TAUGHT, SYNONYMS = ("left kidney", "right kidney"), ("ren sinister", "kidney (r)", "left renal", "right-sided kidney")
RIGHT_ONES = (False, True, False, True)


def cubes(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Image [1, 1, X, Y, Z] and the masks of left and right [1, 2, X, Y, Z]; x grows to the patient's right here."""
    image, masks = rng.normal(0, 0.3, (SIDE,) * 3), np.zeros((2, SIDE, SIDE, SIDE), np.uint8)
    for side, low in enumerate((1, SIDE // 2 + 1)):
        x, (y, z) = low + int(rng.integers(0, 3)), rng.integers(1, 11, 2)
        image[x : x + 4, y : y + 4, z : z + 4] += 1.5
        masks[side, x : x + 4, y : y + 4, z : z + 4] = 1
    return torch.from_numpy(image).float()[None, None], torch.from_numpy(masks)[None]


def dice(network: PromptedNetwork, texts: tuple[str, ...], right: tuple[bool, ...]) -> list[float]:
    """Of each text, mean over 8 new images."""
    rng = np.random.default_rng(99)
    network.eval()
    found = []
    with torch.inference_mode():
        for _ in range(8):
            image, masks = cubes(rng)
            painted = network(image, texts).logits[0] > 0
            truth = masks[0][[int(one) for one in right]].bool()
            both = (painted & truth).flatten(1).sum(1)
            found.append(2 * both / (painted.flatten(1).sum(1) + truth.flatten(1).sum(1)))
    network.train()
    return [round(float(value), 3) for value in torch.stack(found).mean(0)]


def run(names: str | None, *, train_text: bool, scales: bool, seed: int) -> dict[int, list[float]]:
    """Dice of the two taught names and of the synonyms, after so many steps."""
    torch.manual_seed(seed)
    made = prompt_presets.architecture("test", query={"scales": scales})
    encoder = load_name_encoder(names) if names else None
    if encoder is not None:
        made = made.model_copy(update={"text": encoder.card.text, "dimension": encoder.dimension})
    network = prompt_presets.build(made, in_channels=1, labels=1)
    if encoder is not None:
        network.text.load_state_dict(encoder.network.state_dict())
    network.text.requires_grad_(train_text)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=RATE)
    rng, found = np.random.default_rng(seed), {}
    for step in range(1, max(STEPS) + 1):
        pairs = [cubes(rng) for _ in range(2)]
        image, state = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        optimizer.zero_grad()
        masked_dice_bce(network(image, TAUGHT).logits, state, batch_dice=True).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if step in STEPS:
            found[step] = dice(network, (*TAUGHT, *SYNONYMS), (False, True, *RIGHT_ONES))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    arms = {
        "fresh, trained along": (None, True),
        "fresh, fixed": (None, False),
        "taught anatomy, fixed": (given.names, False),
    }
    for scales in (True, False):
        for arm, (names, train_text) in arms.items():
            for seed in range(given.seeds):
                found = run(str(names) if names else None, train_text=train_text, scales=scales, seed=seed)
                print(json.dumps({"arm": arm, "scales": scales, "seed": seed, "dice": found}), flush=True)


if __name__ == "__main__":
    main()
