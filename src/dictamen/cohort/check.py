"""Every problem of a source, or of a cohort: nothing is written, and nothing stops at the first."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from dictamen.cohort import splits
from dictamen.cohort.build import (
    findings_without_study,
    read_findings_file,
    settle,
    survey_all,
    with_reports,
    without_split_conflicts,
)
from dictamen.cohort.consistency import report_against_organs, without_report
from dictamen.cohort.convert import read_findings, read_report_text
from dictamen.cohort.ingest import CanonicalStudy, LabelTables, read_study
from dictamen.cohort.layouts import read_source
from dictamen.cohort.manifest import ARRAYS, COHORT_JSON, FINDINGS_PARQUET, REPORTS_PARQUET, Manifest, Problem
from dictamen.cohort.store import KINDS, Cohort, StudyArrays
from dictamen.cohort.survey import Survey
from dictamen.errors import InputError
from dictamen.imaging.dicom.series import ONLY
from dictamen.parallel import Progress, map_studies
from dictamen.reports.schema import ReportFindings


def is_cohort(path: Path) -> bool:
    """Whether `path` is a cohort folder, finished or not."""
    return (path / COHORT_JSON).is_file()


def check_source(
    path: Path | str,
    *,
    findings: Path | str | None = None,
    reports: Path | str | None = None,
    layout: str | None = None,
    allow_outside: bool = False,
    series: str = ONLY,
    jobs: int = 1,
    progress: Progress | None = None,
) -> list[Problem]:
    """All problems of the studies at `path`, which is what `build_cohort` takes; empty where all is well.

    Raises:
        InputError: the source as a whole can't be used.
    """
    source = read_source(path, layout=layout, allow_outside=allow_outside, series=series)
    source, problems = with_reports(source, Path(reports)) if reports else (source, list(source.problems))
    known = read_findings_file(findings) if findings is not None else None
    problems += findings_without_study(source, known or {})
    _, conflicts = without_split_conflicts(source)
    problems += conflicts + without_report(source.studies, known or ())
    surveys = survey_all(source, jobs=jobs)
    organs, lesions = settle(surveys)
    tables = LabelTables({n: v for v, n in organs.items()}, {n: v for v, n in lesions.items()})
    items = [(s.study.study_id, s) for s in surveys]
    for outcome in map_studies(partial(inspect, tables=tables, findings=known), items, jobs=jobs, progress=progress):
        failure = [Problem(outcome.study_id, "failed", "error", str(outcome.error))] if outcome.error else []
        problems += outcome.value or failure
    return [source.shown(problem) for problem in problems]


def check_cohort(path: Path | str, *, jobs: int = 1, progress: Progress | None = None) -> list[Problem]:
    """All problems of a built cohort: those met while building, and damage since.

    Raises:
        InputError: `path` is no cohort, or one that is not complete.
    """
    path = Path(path)
    manifest = Manifest.read(path / COHORT_JSON)
    cohort = Cohort.open(path)
    problems = [Problem(**record.model_dump()) for record in manifest.problems]
    patients = dict(zip(cohort.studies["study_id"], cohort.studies["patient_id"], strict=True))
    given = dict(zip(cohort.studies["study_id"], cohort.studies["split"], strict=True))
    problems += [
        Problem(name, "patient_in_several_splits", "error", "The study's patient is in several splits of the cohort.")
        for name in splits.conflicts(patients, given)
    ]
    reports = path / REPORTS_PARQUET
    if reports.exists() and stat.S_IMODE(reports.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        message = "The reports can be read by others on this machine. Next: `chmod 600` the file."
        problems.append(Problem(None, "reports_readable_by_others", "warning", message, REPORTS_PARQUET))
    problems += _damaged_findings(cohort)
    items = [(study_id, study_id) for study_id in cohort.ids()]
    for outcome in map_studies(partial(inspect_arrays, path=path), items, jobs=jobs, progress=progress):
        if outcome.error:
            problems.append(Problem(outcome.study_id, "damaged", "error", str(outcome.error)))
    return problems


def _damaged_findings(cohort: Cohort) -> list[Problem]:
    try:
        for study_id in cohort.ids():
            cohort.findings(study_id)
    except InputError as error:
        return [Problem(None, "damaged", "error", str(error), FINDINGS_PARQUET)]
    return []


def inspect(survey: Survey, *, tables: LabelTables, findings: Mapping[str, ReportFindings] | None) -> list[Problem]:
    """All problems of one study's files and of its report beside its masks."""
    study = survey.study
    canonical, problems = read_study(survey, tables)
    report = read_report_text(study, problems)
    read = findings.get(study.study_id) if findings is not None else None
    if read is None and report is not None and findings is None:
        read = read_findings(report, study, problems)
    if read is None:
        return problems
    unreadable = canonical is None and survey.organs is not None
    masked = None if unreadable else _masked(canonical, tables)
    return problems + report_against_organs(read, masked=masked)


def _masked(study: CanonicalStudy | None, tables: LabelTables) -> list[str]:
    """Structures that the organ map holds."""
    if study is None or study.organs is None:
        return []
    present = set(np.unique(study.organs).tolist())
    return [name for name, value in tables.organs.items() if value in present]


def inspect_arrays(study_id: str, *, path: Path) -> int:
    """Read all arrays of one study of a cohort; the number of voxels.

    Raises:
        InputError: they are missing or damaged.
    """
    study = StudyArrays(path / ARRAYS / f"{study_id}.zarr", study_id)
    voxels = 0
    for kind in KINDS:
        shapes = [study.level(kind, level).shape for level in (0, 1)]
        if shapes[1] != study.shape:
            raise InputError(
                "An array has another shape than the study.", where=study_id, got=shapes[1], expected=study.shape
            )
        voxels += sum(x * y * z for x, y, z in shapes)
    return voxels
