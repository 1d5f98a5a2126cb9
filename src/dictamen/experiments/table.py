"""The table of an experiment: each arm's metrics, seed by seed and together, and the gap that reports close."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dictamen.evaluation.bootstrap import Estimate
from dictamen.evaluation.compare import STATISTICS, Arms
from dictamen.evaluation.result import Evaluation

METRICS = {
    "dice": "Dice",
    "nsd": "NSD",
    "lesion_f1": "lesion F1",
    "lesion_sensitivity": "lesion sensitivity",
    "false_positives_per_study": "FP per study",
    "sensitivity": "study sensitivity",
    "specificity": "study specificity",
    "auc": "study AUC",
}
GAP_METRICS = ("dice", "lesion_f1", "auc")


@dataclass(frozen=True)
class Comparison:
    """Arms on the same studies.

    Attributes:
        label: of what.
        titles: arm name -> words.
        values: arm name -> metric -> mean over seeds with the 95 % interval by patient.
        spread: arm name -> metric -> standard deviation over seeds; nan with one seed.
        gap_closed: metric -> (reports - few) / (all - few); empty without these three arms.
        gain: metric -> reports - few, paired; empty without these two arms.
        studies: how many studies all arms share.
        seeds: how many.
    """

    label: str
    titles: Mapping[str, str]
    values: Mapping[str, Mapping[str, Estimate]]
    spread: Mapping[str, Mapping[str, float]]
    gap_closed: Mapping[str, Estimate]
    gain: Mapping[str, Estimate]
    studies: int
    seeds: int

    def markdown(self) -> str:
        """The table as Markdown."""
        head = (
            f"### {self.label}: {self.studies} studies, {self.seeds} seeds; "
            "mean [95 % interval by patient] (standard deviation over seeds)\n"
        )
        lines = [head, "| arm | " + " | ".join(METRICS.values()) + " |", "|---" * (len(METRICS) + 1) + "|"]
        for name, title in self.titles.items():
            cells = [_cell(self.values[name][metric], self.spread[name][metric]) for metric in METRICS]
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
        for words, row in (("gain by reports", self.gain), ("gap closed", self.gap_closed)):
            if row:
                lines.append(f"| {words} | " + " | ".join(_cell(row[m]) if m in row else "" for m in METRICS) + " |")
        return "\n".join(lines) + "\n"

    def to_json(self) -> dict[str, Any]:
        """Plain values, nan as null."""
        return {
            "studies": self.studies,
            "seeds": self.seeds,
            "arms": {
                name: {
                    metric: {**value.to_json(), "seed_std": _plain(self.spread[name][metric])}
                    for metric, value in row.items()
                }
                for name, row in self.values.items()
            },
            "gap_closed": {metric: value.to_json() for metric, value in self.gap_closed.items()},
            "gain": {metric: value.to_json() for metric, value in self.gain.items()},
        }


def compare(
    arms: Arms,
    evaluations: Mapping[str, Sequence[Evaluation]],
    label: str,
    *,
    titles: Mapping[str, str],
    gap: tuple[str, str, str] | None = None,
    pair: tuple[str, str] | None = None,
) -> Comparison:
    """Compute the table of one label.

    Args:
        arms: the arms on their common studies.
        evaluations: the same arms, one evaluation a seed.
        gap: names of the arms few, reports, all.
        pair: names of the arms few, reports.
    """
    values = {name: {metric: arms.value(name, metric) for metric in METRICS} for name in titles}
    spread = {
        name: {metric: _spread(seeds, label, metric) for metric in METRICS} for name, seeds in evaluations.items()
    }
    return Comparison(
        label=label,
        titles=dict(titles),
        values=values,
        spread=spread,
        gap_closed={metric: arms.gap_closed(*gap, metric) for metric in GAP_METRICS} if gap else {},
        gain={metric: arms.difference(*pair, metric) for metric in GAP_METRICS} if pair else {},
        studies=len(arms.studies),
        seeds=max(len(seeds) for seeds in evaluations.values()),
    )


def _spread(seeds: Sequence[Evaluation], label: str, metric: str) -> float:
    """Standard deviation of the metric over seeds."""
    if len(seeds) < 2:
        return math.nan
    whole = [[m for m in e.measurements if m.label == label and m.side is None and m.truth != "unknown"] for e in seeds]
    return float(np.std([STATISTICS[metric](studies)(np.ones((1, len(studies))))[0] for studies in whole], ddof=1))


def _cell(value: Estimate, spread: float = math.nan) -> str:
    if math.isnan(value.value):
        return "–"
    interval = "" if math.isnan(value.lo) else f" [{value.lo:.2f}, {value.hi:.2f}]"
    return f"{value.value:.3f}{interval}" + ("" if math.isnan(spread) else f" ({spread:.3f})")


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
