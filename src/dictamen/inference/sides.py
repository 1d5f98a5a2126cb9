"""Labels with a side ("kidney_left") under mirroring from left to right."""

from __future__ import annotations

import re
from collections.abc import Sequence

X, Y = 0, 1
OTHER = {"left": "right", "right": "left"}
SIDE = re.compile(r"(?<![a-z])(left|right)(?![a-z])", re.IGNORECASE)
"""The word in a label's name, not a part of another one."""


def mirrored_name(name: str) -> str:
    """The label of the mirror image: "kidney_left" of "kidney_right"; a name without a side is its own."""
    return SIDE.sub(lambda found: OTHER[found[0].lower()], name)


def mirror_partners(names: Sequence[str]) -> tuple[int, ...] | None:
    """For each label that of its mirror image; None where one is missing."""
    mirrored = [mirrored_name(name) for name in names]
    return tuple(names.index(name) for name in mirrored) if set(mirrored) <= set(names) else None


def mirror_axes(names: Sequence[str]) -> tuple[int, ...]:
    """Axes for test-time mirroring: x and y, along which training mirrors; nobody lies head to feet.

    Not x where only one side is a label: the mirror image of the other one would be taken for it.
    """
    return (X, Y) if mirror_partners(names) is not None else (Y,)
