"""The demo's page: what a report says, what supervision it becomes, what two models make of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from dictamen.anatomy import lesion_labels
from dictamen.cohort.store import Cohort
from dictamen.evaluation import html, pictures
from dictamen.experiments.arms import FEW, REPORTS
from dictamen.experiments.result import ExperimentResult
from dictamen.experiments.sections import predictions_section, side_by_side
from dictamen.experiments.table import Comparison
from dictamen.reports.highlights import describe, segments
from dictamen.supervision.from_findings import constraints
from dictamen.supervision.picture import describe as describe_constraint
from dictamen.supervision.picture import picture
from dictamen.supervision.rasterise import StudySupervisor
from dictamen.training.config import TrainConfig
from dictamen.training.plan import make_plan


def demo_page(cohort: Cohort, result: ExperimentResult, config: TrainConfig, *, minutes: float) -> str:
    """The whole page as HTML."""
    label = next(iter(result.comparisons))
    comparison = result.comparisons[label]
    with_reports = next(arm for arm in result.arms if arm.name == REPORTS)
    plan = make_plan(cohort, with_reports.config(config, seed=config.seed))
    study_id = _telling_study(cohort, plan.reports, label)
    sections = [
        _summary(comparison, masks=len(plan.masks), reports=len(plan.reports)),
        _reading(cohort, study_id),
        _supervision(cohort, study_id, label),
        predictions_section("3. What the two models predict", cohort, result, label, arms=(FEW, REPORTS)),
        side_by_side("4. Side by side", comparison),
        _how(minutes),
    ]
    return html.page(
        "dictamen: from reports to a segmenter",
        sections,
        subtitle="Demo on a generated cohort. Reproduce it with `make demo`.",
    )


def _telling_study(cohort: Cohort, candidates: Sequence[str], label: str) -> str:
    """The training study whose report gives the most to supervise: sized lesions with a part, and a clear organ."""
    target = lesion_labels.parse(label)

    def worth(study_id: str) -> tuple[int, int]:
        report = cohort.findings(study_id)
        if report is None:
            return (0, 0)
        own = [
            f for f in report.findings if f.structure == target.structure and f.kind in target.kinds and f.diameters_mm
        ]
        return (sum(bool(f.parts) for f in own[:1]), len(own) + len(report.clear_structures))

    return max(candidates, key=worth)


def _summary(comparison: Comparison, *, masks: int, reports: int) -> Markup:
    few, more = comparison.values[FEW], comparison.values[REPORTS]
    numbers: dict[str, html.Cell] = {
        f"Dice, {comparison.titles[FEW]}": few["dice"],
        f"Dice, {comparison.titles[REPORTS]}": more["dice"],
        "Gain in Dice by reports": comparison.gain[REPORTS]["dice"],
        "Gain in lesion F1": comparison.gain[REPORTS]["lesion_f1"],
    }
    words = (
        f"Two networks were trained alike on {masks} scans with drawn masks. "
        f"The second also saw {reports} scans of which it only knew the report. "
        f"Both were then tried on {comparison.studies} scans that neither had seen. "
        "Small numbers: 95 % intervals by patient."
    )
    return html.section("In one minute", html.cards(numbers), lead=words)


def _reading(cohort: Cohort, study_id: str) -> Markup:
    text, report = cohort.report(study_id) or "", cohort.findings(study_id)
    if report is None:
        return html.section("1. What was read from a report", html.paragraph("The cohort has no report."))
    marked = Markup().join(
        Markup('<mark class="{}" title="{}">{}</mark>').format(s.style, s.title, s.text)
        if s.style
        else Markup("{}").format(s.text)
        for s in segments(text, report)
    )
    read = Markup("<ul>{}</ul>").format(
        Markup().join(Markup("<li>{}</li>").format(describe(finding)) for finding in report.findings)
    )
    clear = (
        html.paragraph("Free of lesions, as stated: " + ", ".join(report.clear_structures).replace("_", " ") + ".")
        if report.clear_structures
        else Markup()
    )
    body = html.columns(
        Markup('<p class="report">{}</p>').format(marked),
        Markup("{}{}{}").format(html.subsection("Findings"), read, clear),
    )
    lead = (
        "The report of a generated training study, and what the offline rule reader made of it. "
        "Every fact refers to its words; hover over a mark to see it."
    )
    return html.section("1. What was read from a report", body, lead=lead)


def _supervision(cohort: Cohort, study_id: str, label: str) -> Markup:
    study, report = cohort.study(study_id), cohort.findings(study_id)
    target = lesion_labels.parse(label)
    known, deferred = constraints(report, [target]) if report else ([], [])
    supervisor = StudySupervisor(
        [target], [], organ_names=cohort.info.organ_labels, lesion_names=cohort.info.lesion_labels
    )
    regions = supervisor.regions(study.level("organs", 1), study.affine, known, deferred)
    region_map, rows = picture(regions, 0, label)
    shaded = np.isin(region_map, [row.value for row in rows if row.kind in ("positive", "possible")])
    png = pictures.slices(study.level("image", 1), region=shaded, spacing_mm=study.spacing_mm)
    listed = Markup("<ul>{}</ul>").format(
        Markup().join(Markup("<li>{}</li>").format(describe_constraint(c)) for c in known)
    )
    lead = (
        "No voxel is labelled. Each statement becomes a constraint on a region: "
        "how many lesions, how much volume, where; and where there is none."
    )
    figure = html.figure(
        png,
        "Shaded: the region in which the network must find the reported lesions. "
        "Outside it, and in organs called clear, there are none.",
    )
    return html.section("2. What supervision it became", listed, figure, lead=lead)


def _how(minutes: float) -> Markup:
    commands = (
        "dictamen phantom -o data",
        "dictamen read data/reports -o findings.jsonl --html highlights.html",
        "dictamen cohort build data/studies.csv -o cohort",
        "dictamen train cohort -o run --supervision masks,reports",
        "dictamen predict run cohort -o predictions --split test",
        "dictamen evaluate predictions cohort",
    )
    lead = f"All of this took {minutes:.1f} minutes. The same verbs work one by one, on your own data."
    return html.section("5. The same on your data", Markup("<pre>{}</pre>").format("\n".join(commands)), lead=lead)
