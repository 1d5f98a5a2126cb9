"""What an experiment ended with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dictamen.evaluation.result import Evaluation
from dictamen.experiments.arms import Arm
from dictamen.experiments.table import Comparison


@dataclass(frozen=True)
class ExperimentResult:
    """What an experiment ended with.

    Attributes:
        folder: OUT/<arm>/seed_<n>/{run, predictions, evaluation}, table.md, summary.json, index.html.
        arms: in the order asked for.
        seeds: of each arm.
        evaluations: arm name -> one evaluation a seed.
        comparisons: label -> metrics of each arm with intervals, gains, and the part of the gap that each closes.
    """

    folder: Path
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    evaluations: dict[str, tuple[Evaluation, ...]]
    comparisons: dict[str, Comparison]

    def predictions(self, arm: str, seed: int) -> Path:
        """The folder of an arm's predictions."""
        return self.folder / arm / f"seed_{seed}" / "predictions"

    def run(self, arm: str, seed: int) -> Path:
        """The folder of an arm's training."""
        return self.folder / arm / f"seed_{seed}" / "run"
