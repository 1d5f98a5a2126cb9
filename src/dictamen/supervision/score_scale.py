"""From a score to how much should change: a score is an ordinal reading of the Dice of mask and truth in a region.

If the refined mask p lies on the side that the direction names, its Dice D with the initial mask y0 fixes how much is
to change (sizes in voxels of the region, Y = |y0|):
  over:  p within y0, D = 2 P / (P + Y), so the fraction of y0 to remove is a = 1 - P/Y = 2 (1 - D) / (2 - D)
  under: y0 within p, D = 2 Y / (P + Y), so the fraction to add is b = P/Y - 1 = 2 (1 - D) / D
That is how a score stands in for a mask. Independent implementation of the idea published in arXiv 2511.02576; the cut
points are ours.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dictamen.errors import InputError
from dictamen.supervision.feedback import PERFECT

CUTS = (0.70, 0.85, 0.92, 0.97)
"""Dice at which a score turns into the next better one."""
FEWEST_GOLD = 5
"""Gold regions of a score from which its target is measured rather than the middle of its bin."""


def fraction_to_remove(dice: float) -> float:
    """a(D): the part of the mask to remove where it is too large only; 0 at D = 1, 1 at D = 0."""
    return 2 * (1 - dice) / (2 - dice)


def fraction_to_add(dice: float) -> float:
    """b(D): what to add, as a part of the mask, where it is too small only; 0 at D = 1, inf at D = 0."""
    return 2 * (1 - dice) / dice if dice > 0 else float("inf")


@dataclass(frozen=True, slots=True)
class ScoreScale:
    """What the scores 1..5 mean in Dice.

    Attributes:
        cuts: the four Dice values between the five scores, ascending in (0, 1).
        targets: the Dice that each score stands for, ascending; the middle of each bin, or calibrated.
        noise: standard deviation, in Dice, of how raters read it (of the ordinal model).
    """

    cuts: tuple[float, float, float, float] = CUTS
    targets: tuple[float, float, float, float, float] = (0.35, 0.775, 0.885, 0.945, 0.985)
    noise: float = 0.03

    def __post_init__(self) -> None:
        if list(self.cuts) != sorted(set(self.cuts)) or not 0 < self.cuts[0] < self.cuts[-1] < 1:
            raise InputError("The cut points of a score scale must ascend within (0, 1).", got=self.cuts)
        if list(self.targets) != sorted(self.targets) or not 0 <= self.targets[0] <= self.targets[-1] <= 1:
            raise InputError("The targets of a score scale must not descend, within [0, 1].", got=self.targets)

    def score_of(self, dice: float) -> int:
        """The score 1..5 of a Dice in [0, 1]; a Dice at a cut has the better score."""
        return bisect_right(self.cuts, dice) + 1

    def target(self, score: int) -> float:
        """The Dice that a score stands for."""
        return self.targets[score - 1]

    def bounds(self, score: int) -> tuple[float, float]:
        """The bin of a score."""
        edges = (0.0, *self.cuts, 1.0)
        return edges[score - 1], edges[score]


def calibrated(scores: Sequence[int], dice: Sequence[float], *, scale: ScoreScale | None = None) -> ScoreScale:
    """Targets measured on gold regions: the mean true Dice of each score, where there are `FEWEST_GOLD` of it.

    Scores with fewer keep their target; targets are then made not to descend (running maximum), since noisy raters
    can turn two of them round.

    Args:
        scores: 1..5, of raters on gold regions.
        dice: true Dice of mask and truth in the same regions.
        scale: what holds without gold regions.
    """
    scale = scale or ScoreScale()
    given, true = np.asarray(scores, dtype=np.int64), np.asarray(dice, dtype=np.float64)
    if given.shape != true.shape or given.ndim != 1:
        raise InputError("Each gold region needs a score and a Dice.", got=(given.shape, true.shape))
    targets = [
        float(true[given == score].mean()) if np.count_nonzero(given == score) >= FEWEST_GOLD else scale.target(score)
        for score in range(1, PERFECT + 1)
    ]
    one, two, three, four, five = np.maximum.accumulate(np.clip(targets, 0, 1)).tolist()
    return ScoreScale(cuts=scale.cuts, targets=(one, two, three, four, five), noise=scale.noise)
