"""Where windows lie in a volume, and with what weights they are blended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SIGMA_SHARE = 1 / 8
"""Standard deviation of the blending weights as a share of the window: nnU-Net's."""


@dataclass(frozen=True)
class Axis:
    """The windows along one axis.

    Attributes:
        starts: first voxel of each window, rising; windows cover the axis.
        window: voxels of a window.
        weights: [window], of the voxels of a window.
        total: [size], sum of the weights of all windows at each voxel.
    """

    starts: tuple[int, ...]
    window: int
    weights: Tensor
    total: Tensor

    @classmethod
    def of(cls, size: int, window: int, overlap: float) -> Axis:
        """As few windows as cover `size` voxels with at least this overlap, evenly spread.

        Weights of a window are the product of those of its axes, and windows form a grid. So the sum of weights at a
        voxel is the product of the sums along the axes, exactly, and needs no map.
        """
        count = 1 + math.ceil((size - window) / max(1, int(window * (1 - overlap))))
        starts = tuple(round(k * (size - window) / max(1, count - 1)) for k in range(count))
        place = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
        weights = torch.exp(-0.5 * (place / (window * SIGMA_SHARE)) ** 2)
        total = torch.zeros(size, dtype=torch.float64)
        for start in starts:
            total[start : start + window] += weights
        return cls(starts, window, weights.float(), total.float())

    def finished(self, number: int) -> tuple[int, int]:
        """The voxels [from, to) to which no window after window `number` adds anything, and all before it do not."""
        last = number + 1 == len(self.starts)
        return self.starts[number], len(self.total) if last else self.starts[number + 1]

    def reached(self, number: int) -> tuple[int, int]:
        """The voxels [from, to) of window `number` that no window before it reaches."""
        end = self.starts[number] + self.window
        return 0 if number == 0 else self.starts[number - 1] + self.window, end


def padding(shape: Sequence[int], window: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Voxels to add before and after each axis, so that a window fits."""
    return tuple(
        ((lacking := max(0, side - size)) // 2, lacking - lacking // 2)
        for size, side in zip(shape, window, strict=True)
    )
