"""Prediction of a whole volume by a window that slides over it, exactly, slab by slab.

Windows are blended with Gaussian weights as in nnU-Net, with three differences that leave the result the same:

- The head of a network is linear, voxel by voxel, so that the head of blended features is the blend of the heads'
  logits. Blended is what has fewer channels: time and memory don't grow with the number of labels.
- A slab of the volume is given away as soon as no later window reaches it: memory doesn't grow with its length.
- Windows of nothing but air (beyond the patient, all voxels at the lowest value) are computed once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dictamen.errors import InputError, UsageError
from dictamen.inference.windows import Axis, padding
from dictamen.models.precision import Precision, Resolved, memory_format, resolve
from dictamen.models.presets import SegmentationNetwork

Array = npt.NDArray[Any]

OVERLAP = 0.5
"""Share of a window that its neighbour repeats: nnU-Net's; less shows seams at window borders."""
FAST_OVERLAP = 0.25
"""For previews and validation while training: 2.4x fewer windows."""
AIR = -1.0
"""Normalised intensity of air, with which a volume smaller than the window is padded."""
TILE = 32
"""Voxels of a tile's sides along x and y: its labels fit a processor's cache."""
X = 0
"""The axis that goes from left to right."""

Groups = Sequence[tuple[Sequence[tuple[int, ...]], Sequence[int] | None]]
"""Mirrorings (axes to flip) that are blended together, and the order of the labels in them."""


@dataclass(frozen=True)
class Tile:
    """Logits of one part of a volume.

    Attributes:
        corner: its first voxel.
        logits: [L, x, y, z] float32.
    """

    corner: tuple[int, int, int]
    logits: Tensor

    @property
    def place(self) -> tuple[slice, slice, slice]:
        """Its part of an array [X, Y, Z]."""
        x, y, z = (slice(a, a + n) for a, n in zip(self.corner, self.logits.shape[1:], strict=True))
        return x, y, z


def choose_device(name: str) -> torch.device:
    """The device of "auto" (CUDA, else CPU), "cpu", "cuda", "cuda:1".

    Raises:
        UsageError: unknown, or not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError("The device is unknown.", got=name, expected="auto, cpu, cuda or cuda:<number>") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            "The device is not there.", got=name, expected=f"one of {torch.cuda.device_count()} CUDA devices, or cpu"
        )
    return device


def predict_probabilities(model: nn.Module, image: Array, **options: Any) -> npt.NDArray[np.float16]:
    """Probabilities of every label at every voxel, as one array.

    Args:
        model: see `slide`, as all others.

    Returns:
        [L, X, Y, Z] float16 in [0, 1]: half the memory of float32, steps of 0.0005 near 1.
    """
    probabilities: npt.NDArray[np.float16] | None = None
    for tile in slide(model, image, **options):
        if probabilities is None:
            probabilities = np.empty((len(tile.logits), *image.shape[-3:]), dtype=np.float16)
        probabilities[(slice(None), *tile.place)] = tile.logits.sigmoid().to(torch.float16).numpy()
    if probabilities is None:
        raise InputError("The image has no voxel.", got=image.shape)
    return probabilities


def slide(
    model: nn.Module,
    image: Array,
    *,
    patch_size: Sequence[int],
    device: torch.device | str = "cpu",
    precision: Precision = "auto",
    overlap: float = OVERLAP,
    mirror: Sequence[int] = (),
    partners: Sequence[int] | None = None,
    normalise: Callable[[Array], npt.NDArray[np.float32]] | None = None,
) -> Iterator[Tile]:
    """Logits of every label at every voxel, tile by tile, along z.

    The volume stays in main memory as it is; one window at a time is normalised and sent to the device.

    Args:
        model: as `presets.build` gives; used in evaluation mode, its mode is restored.
        image: [X, Y, Z] or [C, X, Y, Z].
        patch_size: the window, voxels.
        precision: as in training.
        overlap: of neighbouring windows, in [0, 1).
        mirror: axes along which to average over mirror images; twice the time for each.
        partners: for each label that of its mirror image along x ("left kidney": the right one); None: each is its own.
        normalise: of voxels to what the network was trained on; None: they are.

    Raises:
        InputError: `image` has another number of axes, or an empty one.
    """
    if image.ndim not in (3, 4) or 0 in image.shape:
        raise InputError("The image must be [X, Y, Z] or [C, X, Y, Z] with at least one voxel.", got=image.shape)
    place = torch.device(device)
    network = _Network(model, place, resolve(precision, place))
    volume = _Volume(image if image.ndim == 4 else image[None], tuple(patch_size), normalise)
    was_training = model.training
    model.eval()
    try:
        yield from _tiles(network, volume, overlap, _groups(mirror, partners))
    finally:
        model.train(was_training)


class _Volume:
    """Normalised windows of an image that stays as it is, padded with air where a window doesn't fit."""

    def __init__(
        self, image: Array, window: tuple[int, ...], normalise: Callable[[Array], npt.NDArray[np.float32]] | None
    ) -> None:
        self.image, self.window, self.normalise = image, window, normalise
        self.padding = padding(image.shape[1:], window)
        self.shape = tuple(n + sum(added) for n, added in zip(image.shape[1:], self.padding, strict=True))

    def at(self, start: Sequence[int]) -> Tensor:
        """The window [1, C, x, y, z] float32 that begins at a voxel of the padded image."""
        inside, added = [slice(None)], [(0, 0)]
        for begin, side, size, (before, _) in zip(start, self.window, self.image.shape[1:], self.padding, strict=True):
            low, high = max(0, begin - before), min(size, begin - before + side)
            inside.append(slice(low, high))
            added.append((low - (begin - before), begin - before + side - high))
        values = self.image[tuple(inside)]
        values = self.normalise(values) if self.normalise else np.asarray(values, dtype=np.float32)
        if any(sum(pair) for pair in added):
            values = np.pad(values, added, constant_values=AIR)
        return torch.from_numpy(np.ascontiguousarray(values))[None]


class _Network:
    """A network without its head, where blending features is cheaper than blending logits."""

    def __init__(self, model: nn.Module, device: torch.device, precision: Resolved) -> None:
        self.model, self.device, self.precision = model, device, precision
        split = isinstance(model, SegmentationNetwork) and model.head.in_channels < model.head.out_channels
        self.head = model.head if split and isinstance(model, SegmentationNetwork) else None

    def channels(self, window: Tensor) -> Tensor:
        """Features or logits [F, x, y, z] float32 of a window, in main memory."""
        window = window.to(self.device).contiguous(memory_format=memory_format(self.precision))
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16-mixed"):
            if self.head is not None:
                found: Tensor = self.model.features(window)  # type: ignore[operator]  # see __init__
            else:
                found = self.model(window).logits
        return found[0].float().cpu()

    def logits(self, channels: Tensor) -> Tensor:
        """[F, x, y, z] -> [L, x, y, z]."""
        if self.head is None:
            return channels
        weight, bias = self.head.weight.flatten(1).float().cpu(), self.head.bias
        flat = weight @ channels.flatten(1)
        if bias is not None:
            flat += bias.float().cpu()[:, None]
        return flat.view(len(flat), *channels.shape[1:])


@torch.inference_mode()
def _tiles(
    network: _Network,
    volume: _Volume,
    overlap: float,
    groups: Groups,
) -> Iterator[Tile]:
    """Blend windows into a buffer as deep as one window; give its front away when it is complete.

    Mirror images along x are blended apart where labels have sides, which change places in their logits.
    """
    along = [Axis.of(size, side, overlap) for size, side in zip(volume.shape, volume.window, strict=True)]
    x, y, z = along
    weights = x.weights[:, None, None] * y.weights[:, None] * z.weights
    buffers: list[Tensor] = []
    air: dict[tuple[int, ...], Tensor] = {}
    for number, depth in enumerate(z.starts):
        for begin_x, begin_y in itertools.product(x.starts, y.starts):
            window = volume.at((begin_x, begin_y, depth))
            is_air = bool((window == AIR).all())
            part = (slice(None), slice(begin_x, begin_x + x.window), slice(begin_y, begin_y + y.window))
            for group, (axes_of_group, _) in enumerate(groups):
                for axes in axes_of_group:
                    found = air.get(axes) if is_air else None
                    if found is None:
                        found = _channels(network, window, axes)
                    if is_air:
                        air[axes] = found
                    if group == len(buffers):
                        buffers.append(torch.zeros((len(found), *volume.shape[:2], z.window)))
                    buffers[group][part].addcmul_(found, weights)
        first, end = z.finished(number)
        yield from _complete(network, buffers, volume, along, (first, end), groups)
        for channel in itertools.chain.from_iterable(buffers):
            kept = z.window - (end - first)
            channel[..., :kept] = channel[..., end - first :].clone()
            channel[..., kept:] = 0


def _channels(network: _Network, window: Tensor, axes: tuple[int, ...]) -> Tensor:
    flipped = [axis + 2 for axis in axes]
    return network.channels(window.flip(flipped)).flip([axis - 1 for axis in flipped])


def _complete(
    network: _Network,
    buffers: Sequence[Tensor],
    volume: _Volume,
    along: Sequence[Axis],
    span: tuple[int, int],
    groups: Groups,
) -> Iterator[Tile]:
    """Tiles of the buffer's front, divided by the sum of weights, without the padding."""
    count = sum(len(axes) for axes, _ in groups)
    (low_x, _), (low_y, _), (low_z, _) = volume.padding
    size_x, size_y, size_z = volume.image.shape[1:]
    first, end = max(span[0], low_z), min(span[1], low_z + size_z)
    if first >= end:
        return
    deep = slice(first - span[0], end - span[0])
    for corner_x, corner_y in itertools.product(range(0, size_x, TILE), range(0, size_y, TILE)):
        at_x = slice(low_x + corner_x, low_x + min(size_x, corner_x + TILE))
        at_y = slice(low_y + corner_y, low_y + min(size_y, corner_y + TILE))
        total = along[0].total[at_x, None, None] * along[1].total[at_y, None] * along[2].total[first:end]
        logits = torch.zeros(())
        for buffer, (axes, order) in zip(buffers, groups, strict=True):
            part = network.logits(buffer[:, at_x, at_y, deep] / (total * len(axes)))
            logits = logits + (part if order is None else part[list(order)]) * (len(axes) / count)
        yield Tile((corner_x, corner_y, first - low_z), logits)


def _groups(mirror: Sequence[int], partners: Sequence[int] | None) -> Groups:
    mirrorings = [axes for count in range(len(mirror) + 1) for axes in itertools.combinations(mirror, count)]
    crossed = [axes for axes in mirrorings if X in axes]
    if not crossed or partners is None or list(partners) == list(range(len(partners))):
        return [(mirrorings, None)]
    return [([axes for axes in mirrorings if X not in axes], None), (crossed, partners)]
