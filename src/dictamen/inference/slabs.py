"""Weighted sums of windows, kept only where a window is still to come.

Windows slide in rows, to and fro, one slab of the volume after the other. A window lies half in the slab that windows
before it have begun, half in the next one. Where a row has passed, its slab is complete and given away, and the next
one takes its place: both share a buffer, in which the next one lies a window aside. On the way back they change roles.
So the buffer is half as deep as a window, and nothing is moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from dictamen.inference.windows import Axis

Spans = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Voxels [from, to) along x, y, z."""
SMALL = 1 << 17
"""Voxels of a slab's cross-section."""


class Slabs:
    """Sums [F, x, y, z] of one volume, in progress.

    Slabs are cut along x, since their parts lie together in memory. Those of large volumes that are longer along z are
    cut along z: the buffer has a slab's cross-section.

    Args:
        along: the axes x, y, z.

    Attributes:
        axes: along which slabs, rows, and windows of a row follow each other.
    """

    def __init__(self, along: Sequence[Axis]) -> None:
        x, y, z = along
        self.weights = x.weights[:, None, None] * y.weights[:, None] * z.weights
        small = len(y.total) * len(z.total) <= SMALL or len(z.total) <= len(x.total)
        self.axes = (0, 1, 2) if small else (2, 0, 1)
        self._across, self._rows, self._columns = (along[axis] for axis in self.axes)
        steps = [end - begin for begin, end in map(self._across.finished, range(len(self._across.starts) - 1))]
        window = self._across.window
        self._deep = max([window - window // 2, *steps, *(window - step for step in steps)])
        self._slab, self._row, self._front = 0, 0, 0
        self._buffer: Tensor | None = None

    def rows(self) -> Iterator[tuple[int, int]]:
        """Numbers of each slab and row of windows, in the order in which they are to be added."""
        rows = range(len(self._rows.starts))
        for slab in range(len(self._across.starts)):
            yield from ((slab, row) for row in (rows if self._forth(slab) else rows[::-1]))

    @staticmethod
    def _forth(slab: int) -> bool:
        """Whether the rows of a slab rise."""
        return slab % 2 == 0

    def corner(self, slab: int, row: int, column: int) -> tuple[int, int, int]:
        """First voxel of a window."""
        starts = (self._across.starts[slab], self._rows.starts[row], self._columns.starts[column])
        x, y, z = (starts[self.axes.index(axis)] for axis in range(3))
        return x, y, z

    @property
    def columns(self) -> range:
        """Numbers of the windows in a row."""
        return range(len(self._columns.starts))

    def begin(self, slab: int, row: int) -> None:
        """Go on to a row of windows."""
        self._slab, self._row = slab, row
        begin, end = self._across.finished(slab)
        self._front = min(end - begin, self._deep)
        if self._buffer is None:
            return
        reached = slice(*(self._rows.reached(row) if self._forth(slab) else self._rows.finished(row)))
        before = self._across.starts[slab - 1] + self._across.window if slab else begin
        both = max(0, before - begin - self._front)
        current, following = self._halves()
        following[self._at(slice(both), reached)] = current[self._at(slice(self._front, self._front + both), reached)]
        following[self._at(slice(both, None), reached)] = 0

    def add(self, column: int, channels: Tensor) -> None:
        """Add what was found in a window of the row, [F, x, y, z]."""
        if self._buffer is None:
            sizes = (self._deep, len(self._rows.total) + self._rows.window, len(self._columns.total))
            self._buffer = torch.zeros((len(channels), *(sizes[self.axes.index(axis)] for axis in range(3))))
        first_row, first = self._rows.starts[self._row], self._columns.starts[column]
        row = slice(first_row, first_row + self._rows.window)
        place = slice(first, first + self._columns.window)
        parts = slice(0, self._front), slice(self._front, self._across.window)
        for half, part in zip(self._halves(), parts, strict=True):
            seen = self._at(part, slice(None))
            half[self._at(slice(part.stop - part.start), row, place)].addcmul_(channels[seen], self.weights[seen[1:]])

    def complete(self) -> list[Spans]:
        """Parts to which nothing will be added any more, since the last row."""
        row = self._rows.finished(self._row) if self._forth(self._slab) else self._rows.reached(self._row)
        begin, end = self._across.finished(self._slab)
        found = []
        for depth in ((begin, begin + self._front), (begin + self._front, end)):
            spans = (depth, row, (0, len(self._columns.total)))
            x, y, z = (spans[self.axes.index(axis)] for axis in range(3))
            if depth[0] < depth[1]:
                found.append((x, y, z))
        return found

    def part(self, place: Spans) -> Tensor:
        """The sums in one of the parts that are complete, or in a part of it; a view."""
        depth, row, column = (place[axis] for axis in self.axes)
        begin = self._across.starts[self._slab]
        following = depth[0] >= begin + self._front
        first = begin + self._front if following else begin
        half = self._halves()[int(following)]
        return half[self._at(slice(depth[0] - first, depth[1] - first), slice(*row), slice(*column))]

    def _halves(self) -> tuple[Tensor, Tensor]:
        """The slab that earlier windows have begun, and the next one."""
        if self._buffer is None:
            raise RuntimeError("No window was added yet.")
        aside = self._buffer[self._at(slice(None), slice(self._rows.window, None))]
        return (aside, self._buffer) if self._forth(self._slab) else (self._buffer, aside)

    def _at(self, depth: slice, row: slice, column: slice = slice(None)) -> tuple[slice, ...]:
        """An index of [F, x, y, z]."""
        parts = (depth, row, column)
        return (slice(None), *(parts[self.axes.index(axis)] for axis in range(3)))
