"""Feature maps of every resolution inside any encoder-decoder, found by looking at what its modules put out.

Nothing here knows a particular architecture: a small image runs through the network once, and of each resolution the
last map before the deepest one (the encoder's) and the last one of all (the decoder's) are remembered by the names of
the modules that made them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dictamen.errors import UsageError

PROBE = (2, 3, 2)
"""Sides of the image that runs through the network, in its divisors: unequal, so that no other axis of a transformer's
tensors passes for one of them, and at least two voxels where it is coarsest, as instance norms need."""


@dataclass(frozen=True)
class Level:
    """One feature map.

    Attributes:
        module: name, within the network, of the module that puts it out.
        channels: of the map.
        stride: voxels of the image to one of the map, along each axis.
    """

    module: str
    channels: int
    stride: int


@dataclass(frozen=True)
class Levels:
    """Maps by resolution, fine to coarse.

    Attributes:
        encoder: the deepest map last.
        decoder: maps between full resolution and the deepest one; may be empty.
    """

    encoder: tuple[Level, ...]
    decoder: tuple[Level, ...]

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of all modules, each once."""
        return tuple(dict.fromkeys(level.module for level in (*self.encoder, *self.decoder)))


@torch.no_grad()
def find_levels(network: nn.Module, *, in_channels: int, divisor: int) -> Levels:
    """The levels of a network that maps [B, C, X, Y, Z] to [B, F, X, Y, Z].

    Args:
        divisor: what each side of an image must be a multiple of.

    Raises:
        UsageError: no map that is coarser than the image.
    """
    sides = tuple(divisor * n for n in PROBE)
    seen: list[Level] = []

    def remember(name: str, output: Any) -> None:
        stride = _stride(output, sides)
        if stride is not None:
            seen.append(Level(name, output.shape[1], stride))

    handles = [
        module.register_forward_hook(lambda _m, _i, output, name=name: remember(name, output))
        for name, module in network.named_modules()
        if name
    ]
    try:
        with torch.random.fork_rng(devices=[]):
            network(torch.zeros(1, in_channels, *sides))
    finally:
        for handle in handles:
            handle.remove()
    deepest = max((level.stride for level in seen), default=1)
    if deepest == 1:
        raise UsageError("The network has no feature map coarser than the image.", got=type(network).__name__)
    first = next(place for place, level in enumerate(seen) if level.stride == deepest)
    encoder = {level.stride: level for level in seen[:first]}
    last = {level.stride: level for level in seen}
    encoder[deepest] = last[deepest]
    middle = [last[stride] for stride in sorted(last) if 1 < stride < deepest]
    return Levels(tuple(encoder[stride] for stride in sorted(encoder)), tuple(middle))


@contextmanager
def captured(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Within the block, what the named modules put out lands in the yielded table."""
    found: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> None:
        found[name] = output

    handles = [
        network.get_submodule(name).register_forward_hook(lambda _m, _i, output, name=name: keep(name, output))
        for name in names
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _stride(output: Any, sides: Sequence[int]) -> int | None:
    """How much coarser than the image an output is; None for what is no map of the image."""
    if not isinstance(output, Tensor) or output.ndim != len(sides) + 2:
        return None
    grid = output.shape[2:]
    strides = {side / n for side, n in zip(sides, grid, strict=True)}
    stride = strides.pop()
    return int(stride) if not strides and stride >= 1 and stride == int(stride) else None
