"""The table of an experiment: each arm's metrics, seed by seed and together, what each
adds to the few masks alone, and the part of the gap to all masks that this closes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dictamen.evaluation.bootstrap import Estimate
from dictamen.evaluation.compare import STATISTICS
from dictamen.evaluation.compare import Arms as Measured
from dictamen.evaluation.result import Evaluation
from dictamen.experiments.arms import ALL, FEW, Arm

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
        gain: arm name -> metric -> arm - the same few masks alone, paired; of every arm that has more than these masks.
        gap_closed: arm name -> metric -> (arm - few) / (all - few), where the arm of all masks was run too.
        studies: how many studies all arms share.
        seeds: how many.
    """

    label: str
    titles: Mapping[str, str]
    values: Mapping[str, Mapping[str, Estimate]]
    spread: Mapping[str, Mapping[str, float]]
    gain: Mapping[str, Mapping[str, Estimate]]
    gap_closed: Mapping[str, Mapping[str, Estimate]]
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
            lines.append(
                _line(title, [_cell(self.values[name][metric], self.spread[name][metric]) for metric in METRICS])
            )
        for words, rows in (("gain", self.gain), ("gap closed", self.gap_closed)):
            for name, row in rows.items():
                cells = [_cell(row[metric]) if metric in row else "" for metric in METRICS]
                lines.append(_line(f"{words}: {self.titles[name]}", cells))
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
            "gain": _rows_json(self.gain),
            "gap_closed": _rows_json(self.gap_closed),
        }


def compare(
    measured: Measured, evaluations: Mapping[str, Sequence[Evaluation]], label: str, arms: Sequence[Arm]
) -> Comparison:
    """Compute the table of one label.

    Args:
        measured: the arms on their common studies.
        evaluations: the same arms, one evaluation a seed.
        arms: in the order of the table.
    """
    few = {arm.masks: arm.name for arm in arms if arm.kind == FEW}
    every = next((arm.name for arm in arms if arm.kind == ALL), None)
    more = {arm.name: few[arm.masks] for arm in arms if arm.kind not in (FEW, ALL) and arm.masks in few}
    return Comparison(
        label=label,
        titles={arm.name: arm.title for arm in arms},
        values={arm.name: {metric: measured.value(arm.name, metric) for metric in METRICS} for arm in arms},
        spread={
            name: {metric: _spread(seeds, label, metric) for metric in METRICS} for name, seeds in evaluations.items()
        },
        gain={
            name: {metric: measured.difference(base, name, metric) for metric in GAP_METRICS}
            for name, base in more.items()
        },
        gap_closed={
            name: {metric: measured.gap_closed(base, name, every, metric) for metric in GAP_METRICS}
            for name, base in more.items()
            if every is not None
        },
        studies=len(measured.studies),
        seeds=max(len(seeds) for seeds in evaluations.values()),
    )


def _line(title: str, cells: Sequence[str]) -> str:
    return f"| {title} | " + " | ".join(cells) + " |"


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


def _rows_json(rows: Mapping[str, Mapping[str, Estimate]]) -> dict[str, Any]:
    return {name: {metric: value.to_json() for metric, value in row.items()} for name, row in rows.items()}


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
