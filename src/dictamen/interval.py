"""Closed intervals, possibly unbounded: how many, how large, how much, when nobody knows exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dictamen.errors import InputError


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval [lo, hi] with 0 <= lo <= hi <= inf.

    Absent is [0, 0], unknown is [0, inf]. Units are those of the field that holds it.
    """

    lo: float = 0.0
    hi: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.lo <= self.hi:
            raise InputError("An interval must have 0 <= lo <= hi.", got=(self.lo, self.hi))

    @classmethod
    def exact(cls, value: float) -> Interval:
        """[value, value]."""
        return cls(value, value)

    @classmethod
    def from_json(cls, pair: Sequence[float | None]) -> Interval:
        """From [lo, hi], where null means open."""
        lo, hi = pair
        return cls(lo if lo is not None else 0.0, hi if hi is not None else math.inf)

    def to_json(self) -> list[float | None]:
        """[lo, hi] with null for an open end."""
        return [self.lo, None if math.isinf(self.hi) else self.hi]

    @property
    def is_absent(self) -> bool:
        """Whether nothing but 0 is allowed."""
        return self.hi == 0

    def __contains__(self, value: float) -> bool:
        return self.lo <= value <= self.hi

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.lo + other.lo, self.hi + other.hi)

    def __mul__(self, factor: float) -> Interval:
        return Interval(self.lo * factor, self.hi * factor)
