"""From answers on regions to the table that the refinement losses take; several raters become one row a region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dictamen.supervision.feedback import Direction, Origin, RegionAnswer
from dictamen.supervision.score_scale import ScoreScale

DIRECTION_CODES: Mapping[Direction, int] = {"over": 1, "under": 2, "mixed": 3, "none": 4}
"""As `losses.region_tables`; 0 is "not answered"."""

ORIGIN_WEIGHT: Mapping[Origin, float] = {"person": 1.0, "simulated": 1.0, "report": 0.5, "comparison": 0.3}
"""A report did not see the mask; another tool is a tool."""

MOST_BALANCE = 4.0
"""A handful of regions must not outweigh all others."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RegionTargets:
    """One row a region 1..K, all arrays [K]; weight 0 and direction 0 where nobody answered.

    Attributes:
        target, lo, hi: Dice between the mask and the refined mask.
        direction: of `DIRECTION_CODES`.
        weight: of an answered region, 1 where a person answered.
    """

    target: FloatArray
    lo: FloatArray
    hi: FloatArray
    direction: npt.NDArray[np.uint8]
    weight: FloatArray

    @property
    def answered(self) -> int:
        """Number of regions with an answer."""
        return int(np.count_nonzero(self.weight))


def region_targets(
    answers: Iterable[RegionAnswer],
    *,
    regions: int,
    scale: ScoreScale | None = None,
    rater_directions: Mapping[int, Direction] | None = None,
) -> RegionTargets:
    """Combine current answers on one mask and scheme.

    Several raters: the mean of their targets, the union of their bins, and the direction that most of them named
    ("mixed" where they are divided between over and under).

    Args:
        answers: `feedback.current_answers` of one (study, label, mask, scheme); skipped ones count nothing.
        regions: K.
        scale: what scores mean.
        rater_directions: region -> direction found by a model of the raters, which replaces the vote.
    """
    scale = scale or ScoreScale()
    given: dict[int, list[RegionAnswer]] = {}
    for answer in answers:
        if answer.score is not None and answer.region <= regions:
            given.setdefault(answer.region, []).append(answer)
    table = RegionTargets(
        target=np.ones(regions, dtype=np.float32),
        lo=np.zeros(regions, dtype=np.float32),
        hi=np.ones(regions, dtype=np.float32),
        direction=np.zeros(regions, dtype=np.uint8),
        weight=np.zeros(regions, dtype=np.float32),
    )
    for region, found in given.items():
        row = region - 1
        scores = [answer.score for answer in found if answer.score is not None]
        table.target[row] = np.mean([scale.target(score) for score in scores])
        table.lo[row] = min(scale.bounds(score)[0] for score in scores)
        table.hi[row] = max(scale.bounds(score)[1] for score in scores)
        named = (rater_directions or {}).get(region) or _vote([answer.direction for answer in found])
        table.direction[row] = DIRECTION_CODES[named]
        table.weight[row] = max(ORIGIN_WEIGHT[answer.origin] for answer in found)
    return table


def balanced(tables: Sequence[RegionTargets]) -> list[RegionTargets]:
    """The tables with weights under which each direction counts the same in sum, at most `MOST_BALANCE` times its own.

    Tools err on one side more often than on the other. Where nine regions in ten are too large or right, a network
    learns not to grow before it has learned where growth is wanted.
    """
    codes = sorted(DIRECTION_CODES.values())
    totals = {code: sum(float(t.weight[t.direction == code].sum()) for t in tables) for code in codes}
    given = [total for total in totals.values() if total > 0]
    if not given:
        return list(tables)
    factor = np.ones(max(codes) + 1, dtype=np.float32)
    for code, total in totals.items():
        if total > 0:
            factor[code] = min(sum(given) / (len(given) * total), MOST_BALANCE)
    return [replace(table, weight=table.weight * factor[table.direction]) for table in tables]


def _vote(directions: list[Direction | None]) -> Direction:
    counts = Counter(direction for direction in directions if direction)
    (first, most), *others = counts.most_common()
    return first if not others or others[0][1] < most else "mixed"
