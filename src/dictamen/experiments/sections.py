"""Sections that the pages of experiments share: what the models predict, and their values side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from dictamen.cohort.store import Cohort
from dictamen.evaluation import html, pictures
from dictamen.evaluation.measure import Measurement
from dictamen.evaluation.page import CONVENTION, LEGEND
from dictamen.evaluation.predictions import Predictions
from dictamen.experiments.result import ExperimentResult
from dictamen.experiments.table import METRICS, Comparison
from dictamen.imaging.geometry import to_canonical
from dictamen.imaging.read import read_label_map

SHOWN = 3
"""Test studies whose predictions are shown: the largest, the median and the smallest lesion."""
PLOTTED = ("dice", "lesion_f1", "lesion_sensitivity", "sensitivity", "specificity", "auc")


def predictions_section(
    title: str, cohort: Cohort, result: ExperimentResult, label: str, *, arms: Sequence[str]
) -> Markup:
    """Predictions of the first seed beside the truth, in test studies chosen by the size of their lesion."""
    blocks: list[str] = [html.legend(LEGEND)]
    for measurement in _shown(result, label, arms[-1]):
        figures = [
            html.figure(
                _picture(cohort, result, arm, measurement.study_id, label),
                _caption(result, arm, measurement.study_id, label),
            )
            for arm in arms
        ]
        size = measurement.overlap.truth_mm3 / 1000 if measurement.overlap else float("nan")
        blocks.append(
            html.subsection(
                f"Test study {measurement.study_id}: {size:.1f} ml of {label.replace('_', ' ')}", html.columns(*figures)
            )
        )
    lead = (
        "The test studies with the largest, the median and the smallest true lesion volume, "
        f"chosen before looking. {CONVENTION}"
    )
    return html.section(title, *blocks, lead=lead)


def side_by_side(title: str, comparison: Comparison, *more: Markup) -> Markup:
    """Values of all arms with intervals, as a plot and as a table; then `more`."""
    rows: list[dict[str, html.Cell]] = [
        {"Model": words, **{METRICS[metric]: comparison.values[name][metric] for metric in METRICS}}
        for name, words in comparison.titles.items()
    ]
    plot = pictures.compare_intervals(
        {
            words: {METRICS[m]: comparison.values[name][m].triple for m in PLOTTED}
            for name, words in comparison.titles.items()
        }
    )
    return html.section(title, html.figure(plot, "Values with 95 % intervals by patient."), html.table(rows), *more)


def _shown(result: ExperimentResult, label: str, arm: str) -> list[Measurement]:
    own = [
        m
        for m in result.evaluations[arm][0].measurements
        if m.label == label and m.side is None and m.overlap and m.truth == "present"
    ]
    ranked = sorted(own, key=lambda m: -m.overlap.truth_mm3 if m.overlap else 0.0)
    places = sorted({0, len(ranked) // 2, len(ranked) - 1}) if ranked else []
    return [ranked[place] for place in places][:SHOWN]


def _picture(cohort: Cohort, result: ExperimentResult, arm: str, study_id: str, label: str) -> bytes:
    study = cohort.study(study_id)
    predictions = Predictions.open(result.predictions(arm, result.seeds[0]))
    predicted = to_canonical(read_label_map(predictions.files[study_id], study_id)).array[0]
    wanted = [value for value, name in predictions.labels.items() if name == label]
    truth = np.isin(
        study.level("lesions", 0), [value for value, name in cohort.info.lesion_labels.items() if name == label]
    )
    x, y, z = np.linalg.norm(study.native_affine[:3, :3], axis=0).tolist()
    return pictures.slices(study.level("image", 0), truth, np.isin(predicted, wanted), spacing_mm=(x, y, z))


def _caption(result: ExperimentResult, arm: str, study_id: str, label: str) -> str:
    title = next(a.title for a in result.arms if a.name == arm)
    found = next(
        m
        for m in result.evaluations[arm][0].measurements
        if m.study_id == study_id and m.label == label and m.side is None
    )
    return f"{title}: Dice {found.overlap.dice:.2f}" if found.overlap else title
