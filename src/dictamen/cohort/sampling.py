"""Which studies make the batch of a step, and where a patch starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from dictamen.errors import UsageError

Triple = tuple[int, int, int]
Box = npt.NDArray[np.int64]
"""[2, 3]: first voxel, and one past the last voxel, along x, y, z."""

JITTER = 0.25
"""Patch centres move by up to this share of the patch: enough variety, while the point stays well inside the patch."""


class StratifiedSampler:
    """k studies of one group and m of another in every batch, each group shuffled anew in each of its epochs.

    A pure function of (seed, step): any step can be asked for at any time, so resuming needs no state.

    Args:
        groups: name -> study ids, e.g. {"masks": [...], "report": [...]}.
        per_batch: name -> how many of them each batch holds; 0 leaves a group out.
        seed: another seed gives other orders.

    Raises:
        UsageError: a group that should give studies is missing or empty, or a count is negative.
    """

    def __init__(self, groups: Mapping[str, Sequence[str]], per_batch: Mapping[str, int], seed: int) -> None:
        for name, count in per_batch.items():
            if count < 0:
                raise UsageError("`per_batch` must not be negative.", where=name, got=count)
            if count and not groups.get(name):
                raise UsageError(
                    f"A batch should hold {count} studies of the group `{name}`, and the group is empty.",
                    expected=f"one of {sorted(key for key, ids in groups.items() if ids)}",
                    next_step="change the counts, or add such studies to the cohort",
                )
        self.groups = {name: tuple(groups[name]) for name, count in per_batch.items() if count}
        self.per_batch = {name: count for name, count in per_batch.items() if count}
        self.seed = seed
        self._shuffled = lru_cache(maxsize=2 * max(1, len(self.groups)))(self._shuffle)

    def batch(self, step: int) -> list[tuple[str, str]]:
        """(group, study_id) of each item of the batch of `step` (0, 1, 2 ...), groups in the order of `per_batch`."""
        return [
            (name, self._draw(name, step * count + place))
            for name, count in self.per_batch.items()
            for place in range(count)
        ]

    def steps_per_epoch(self, group: str) -> int:
        """Steps after which every study of `group` was seen at least once."""
        return -(-len(self.groups[group]) // self.per_batch[group])

    def _draw(self, group: str, position: int) -> str:
        epoch, place = divmod(position, len(self.groups[group]))
        return self._shuffled(group, epoch)[place]

    def _shuffle(self, group: str, epoch: int) -> list[str]:
        # sorting by a hash gives the same order with every version of every library
        key = f"{self.seed}\0{group}\0{epoch}\0"
        return sorted(self.groups[group], key=lambda study: blake2b((key + study).encode(), digest_size=8).digest())

    def __reduce__(self) -> tuple[type[StratifiedSampler], tuple[object, ...]]:
        # the cache stays behind: processes make their own
        return type(self), (self.groups, self.per_batch, self.seed)


def patch_start(
    shape: Sequence[int], size: Sequence[int], *, box: npt.ArrayLike | None = None, rng: np.random.Generator
) -> Triple:
    """First voxel of a patch of `size` voxels in a volume of `shape` voxels, both (x, y, z).

    With a `box` ([[lo], [hi]], hi exclusive) the patch is centred on a random point of the box, moved by up to `JITTER`
    of its size; without, every position that fits is equally likely. A patch that fits stays inside the volume; along
    an axis that is shorter than the patch the volume is centred in it, so that the start is negative there.
    """
    extent, window = np.asarray(shape, dtype=np.int64), np.asarray(size, dtype=np.int64)
    last = extent - window
    if box is None:
        start = np.floor(rng.random(3) * (last + 1)).astype(np.int64)
    else:
        lo, hi = np.asarray(box, dtype=np.int64)
        point = lo + np.floor(rng.random(3) * np.maximum(hi - lo, 1)).astype(np.int64)
        shift = np.rint((rng.random(3) * 2 - 1) * JITTER * window).astype(np.int64)
        start = point - window // 2 + shift
    start = np.where(last >= 0, np.clip(start, 0, np.maximum(last, 0)), -((-last) // 2))
    x, y, z = start.tolist()
    return x, y, z


def start_containing(
    shape: Sequence[int], size: Sequence[int], box: npt.ArrayLike, *, rng: np.random.Generator
) -> Triple:
    """First voxel of a patch that holds the whole box ([[lo], [hi]], hi exclusive) wherever the patch is large enough.

    Every such position is equally likely; along an axis where the box is larger than the patch, the patch lies at a
    random place within it. The patch may reach beyond the volume, but along each axis that is longer than the patch it
    stays inside.
    """
    extent, window = np.asarray(shape, dtype=np.int64), np.asarray(size, dtype=np.int64)
    lo, hi = np.asarray(box, dtype=np.int64)
    first, last = np.minimum(lo, hi - window), np.maximum(lo, hi - window)
    inside = extent >= window
    first = np.where(inside, np.clip(first, 0, extent - window), first)
    last = np.where(inside, np.clip(last, 0, extent - window), last)
    x, y, z = (first + np.floor(rng.random(3) * (last - first + 1)).astype(np.int64)).tolist()
    return x, y, z
