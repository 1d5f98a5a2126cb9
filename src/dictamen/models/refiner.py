"""The refiner: a small 3D U-Net that sees image x, initial mask y0, edges e and what intensity says q, and changes the
mask's logit.

    p = sigmoid(h(x, y0, e, q) + 3 (2 y0 - 1)),    h = 0 before training

so that an untrained refiner returns the initial mask exactly. Independent implementation of the idea published in
arXiv 2511.02576; the network is ours.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dictamen.models import presets
from dictamen.models.card import Architecture

CONFIDENCE = 3.0
"""Logit of the initial mask: p = .95 within, .05 outside, so that a few steps can turn a voxel round."""
PRESET = "unet"
OVERRIDES: dict[str, Any] = {"channels": [8, 16, 32], "strides": [1, 2], "negative_slope": 0.2}
"""Small on purpose: with a hundred cases a large network learns them by heart, a small one the systematic errors.
With a slope of .01 some first weights never learn to add, not even from drawn masks; with .2 the head sees its eight
features below zero too, and all that were tried do."""
INPUTS = 4
"""Image, initial mask, edge prior, and what intensity alone says of each voxel."""
AIR = -1.0
"""Normalised intensity that pads the image."""


def architecture() -> Architecture:
    """What the card of a refiner says."""
    return Architecture(preset=PRESET, in_channels=INPUTS, out_channels=1, overrides=dict(OVERRIDES))


class Refiner(nn.Module):
    """Logits of a refined mask from image, initial mask, edge prior and intensity prior.

    Args:
        network: of `presets.build` with `INPUTS` inputs and one output; a new one where None. Its head is left alone
            when given, and set to zero when new.
    """

    def __init__(self, network: presets.SegmentationNetwork | None = None) -> None:
        super().__init__()
        if network is None:
            made = architecture()
            network = presets.build(made.preset, in_channels=INPUTS, out_channels=1, **made.overrides)
            for parameter in network.head.parameters():
                torch.nn.init.zeros_(parameter)
        self.network = network

    def forward(
        self,
        image: Float[Tensor, "B 1 X Y Z"],
        mask: Float[Tensor, "B 1 X Y Z"],
        edge: Float[Tensor, "B 1 X Y Z"],
        inside: Float[Tensor, "B 1 X Y Z"],
    ) -> Float[Tensor, "B 1 X Y Z"]:
        """Logits on the grid of the inputs, whatever its sides are.

        Args:
            image: normalised to [-1, 1].
            mask: initial mask, 0 or 1.
            edge: edge prior in [0, 1].
            inside: probability by intensity alone that a voxel is the structure's; .5: can't tell.
        """
        sides = image.shape[2:]
        short = [-side % own for side, own in zip(reversed(sides), reversed(self.network.divisors), strict=True)]
        padding = [value for missing in short for value in (0, missing)]
        channels = [
            functional.pad(image, padding, value=AIR),
            functional.pad(mask, padding),
            functional.pad(edge, padding),
            functional.pad(2 * inside - 1, padding),
        ]
        change: Tensor = self.network(torch.cat(channels, dim=1)).logits[..., : sides[0], : sides[1], : sides[2]]
        return change + CONFIDENCE * (2 * mask - 1)
