"""The page of one evaluation, out of the blocks of `html`. Its parts serve pages that compare models too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from markupsafe import Markup

from dictamen.errors import DictamenError
from dictamen.evaluation import html, pictures
from dictamen.evaluation.bootstrap import Estimate
from dictamen.evaluation.label_pairs import LabelPair
from dictamen.evaluation.measure import Measurement
from dictamen.evaluation.result import Evaluation
from dictamen.evaluation.study import StudyTask, read_prediction
from dictamen.evaluation.summary import LabelSummary

METRIC_NAMES = {
    "dice": "Dice",
    "iou": "IoU",
    "nsd": "Surface Dice (NSD)",
    "hd95_mm": "HD95, mm",
    "assd_mm": "Average surface distance, mm",
    "volume_difference": "Relative volume difference",
    "false_positive_ml_without_lesion": "False-positive volume in studies without lesion, ml",
    "lesion_sensitivity": "Lesion sensitivity",
    "lesion_precision": "Lesion precision",
    "lesion_f1": "Lesion F1",
    "false_positives_per_study": "False positives per study",
    "count_error": "Error of the lesion count",
    "diameter_error_mm": "Error of the largest diameter, mm",
    "report_count_error": "Error of the count, against reports",
    "report_diameter_error_mm": "Error of the largest diameter, against reports, mm",
    "report_part_agreement": "Volume within the reported part",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "specificity_healthy": "Specificity, healthy",
    "specificity_disease_elsewhere": "Specificity, disease elsewhere",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
    "auc": "AUC",
}
"""Words for metrics; what is missing here is shown by its key."""
CARDS = ("dice", "lesion_f1", "lesion_sensitivity", "false_positives_per_study")
STUDY_CARDS = {"sensitivity": "Study sensitivity", "specificity": "Study specificity", "auc": "Study AUC"}
GROUPS = {"study": "whole study", "left": "left side", "right": "right side"}
ROW_COLUMNS = {
    "study_id": "Study",
    "against": "Judged by",
    "truth": "Truth",
    "predicted": "Predicted",
    "score": "Score",
    "dice": "Dice",
    "nsd": "NSD",
    "hd95_mm": "HD95, mm",
    "lesions": "Lesions",
    "lesions_found": "Found",
    "false_positives": "False pos.",
    "truth_mm3": "True mm³",
    "prediction_mm3": "Predicted mm³",
    "diameter_error_mm": "Diameter error, mm",
    "count_error": "Count error",
    "part_agreement": "In part",
}
PICTURE_KINDS = ("best", "median", "worst", "most false-positive volume")
LEGEND = {"truth (solid)": ("mark-truth", "——"), "prediction (dashed)": ("mark-prediction", "– –")}
CONVENTION = (
    "Radiological view: the patient's right (R) is on the left of axial and coronal slices; A anterior, P posterior. "
    "Soft tissue window, -160 to 240 HU."
)


def with_page(
    evaluation: Evaluation, tasks: Sequence[StudyTask], pairs: Sequence[LabelPair], *, title: str, pictures: bool = True
) -> Evaluation:
    """The evaluation with its page."""
    by_id = {task.study_id: task for task in tasks}
    sections: list[str] = [_overview(evaluation)]
    for pair in pairs:
        if pair.name not in evaluation.labels:
            continue
        sections.append(label_section(evaluation.labels[pair.name]))
        own = [m for m in evaluation.measurements if m.label == pair.name and m.side is None]
        if pictures:
            sections.append(picture_section(pair, own, by_id))
        sections.append(study_section(pair.name, own))
    return replace(evaluation, html=html.page(title, sections, subtitle=_subtitle(evaluation)))


def label_section(summary: LabelSummary) -> Markup:
    """Key numbers, all metrics with intervals, size strata, and the study-level table of one label."""
    study = summary.study_level.get("study", {})
    numbers = {METRIC_NAMES[k]: summary.metrics[k] for k in CARDS if k in summary.metrics}
    numbers |= {STUDY_CARDS[k]: study[k] for k in STUDY_CARDS if k in study}
    blocks = [html.cards(numbers)]
    if summary.metrics:
        blocks.append(html.subsection("Voxels and lesions", metric_table(summary.metrics)))
    if summary.strata:
        blocks.append(html.subsection("By size", strata_table(summary.strata)))
    blocks.append(
        html.subsection(
            "Is there a lesion?",
            study_level_table(summary.study_level),
            html.paragraph(_score_note(summary), muted=True),
        )
    )
    return html.section(_words(summary.label), *blocks, lead=_counts(summary))


def metric_table(metrics: Mapping[str, Estimate]) -> Markup:
    """One row a metric, with its interval and on how many it rests."""
    rows: list[dict[str, html.Cell]] = [
        {"Metric": METRIC_NAMES.get(name, name), "Mean": value.value, "95 % interval": _interval(value), "n": value.n}
        for name, value in metrics.items()
    ]
    return html.table(
        rows, caption="n counts studies for voxel metrics, lesions for lesion metrics. Intervals: bootstrap by patient."
    )


def strata_table(strata: Mapping[str, Mapping[str, Estimate]]) -> Markup:
    """One row a size stratum."""
    rows: list[dict[str, html.Cell]] = [
        {
            "Longest axial diameter": name,
            "Lesions": metrics["lesion_sensitivity"].n,
            **{METRIC_NAMES[key]: value for key, value in metrics.items()},
        }
        for name, metrics in strata.items()
    ]
    return html.table(
        rows, caption="By the diameter of the true lesion; a false positive counts in the stratum of its own diameter."
    )


def study_level_table(groups: Mapping[str, Mapping[str, Estimate]]) -> Markup:
    """One row a metric, one column for whole studies and one for each side."""
    metrics = list(dict.fromkeys(metric for values in groups.values() for metric in values))
    undefined = Estimate(float("nan"))
    rows: list[dict[str, html.Cell]] = [
        {
            "Metric": METRIC_NAMES.get(metric, metric),
            **{GROUPS.get(name, name).capitalize(): values.get(metric, undefined) for name, values in groups.items()},
            "n": groups["study"][metric].n if "study" in groups else None,
        }
        for metric in metrics
    ]
    return html.table(
        rows,
        caption="n counts the studies that a value rests on. Where all agree, the bootstrap interval has no width.",
    )


def study_section(label: str, measurements: Sequence[Measurement]) -> Markup:
    """The sortable table of all studies."""
    full = [m.row() for m in measurements]
    used = [column for column in ROW_COLUMNS if any(row.get(column) is not None for row in full)]
    rows: list[dict[str, html.Cell]] = [{column: _cell(column, row.get(column)) for column in used} for row in full]
    words = f"Every study: {_words(label)}"
    return html.section(
        words, html.table(rows, sortable=True, headings=ROW_COLUMNS), lead="A click on a heading sorts."
    )


def picture_section(pair: LabelPair, measurements: Sequence[Measurement], tasks: Mapping[str, StudyTask]) -> Markup:
    """Slices of the best, median and worst study by Dice, and of the one with the most false-positive volume."""
    figures = []
    for kind, measurement in chosen_studies(measurements).items():
        task = tasks[measurement.study_id]
        try:
            png = study_picture(task, pair)
        except DictamenError:
            continue  # it was measured: a picture that can't be drawn must not cost the numbers
        figures.append(html.figure(png, _caption(kind, measurement)))
    body = [html.legend(LEGEND), *figures] if figures else [html.paragraph("No study could be shown.")]
    return html.section(f"Pictures: {_words(pair.name)}", *body, lead=CONVENTION)


def chosen_studies(measurements: Sequence[Measurement]) -> dict[str, Measurement]:
    """Best, median, worst study by Dice (of those with the lesion), and the negative one with most false positives."""
    ranked = sorted((m for m in measurements if m.overlap and m.truth == "present"), key=_dice, reverse=True)
    places = dict(zip(PICTURE_KINDS, (0, len(ranked) // 2, len(ranked) - 1), strict=False)) if ranked else {}
    chosen: dict[str, Measurement] = {}
    for kind, place in places.items():
        if ranked[place] not in chosen.values():
            chosen[kind] = ranked[place]
    wrong = [m for m in measurements if m.truth == "absent" and m.predicted]
    if wrong:
        chosen[PICTURE_KINDS[3]] = max(wrong, key=lambda m: m.overlap.false_positive_mm3 if m.overlap else m.score)
    if not chosen:  # against reports alone: a positive one
        chosen = {"largest prediction": max(measurements, key=lambda m: (m.predicted, m.score))} if measurements else {}
    return chosen


def study_picture(task: StudyTask, pair: LabelPair) -> bytes:
    """Slices of one study with truth and prediction outlined, as PNG."""
    image = task.arrays.level("image", 0)
    prediction, _ = read_prediction(task, image.shape)
    truth = (
        task.arrays.level("lesions", 0) == pair.truth_value
        if pair.truth_value is not None and task.arrays.has("lesions")
        else None
    )
    x, y, z = np.linalg.norm(task.arrays.native_affine[:3, :3], axis=0).tolist()
    return pictures.slices(image, truth, prediction == pair.predicted_value, spacing_mm=(x, y, z))


def _overview(evaluation: Evaluation) -> Markup:
    measured = {m.study_id for m in evaluation.measurements}
    numbers: dict[str, html.Cell] = {"Studies measured": len(measured), "Missing predictions": len(evaluation.missing)}
    if evaluation.without_truth:
        numbers["Without truth"] = len(evaluation.without_truth)
    if evaluation.failed:
        numbers["Failed"] = len(evaluation.failed)
    blocks: list[str] = [html.cards(numbers)]
    treated = "left out" if evaluation.missing_as == "exclude" else 'counted as "nothing found"'
    problems = [f"{study}: {reason}" for study, reason in evaluation.failed.items()]
    if evaluation.missing:
        problems.append(f"Without prediction, {treated}: {', '.join(evaluation.missing)}")
    if lines := [*evaluation.warnings, *problems]:
        blocks.append(html.details(f"{len(lines)} things to know", html.notice(*lines)))
    blocks.append(html.paragraph(_method(evaluation), muted=True))
    return html.section("What was measured", *blocks)


def _method(evaluation: Evaluation) -> str:
    rule = evaluation.settings
    matching = f"IoU of at least {rule.iou_at_least:g}" if rule.criterion == "iou" else "any common voxel"
    return (
        f"Lesions are connected components, matched one to one by {matching}. "
        f"Surface Dice at {rule.tolerance_mm:g} mm. "
        "Voxel metrics are means over studies with the lesion; studies without it count by false positives. "
        f"Intervals: 95 %, percentile bootstrap by patient, {evaluation.resamples} resamples, seed {evaluation.seed}. "
        "Studies of which the truth is unknown count nowhere."
    )


def _subtitle(evaluation: Evaluation) -> str:
    words = {"masks": "against masks", "reports": "against reports", "auto": "against masks, else reports"}[
        evaluation.against
    ]
    return f"{evaluation.split or 'all'} studies, {words}"


def _counts(summary: LabelSummary) -> str:
    counts = summary.studies
    return f"{counts['present']} studies with, {counts['absent']} without, {counts['unknown']} unknown."


def _score_note(summary: LabelSummary) -> str:
    source = (
        "the model's score"
        if summary.score_source == "model"
        else "the predicted volume, since the model gave no score"
    )
    return (
        "A study is called positive if anything is predicted. "
        f"AUC ranks studies by {source}; sides likewise where it has scores by side, else by the predicted volume."
    )


def _caption(kind: str, measurement: Measurement) -> str:
    facts = [f"{kind.capitalize()}: study {measurement.study_id}"]
    if measurement.overlap and measurement.truth == "present":
        facts.append(f"Dice {measurement.overlap.dice:.2f}")
    if measurement.detection:
        found = measurement.detection
        facts.append(
            f"{found.true_positives} of {len(found.truths)} lesions found, {found.false_positives} false positive"
        )
    return ", ".join(facts)


def _cell(column: str, value: html.Cell) -> html.Cell:
    """Numbers with the digits that mean something."""
    if isinstance(value, float) and column in ("truth_mm3", "prediction_mm3"):
        return round(value)
    return value


def _interval(value: Estimate) -> str:
    return html.UNDEFINED if np.isnan(value.lo) else f"{value.lo:.2f} to {value.hi:.2f}"


def _words(label: str) -> str:
    return label.replace("_", " ").capitalize()


def _dice(measurement: Measurement) -> float:
    return measurement.overlap.dice if measurement.overlap else 0.0


def comparison(
    evaluations: Mapping[str, Evaluation],
    label: str,
    *,
    metrics: Iterable[str] = ("dice", "lesion_f1", "lesion_sensitivity"),
) -> Markup:
    """Several models on the same studies: a plot and a table of the chosen metrics with intervals."""
    summaries = {
        name: evaluation.labels[label] for name, evaluation in evaluations.items() if label in evaluation.labels
    }
    values = {
        name: {
            **{METRIC_NAMES[k]: s.metrics[k] for k in metrics if k in s.metrics},
            **{STUDY_CARDS[k]: v for k, v in s.study_level.get("study", {}).items() if k in STUDY_CARDS},
        }
        for name, s in summaries.items()
    }
    png = pictures.compare_intervals(
        {name: {metric: v.triple for metric, v in row.items()} for name, row in values.items()}
    )
    rows: list[dict[str, html.Cell]] = [{"Model": name, **row} for name, row in values.items()]
    return Markup("{}{}").format(html.figure(png, "Values with 95 % intervals."), html.table(rows))
