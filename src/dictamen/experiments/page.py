"""The page of an experiment: arms side by side, curves over masks, reports and steps, pictures, settings."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from markupsafe import Markup

from dictamen.cohort.store import Cohort
from dictamen.evaluation import html
from dictamen.evaluation.curves import Point, curves
from dictamen.experiments.arms import ALL, FEW, Arm
from dictamen.experiments.result import ExperimentResult
from dictamen.experiments.sections import predictions_section, side_by_side
from dictamen.experiments.table import GAP_METRICS, METRICS, Comparison
from dictamen.training.config import TrainConfig, to_toml

PICTURED = 3
"""Arms whose predictions are shown: few masks, one with reports, all masks, as far as they were run."""


def experiment_page(cohort: Cohort, result: ExperimentResult, base: TrainConfig) -> str:
    """The whole page as HTML."""
    sections: list[str] = []
    for label, comparison in result.comparisons.items():
        sections.append(
            side_by_side(_words(label), comparison, *_gains(comparison), *_by_number(comparison, result.arms))
        )
        sections.append(
            predictions_section(
                f"Predictions: {_words(label)}",
                cohort,
                result,
                label,
                arms=[arm.name for arm in _pictured(result.arms)],
            )
        )
    lead = (
        "Score on the validation studies, mean over seeds (band: from the lowest to the highest seed). "
        "It chooses weights and thresholds; test studies are not looked at."
    )
    sections.append(html.section("Training", html.figure(_training(result), "Validation score by step."), lead=lead))
    settings = Markup("<pre>{}</pre>").format(to_toml(base))
    sections.append(html.section("Settings", html.details("What all arms share", settings)))
    seeds = "seed" if len(result.seeds) == 1 else "seeds"
    return html.page("Arms of supervision", sections, subtitle=f"{len(result.arms)} arms, {len(result.seeds)} {seeds}")


def _gains(comparison: Comparison) -> Iterator[Markup]:
    rows: list[dict[str, html.Cell]] = [
        {
            "Model": comparison.titles[name],
            **{f"Gain in {METRICS[metric]}": gain[metric] for metric in GAP_METRICS},
            **{
                f"Gap closed, {METRICS[metric]}": comparison.gap_closed[name][metric]
                for metric in GAP_METRICS
                if name in comparison.gap_closed
            },
        }
        for name, gain in comparison.gain.items()
    ]
    if rows:
        caption = "Gain: beyond the same few masks alone, paired. Gap closed: 1 is as good as all masks."
        yield html.subsection("What was added to the masks", html.table(rows, caption=caption))


def _by_number(comparison: Comparison, arms: Sequence[Arm]) -> Iterator[Markup]:
    """Curves over the number of masks, and over that of reports, where there are several."""
    numbers: dict[str, Callable[[Arm], int | None]] = {
        "studies with masks": lambda arm: arm.masks,
        "studies with reports": lambda arm: arm.reports,
    }
    level = next((arm for arm in arms if arm.kind == ALL), None)
    for words, number in numbers.items():
        kinds = {arm.kind: arm for arm in arms if number(arm) is not None}
        lines = {kind: [arm for arm in arms if arm.kind == kind and number(arm) is not None] for kind in kinds}
        if not any(len(line) > 1 for line in lines.values()):
            continue
        for metric in GAP_METRICS:
            series = {
                kind: sorted((float(number(arm) or 0), *comparison.values[arm.name][metric].triple) for arm in line)
                for kind, line in lines.items()
                if len(line) > 1
            }
            levels = {level.title: comparison.values[level.name][metric].value} if level else {}
            png = curves(series, x_label=words, y_label=METRICS[metric], levels=levels, by_doubling=True)
            yield html.figure(png, f"{METRICS[metric]} by the number of {words}; bands: 95 % intervals by patient.")


def _training(result: ExperimentResult) -> bytes:
    series = {arm.title: _scores(result, arm) for arm in result.arms}
    return curves(series, x_label="step", y_label="validation score")


def _scores(result: ExperimentResult, arm: Arm) -> list[Point]:
    """Validation score of an arm by step: mean, lowest and highest over seeds."""
    by_step: dict[int, list[float]] = {}
    for seed in result.seeds:
        for line in (result.run(arm.name, seed) / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            if values["event"] == "validation" and not math.isnan(values["score"]):
                by_step.setdefault(values["step"], []).append(values["score"])
    return [(step, float(np.mean(scores)), min(scores), max(scores)) for step, scores in sorted(by_step.items())]


def _pictured(arms: Sequence[Arm]) -> list[Arm]:
    few = [arm for arm in arms if arm.kind == FEW][:1]
    every = [arm for arm in arms if arm.kind == ALL][:1]
    other = [arm for arm in arms if arm.kind not in (FEW, ALL)]
    return [*few, *other[: PICTURED - len(few) - len(every)], *every]


def _words(label: str) -> str:
    return label.replace("_", " ").capitalize()
