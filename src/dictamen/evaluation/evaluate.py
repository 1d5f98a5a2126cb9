"""Measure a folder of predictions against a cohort: against masks, or against reports alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from dictamen.cohort.store import Cohort
from dictamen.errors import InputError, UsageError
from dictamen.evaluation.bootstrap import RESAMPLES
from dictamen.evaluation.label_pairs import LabelPair, pair_labels
from dictamen.evaluation.measure import DEFAULTS, Measurement, Settings
from dictamen.evaluation.predictions import Predictions
from dictamen.evaluation.result import Evaluation
from dictamen.evaluation.study import Mode, StudyResult, StudyTask, measure_study
from dictamen.evaluation.summary import LabelSummary, summarise
from dictamen.files import output_folder
from dictamen.parallel import Progress, map_studies

MODES: tuple[Mode, ...] = ("auto", "masks", "reports")
LISTED = 5
"""So many study ids are named in a message; the rest is counted."""

Missing = Literal["exclude", "empty"]


@dataclass(frozen=True)
class _Plan:
    """What will be measured."""

    tasks: list[StudyTask]
    pairs: tuple[LabelPair, ...]
    scored: frozenset[str]
    missing: tuple[str, ...]
    warnings: list[str]


def evaluate(
    predictions: Path,
    cohort: Path | Cohort,
    output: Path | None = None,
    *,
    split: str | None = "test",
    against: Mode = "auto",
    labels_file: Path | None = None,
    missing: Missing = "exclude",
    settings: Settings = DEFAULTS,
    resamples: int = RESAMPLES,
    seed: int = 0,
    jobs: int = 1,
    pictures: bool = True,
    title: str = "Evaluation",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure predictions.

    Args:
        predictions: folder of <study_id>.nii.gz on their own grids, with labels.json (see `Predictions.open`).
        cohort: cohort folder.
        output: folder for metrics.json, metrics.csv, lesions.csv, report.html; None writes nothing.
        split: "train", "val", "test", or None for all studies.
        against: "masks", "reports", or "auto": masks where a study has the label annotated, else its report.
        labels_file: names of the predicted labels, instead of labels.json.
        missing: studies without prediction are left out ("exclude"), or count as "nothing found" ("empty").
        settings: tolerances and rules of matching.
        resamples, seed: of the bootstrap by patient.
        jobs: processes.
        pictures: whether the page shows slices.
        title: of the page.
        overwrite: replace an older evaluation.
        progress: called with (done, total).

    Raises:
        UsageError: unknown split or mode, output folder not empty.
        InputError: no prediction for any study, no truth for any, labels that don't match.
    """
    if against not in MODES or missing not in ("exclude", "empty"):
        raise UsageError(
            "Unknown way to evaluate.",
            got=(against, missing),
            expected=f"against one of {MODES}, missing one of exclude, empty",
        )
    opened = cohort if isinstance(cohort, Cohort) else Cohort.open(cohort)
    plan = _plan(Predictions.open(predictions, labels_file=labels_file), opened, split, missing)
    if output is not None:
        output_folder(output, overwrite=overwrite)
    function = partial(measure_study, pairs=plan.pairs, against=against, settings=settings)
    outcomes = list(map_studies(function, [(task.study_id, task) for task in plan.tasks], jobs=jobs, progress=progress))
    results: dict[str, StudyResult] = {o.study_id: o.value for o in outcomes if o.value is not None}
    failed = {o.study_id: str(o.error) for o in outcomes if o.error is not None}
    measurements = tuple(m for result in results.values() for m in result.measurements)
    if not measurements:
        raise _nothing_measured(opened, against, failed)
    evaluation = Evaluation(
        split=split,
        against=against,
        labels=_summaries(plan, measurements, resamples=resamples, seed=seed),
        measurements=measurements,
        missing=plan.missing,
        missing_as=missing,
        without_truth=tuple(study for study, result in results.items() if not result.measurements),
        failed=failed,
        warnings=(*plan.warnings, *(w for result in results.values() for w in result.warnings)),
        settings=settings,
        resamples=resamples,
        seed=seed,
    )
    if output is not None:
        from dictamen.evaluation.page import with_page

        evaluation = with_page(evaluation, plan.tasks, plan.pairs, title=title, pictures=pictures)
        evaluation.save(output, overwrite=True)
    return evaluation


def _plan(predictions: Predictions, cohort: Cohort, split: str | None, missing: Missing) -> _Plan:
    ids = cohort.ids(split)
    if not ids:
        counts = dict(cohort.studies["split"].value_counts().iter_rows())
        raise InputError(
            "The split has no studies.", where=cohort.path, got=split, expected=f"a split with studies: {counts}"
        )
    predicted = [study for study in ids if study in predictions.files]
    if not predicted:
        raise InputError(
            "There is no prediction for any study of the split.",
            where=predictions.folder,
            got=_some(list(predictions.files)),
            expected=f"files named <study_id>.nii.gz for {_some(ids)}",
            next_step="predict the studies of this split, or choose another with --split",
        )
    pairs, warnings = pair_labels(
        predictions.labels, cohort.info.lesion_labels, organs=list(cohort.info.organ_labels.values())
    )
    absent = tuple(study for study in ids if study not in predictions.files)
    chosen = predicted if missing == "exclude" else ids
    patients = dict(cohort.studies.select("study_id", "patient_id").iter_rows())
    # a score that only some studies have can't rank them: then the predicted volume does, for all
    scored = frozenset.intersection(*(frozenset(predictions.scores.get(study, {})) for study in predicted))
    tasks = [
        StudyTask(
            study_id=study,
            patient_id=str(patients[study]),
            arrays=cohort.study(study),
            report=cohort.findings(study),
            prediction=predictions.files.get(study),
            scores={name: score for name, score in predictions.scores.get(study, {}).items() if name in scored},
            organs=dict(cohort.info.organ_labels),
        )
        for study in chosen
    ]
    return _Plan(tasks, tuple(pairs), scored, absent, warnings)


def _summaries(
    plan: _Plan, measurements: Sequence[Measurement], *, resamples: int, seed: int
) -> dict[str, LabelSummary]:
    return {
        pair.name: summarise(
            pair.name,
            measurements,
            score_source="model" if pair.predicted_name in plan.scored else "predicted volume",
            resamples=resamples,
            seed=seed,
        )
        for pair in plan.pairs
        if any(m.label == pair.name for m in measurements)
    }


def _nothing_measured(cohort: Cohort, against: Mode, failed: dict[str, str]) -> InputError:
    if failed:
        study, reason = next(iter(failed.items()))
        return InputError(f"None of the studies could be measured. The first one: {reason}", where=study)
    wanted = {"masks": "lesion masks", "reports": "reports", "auto": "lesion masks or reports"}[against]
    return InputError(
        "No study can be judged: they have no truth of this kind.",
        where=cohort.path,
        expected=f"studies with {wanted}",
        next_step="choose another split, or --against masks, reports or auto",
    )


def _some(names: Sequence[str]) -> str:
    rest = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {rest} more" if rest > 0 else "")
