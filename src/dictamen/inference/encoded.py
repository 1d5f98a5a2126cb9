"""A volume that is encoded once and can then be asked any number of prompts, in memory that does not grow with them.

The windows of `sliding`, with their blending weights; but kept are the features of each window, not its logits: what a
query finds in a window depends on that window, so that features of different windows can't be blended. Prompts are
answered in chunks; each chunk needs one map a prompt of the volume, and is forgotten before the next.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dictamen.errors import InputError
from dictamen.inference.sliding import AIR, OVERLAP
from dictamen.inference.sliding import Volume as PaddedVolume
from dictamen.inference.windows import Axis
from dictamen.models.precision import Precision, memory_format, resolve
from dictamen.models.prompted import ImageFeatures, PromptedNetwork

KEPT_IN_MEMORY = 2 << 30
"""Bytes of features that stay in memory; those of larger volumes go to a temporary file."""
CHUNK_BYTES = 1 << 26
"""Of the maps of one chunk of prompts."""


@dataclass(frozen=True)
class Answer:
    """What one prompt found in a volume.

    Attributes:
        index: of the prompt.
        logits: [X, Y, Z] float32.
        presence: probability that it is there: the highest of all windows.
    """

    index: int
    logits: Tensor
    presence: float


class EncodedVolume:
    """The features of all windows of one volume.

    Args:
        network: on the device to use; used in evaluation mode.
        image: [X, Y, Z] or [C, X, Y, Z].
        patch_size: the window, voxels.
        precision, overlap, normalise: as of `sliding.slide`.

    Attributes:
        seconds: spent on features and answers so far.

    Raises:
        InputError: `image` has another number of axes, or an empty one.
    """

    @torch.inference_mode()
    def __init__(
        self,
        network: PromptedNetwork,
        image: npt.NDArray[Any],
        *,
        patch_size: Sequence[int],
        precision: Precision = "auto",
        overlap: float = OVERLAP,
        normalise: Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]] | None = None,
    ) -> None:
        if image.ndim not in (3, 4) or 0 in image.shape:
            raise InputError("The image must be [X, Y, Z] or [C, X, Y, Z] with at least one voxel.", got=image.shape)
        self.network, self.device = network, network.table.device
        self.precision = resolve(precision, self.device, training=False)
        volume = PaddedVolume(image if image.ndim == 4 else image[None], tuple(patch_size), normalise)
        started = monotonic()
        self.padding, self.shape = volume.padding, volume.shape
        self.along = [Axis.of(size, side, overlap) for size, side in zip(volume.shape, volume.window, strict=True)]
        self.store = _Store()
        self.windows: list[tuple[tuple[int, int, int], int]] = []
        air: int | None = None
        was_training = network.training
        network.eval()
        try:
            for begin in itertools.product(*(axis.starts for axis in self.along)):
                window = volume.at(begin)
                if bool((window == AIR).all()):
                    air = self.store.add(self._encode(window)) if air is None else air
                    place = air
                else:
                    place = self.store.add(self._encode(window))
                x, y, z = begin
                self.windows.append(((x, y, z), place))
        finally:
            network.train(was_training)
        self.seconds = monotonic() - started

    def ask(self, embeddings: Tensor) -> Iterator[Answer]:
        """Answers to N prompts [N, E], one after the other."""
        voxels = int(np.prod(self.shape))
        chunk = max(1, CHUNK_BYTES // (4 * voxels))
        for first in range(0, len(embeddings), chunk):
            part = embeddings[first : first + chunk]
            started = monotonic()
            logits, presence = self._chunk(part.to(self.device))
            self.seconds += monotonic() - started
            for place in range(len(part)):
                yield Answer(first + place, logits[place], float(presence[place].sigmoid()))

    @torch.inference_mode()
    def _chunk(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Blended logits [n, X, Y, Z] and the highest presence logit [n] of a chunk of prompts."""
        sums = torch.zeros((len(embeddings), *self.shape))
        presence = torch.full((len(embeddings),), -torch.inf)
        x, y, z = self.along
        weights = x.weights[:, None, None] * y.weights[:, None] * z.weights
        answered: dict[int, tuple[Tensor, Tensor]] = {}
        for begin, place in self.windows:
            if place not in answered:
                answered = {place: self._decode(place, embeddings)}
            logits, there = answered[place]
            part = tuple(slice(a, a + axis.window) for a, axis in zip(begin, self.along, strict=True))
            sums[(slice(None), *part)].addcmul_(logits, weights)
            presence = torch.maximum(presence, there)
        sums /= x.total[:, None, None] * y.total[:, None] * z.total
        inside = tuple(slice(low, n - high) for (low, high), n in zip(self.padding, self.shape, strict=True))
        return sums[(slice(None), *inside)], presence

    def _encode(self, window: Tensor) -> ImageFeatures:
        window = window.to(self.device).contiguous(memory_format=memory_format(self.precision))
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16-mixed"):
            return self.network.encode(window)

    def _decode(self, place: int, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        features = self.store.get(place, self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16-mixed"):
            output = self.network.decode(features, embeddings)
        return output.logits[0].float().cpu(), output.presence[0].float().cpu()


class _Store:
    """Features of windows: in memory, and in a temporary file once there are many."""

    def __init__(self) -> None:
        self.kept: list[ImageFeatures] = []
        self.bytes = 0
        self.folder: tempfile.TemporaryDirectory[str] | None = None

    def add(self, features: ImageFeatures) -> int:
        """Keep the features of one window; its number."""
        parts = [part.cpu() for part in (features.fine, *features.coarse)]
        size = sum(part.nbytes for part in parts)
        if self.bytes + size > KEPT_IN_MEMORY:
            parts = [self._on_disk(part) for part in parts]
        else:
            self.bytes += size
        self.kept.append(ImageFeatures(parts[0], tuple(parts[1:])))
        return len(self.kept) - 1

    def get(self, place: int, device: torch.device) -> ImageFeatures:
        """The features of a window, on `device`."""
        features = self.kept[place]
        return ImageFeatures(features.fine.to(device), tuple(part.to(device) for part in features.coarse))

    def _on_disk(self, part: Tensor) -> Tensor:
        """The tensor in a file that is mapped into memory, and gone with this object."""
        if self.folder is None:
            self.folder = tempfile.TemporaryDirectory(prefix="dictamen-features-")
        name = f"{self.folder.name}/{len(self.kept)}-{tuple(part.shape)}".replace(" ", "")
        mapped = torch.from_file(name, shared=True, size=part.numel(), dtype=part.dtype).view(part.shape)
        return mapped.copy_(part)
