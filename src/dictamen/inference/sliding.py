"""Prediction of a whole volume by a window that slides over it, exactly, slab by slab.

Windows are blended with Gaussian weights as in nnU-Net, with three differences that leave the result the same:

- The head of a network is linear, voxel by voxel, so that the head of blended features is the blend of the heads'
  logits. Blended is what costs less: time and memory don't grow with the number of labels, and the head looks at each
  voxel once, not in every window.
- A slab of the volume is given away as soon as no later window reaches it: memory doesn't grow with its length.
- Windows in which all voxels are the same (the air beyond the patient) are computed once.
- Windows without a voxel of the region of interest are left out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dictamen.errors import InputError, UsageError
from dictamen.inference.slabs import Slabs, Spans
from dictamen.inference.windows import Axis, padding
from dictamen.models.precision import Precision, Resolved, memory_format, resolve
from dictamen.models.presets import SegmentationNetwork

Array = npt.NDArray[Any]

OVERLAP = 0.5
"""Share of a window that its neighbour repeats: nnU-Net's; less shows seams at window borders."""
FAST_OVERLAP = 0.25
"""For previews and validation while training: 2.4x fewer windows."""
AIR = -1.0
"""Normalised intensity of air, with which a volume smaller than the window is padded where nothing else is said."""
TILE = (32, 32, 64)
"""Most voxels of a tile along x, y, z: its labels fit a processor's cache."""
X = 0
"""The axis that goes from left to right."""
FEW = 4099
"""Of so many voxels one is looked at before all: most windows aren't air, and it shows at once. A prime number, so that
they don't lie in one column."""
FEATURES_FOR_A_LABEL = 2
"""Features are blended where there are fewer than so many for each label. A head of L labels in a window reads F maps
and writes L, blending touches 3 maps a channel: (F - L) more channels cost less than the head up to F = 2 L."""
NOWHERE = -30.0
"""Logit outside the region of interest: a probability that is 0 in any format that is written."""

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
            probabilities = np.zeros((len(tile.logits), *image.shape[-3:]), dtype=np.float16)
        probabilities[(slice(None), *tile.place)] = tile.logits.sigmoid().to(torch.float16).numpy()
    if probabilities is None:
        raise InputError("There is no voxel to look at.", got=image.shape)
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
    air: float = AIR,
    region: npt.NDArray[np.bool_] | None = None,
) -> Iterator[Tile]:
    """Logits of every label at every voxel, tile by tile.

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
        air: normalised value around a volume that is smaller than the window.
        region: [X, Y, Z], where to look; None: everywhere. Logits in it are those that the whole volume would have
            there, outside they are `NOWHERE`; tiles without a voxel of it are not given.

    Raises:
        InputError: `image` has another number of axes, or an empty one.
    """
    if image.ndim not in (3, 4) or 0 in image.shape:
        raise InputError("The image must be [X, Y, Z] or [C, X, Y, Z] with at least one voxel.", got=image.shape)
    place = torch.device(device)
    network = _Network(model, place, resolve(precision, place, training=False))
    volume = Volume(image if image.ndim == 4 else image[None], tuple(patch_size), normalise, air, region)
    was_training = model.training
    model.eval()
    try:
        if network.exclusive and partners is not None:
            partners = (0, *(label + 1 for label in partners))
        yield from _tiles(network, volume, overlap, _groups(mirror, partners))
    finally:
        model.train(was_training)


class Volume:
    """Normalised windows of an image that stays as it is, padded with air where a window doesn't fit."""

    def __init__(
        self,
        image: Array,
        window: tuple[int, ...],
        normalise: Callable[[Array], npt.NDArray[np.float32]] | None,
        air: float = AIR,
        region: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self.image, self.window, self.normalise, self.air, self.region = image, window, normalise, air, region
        self.padding = padding(image.shape[1:], window)
        self.shape = tuple(n + sum(added) for n, added in zip(image.shape[1:], self.padding, strict=True))

    def wanted(self, start: Sequence[int]) -> bool:
        """Whether a voxel of the region lies in that window."""
        return self.region is None or bool(self.region[self._inside(start)].any())

    def at(self, start: Sequence[int]) -> Tensor:
        """The window [1, C, x, y, z] float32 that begins at a voxel of the padded image."""
        inside, added = self._inside(start), [(0, 0)]
        for begin, side, (before, _), part in zip(start, self.window, self.padding, inside, strict=True):
            added.append((part.start - (begin - before), begin - before + side - part.stop))
        values = self.image[(slice(None), *inside)]
        values = self.normalise(values) if self.normalise else np.asarray(values, dtype=np.float32)
        if any(sum(pair) for pair in added):
            values = np.pad(values, added, constant_values=self.air)
        return torch.from_numpy(np.ascontiguousarray(values))[None]

    def _inside(self, start: Sequence[int]) -> tuple[slice, ...]:
        """The part of the image [X, Y, Z] that a window covers."""
        return tuple(
            slice(max(0, begin - before), min(size, begin - before + side))
            for begin, side, size, (before, _) in zip(
                start, self.window, self.image.shape[1:], self.padding, strict=True
            )
        )


class _Network:
    """A network without its head, where blending features is cheaper than the head in all windows."""

    def __init__(self, model: nn.Module, device: torch.device, precision: Resolved) -> None:
        self.model, self.device, self.precision = model, device, precision
        head = model.head if isinstance(model, SegmentationNetwork) else None
        few = head is not None and head.in_channels < FEATURES_FOR_A_LABEL * head.out_channels
        self.head = head if few else None
        self.exclusive = isinstance(model, SegmentationNetwork) and model.exclusive

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
        start = torch.zeros(()) if bias is None else bias.float().cpu()[:, None]
        flat = torch.addmm(start, weight, channels.flatten(1))
        return flat.view(len(flat), *channels.shape[1:])


@torch.inference_mode()
def _tiles(
    network: _Network,
    volume: Volume,
    overlap: float,
    groups: Groups,
) -> Iterator[Tile]:
    """Blend windows, and give parts of the volume away when they are complete.

    Mirror images along x are blended apart where labels have sides, which change places in their logits.
    """
    along = [Axis.of(size, side, overlap) for size, side in zip(volume.shape, volume.window, strict=True)]
    blended = [Slabs(along) for _ in groups]
    way = blended[0]
    same: dict[float, list[Tensor]] = {}
    for slab, row in way.rows():
        for sums in blended:
            sums.begin(slab, row)
        for column in way.columns:
            begin = way.corner(slab, row, column)
            if not volume.wanted(begin):
                continue
            window = volume.at(begin)
            value = _only_value(window)
            found = same.get(value) if value is not None else None
            if found is None:
                found = [_mean(network, window, mirrorings) for mirrorings, _ in groups]
            if value is not None:
                same[value] = found
            for sums, channels in zip(blended, found, strict=True):
                sums.add(column, channels)
        yield from _complete(network, blended, volume, along, groups)


def _only_value(window: Tensor) -> float | None:
    """The value that all voxels have; None where they differ."""
    values = window.flatten()
    first = values[0]
    return float(first) if bool((values[::FEW] == first).all()) and bool((values == first).all()) else None


def _mean(network: _Network, window: Tensor, mirrorings: Sequence[tuple[int, ...]]) -> Tensor:
    """Mean of the channels of a window's mirror images, each turned back."""
    found = _channels(network, window, mirrorings[0])
    for axes in mirrorings[1:]:
        found = found + _channels(network, window, axes)
    return found / len(mirrorings) if len(mirrorings) > 1 else found


def _channels(network: _Network, window: Tensor, axes: tuple[int, ...]) -> Tensor:
    if not axes:  # torch copies even then
        return network.channels(window)
    flipped = [axis + 2 for axis in axes]
    return network.channels(window.flip(flipped)).flip([axis - 1 for axis in flipped])


def _complete(
    network: _Network, blended: Sequence[Slabs], volume: Volume, along: Sequence[Axis], groups: Groups
) -> Iterator[Tile]:
    """Tiles of what is complete, divided by the sum of weights, without the padding."""
    low, size = [before for before, _ in volume.padding], volume.image.shape[1:]
    for part in blended[0].complete():
        spans = [(max(a, low[axis]), min(b, low[axis] + size[axis])) for axis, (a, b) in enumerate(part)]
        if any(begin >= end for begin, end in spans):
            continue
        along_x, along_y, along_z = (_even(*span, most) for span, most in zip(spans, TILE, strict=True))
        for place in itertools.product(along_x, along_y, along_z):
            inside = tuple(slice(a - before, b - before) for (a, b), before in zip(place, low, strict=True))
            region = None if volume.region is None else volume.region[inside]
            if region is not None and not region.any():
                continue
            logits = _logits(network, blended, along, place, groups)
            if region is not None:
                logits = torch.where(torch.from_numpy(region), logits, NOWHERE)
            yield Tile((inside[0].start, inside[1].start, inside[2].start), logits)


def _even(begin: int, end: int, most: int) -> list[tuple[int, int]]:
    """Cut [begin, end) into as few parts of at most `most` as will do, of about the same length."""
    count = max(1, math.ceil((end - begin) / most))
    edges = [begin + (end - begin) * number // count for number in range(count + 1)]
    return list(itertools.pairwise(edges))


def _logits(network: _Network, blended: Sequence[Slabs], along: Sequence[Axis], place: Spans, groups: Groups) -> Tensor:
    """Logits [L, x, y, z] of a complete part of the padded image."""
    x, y, z = (1 / axis.total[begin:end] for axis, (begin, end) in zip(along, place, strict=True))
    one_by_total = x[:, None, None] * y[:, None] * z
    count = sum(len(mirrorings) for mirrorings, _ in groups)
    found = []
    for sums, (mirrorings, order) in zip(blended, groups, strict=True):
        logits = network.logits(sums.part(place) * one_by_total)
        found.append((logits if order is None else logits[list(order)], len(mirrorings) / count))
    logits = found[0][0] if len(found) == 1 else sum((one * share for one, share in found), torch.zeros(()))
    return _margins(logits) if network.exclusive else logits


def _margins(logits: Tensor) -> Tensor:
    """[1 + L, ...] with background first -> [L, ...]: by how much a label leads, or lacks, before all others.

    Positive for the label with the largest logit, negative for all others: each is above one half, or not, for itself.
    """
    highest = logits.topk(2, dim=0).values
    return torch.where(logits == highest[0], logits - highest[1], logits - highest[0])[1:]


def _groups(mirror: Sequence[int], partners: Sequence[int] | None) -> Groups:
    mirrorings = [axes for count in range(len(mirror) + 1) for axes in itertools.combinations(mirror, count)]
    crossed = [axes for axes in mirrorings if X in axes]
    if not crossed or partners is None or list(partners) == list(range(len(partners))):
        return [(mirrorings, None)]
    return [([axes for axes in mirrorings if X not in axes], None), (crossed, partners)]
