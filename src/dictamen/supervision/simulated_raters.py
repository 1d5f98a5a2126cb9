"""Raters for experiments: they see the truth, and say no more than a person would."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dictamen.errors import UsageError
from dictamen.supervision.feedback import PERFECT, Direction
from dictamen.supervision.region_errors import RegionError
from dictamen.supervision.score_scale import ScoreScale

WRONG_SIDE: dict[Direction, Direction] = {"over": "under", "under": "over", "mixed": "over"}


@dataclass(frozen=True)
class SimulatedRater:
    """Scores regions by their true Dice, with mistakes.

    Args:
        score_noise: probability that a score is one too high or too low.
        direction_noise: probability that a direction is another one.
        scale: cut points of the rater.
        seed: of its mistakes.
    """

    score_noise: float = 0.0
    direction_noise: float = 0.0
    scale: ScoreScale = field(default_factory=ScoreScale)
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.score_noise <= 1 and 0 <= self.direction_noise <= 1):
            raise UsageError(
                "Noise of a simulated rater is a probability.", got=(self.score_noise, self.direction_noise)
            )

    def rate(self, errors: list[RegionError], *, case: int = 0) -> list[tuple[int, Direction]]:
        """(score, direction) of each region; "none" exactly with 5. `case` numbers the study, for its own mistakes."""
        rng = np.random.default_rng([self.seed, case])
        return [self._one(error, rng) for error in errors]

    def _one(self, error: RegionError, rng: np.random.Generator) -> tuple[int, Direction]:
        slip, step, turn = rng.random(), rng.choice([-1, 1]), rng.random()
        score = self.scale.score_of(error.dice)
        if slip < self.score_noise:
            score = int(np.clip(score + step, 1, PERFECT))
        if score == PERFECT:
            return score, "none"
        direction: Direction = error.direction if error.direction != "none" else ("over" if step > 0 else "under")
        return score, WRONG_SIDE[direction] if turn < self.direction_noise else direction
