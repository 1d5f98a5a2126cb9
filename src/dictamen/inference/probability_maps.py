"""Probabilities of many labels in one volume, in memory that grows with what was found and not with the labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.inference.sliding import Tile

Box = tuple[slice, slice, slice]
Map = npt.NDArray[np.float16]

NEXT_TO_NOTHING = 2.0**-11
"""Tiles of a label below it are 0: no float16 near 1 can tell it from 0."""


class ProbabilityMaps:
    """A map [X, Y, Z] float16 for each label; tiles in which a label is next to nothing take no memory."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self._tiles: dict[int, dict[tuple[int, int, int], Map]] = {}

    def add(self, tile: Tile) -> None:
        """Keep the labels that are anywhere in the tile."""
        least = math.log(NEXT_TO_NOTHING / (1 - NEXT_TO_NOTHING))
        highest = tile.logits.flatten(1).amax(dim=1)
        for channel in (highest >= least).nonzero()[:, 0].tolist():
            found = tile.logits[channel].sigmoid().numpy().astype(np.float16)
            self._tiles.setdefault(channel, {})[tile.corner] = found

    def __getitem__(self, channel: int) -> Map:
        """The whole map of a label, a copy."""
        return self.inside(channel, (slice(0, self.shape[0]), slice(0, self.shape[1]), slice(0, self.shape[2])))

    def inside(self, channel: int, box: Box) -> Map:
        """The map of a label in a box, a copy."""
        low = [edge.start for edge in box]
        found = np.zeros([edge.stop - edge.start for edge in box], dtype=np.float16)
        for corner, values in self._tiles.get(channel, {}).items():
            begin = [max(a, b) for a, b in zip(corner, low, strict=True)]
            end = [min(a + n, edge.stop) for a, n, edge in zip(corner, values.shape, box, strict=True)]
            if all(a < b for a, b in zip(begin, end, strict=True)):
                to = tuple(slice(a - first, b - first) for a, b, first in zip(begin, end, low, strict=True))
                found[to] = values[tuple(slice(a - c, b - c) for a, b, c in zip(begin, end, corner, strict=True))]
        return found

    def remove(self, channel: int, mask: npt.NDArray[np.bool_]) -> None:
        """Set a label to 0 where `mask` [X, Y, Z] is true."""
        for corner, values in self._tiles.get(channel, {}).items():
            values[mask[tuple(slice(c, c + n) for c, n in zip(corner, values.shape, strict=True))]] = 0

    def highest(self, channel: int) -> float:
        """Largest probability of a label."""
        return max((float(values.max()) for values in self._tiles.get(channel, {}).values()), default=0.0)

    def box(self, channel: int, least: float) -> Box | None:
        """The smallest box with all voxels of at least this probability; None where there is none."""
        low: Any = None
        high: Any = None
        for corner, values in self._tiles.get(channel, {}).items():
            found = values >= least
            if not found.any():
                continue
            ends = [
                np.flatnonzero(found.any(axis=tuple(a for a in range(3) if a != axis)))[[0, -1]] for axis in range(3)
            ]
            first, last = (np.array(corner) + [end[place] for end in ends] for place in (0, 1))
            low = first if low is None else np.minimum(low, first)
            high = last if high is None else np.maximum(high, last)
        if low is None:
            return None
        x, y, z = (slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
        return x, y, z
