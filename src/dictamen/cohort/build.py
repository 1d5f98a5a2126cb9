"""Build a cohort: survey all studies, settle spacing, labels and splits, convert each study, write the tables."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dictamen.cohort import splits
from dictamen.cohort.consistency import without_report
from dictamen.cohort.convert import Converted, Plan, convert
from dictamen.cohort.ingest import LabelTables
from dictamen.cohort.layouts import read_source
from dictamen.cohort.manifest import (
    ARRAYS,
    COHORT_JSON,
    FINDINGS_PARQUET,
    REPORTS_PARQUET,
    STUDIES_PARQUET,
    Manifest,
    Problem,
    ProblemRecord,
)
from dictamen.cohort.source import Source
from dictamen.cohort.splits import Split
from dictamen.cohort.survey import Survey, survey
from dictamen.cohort.tables import read_reports
from dictamen.errors import InputError, UsageError, resource_errors
from dictamen.files import atomic_path, output_folder
from dictamen.imaging.dicom.series import ONLY
from dictamen.parallel import Progress, map_studies

if TYPE_CHECKING:
    from dictamen.reports.schema import ReportFindings

FALLBACK_SPACING_MM = (1.5, 1.5, 1.5)
"""Where no study's header can be read, only the problems count."""
OWN_FILES = (COHORT_JSON, STUDIES_PARQUET, FINDINGS_PARQUET, REPORTS_PARQUET)


@dataclass(frozen=True)
class BuildReport:
    """What became of each study.

    Attributes:
        built: study ids in the cohort, those reused from an earlier run among them.
        reused: how many were found done by `resume`.
        failed: study ids that are not in it, with the reasons among `problems`.
    """

    path: Path
    built: tuple[str, ...]
    reused: int
    failed: tuple[str, ...]
    problems: tuple[Problem, ...]
    spacing_mm: tuple[float, float, float]


def build_cohort(
    source: Source | Path | str,
    output: Path | str,
    *,
    spacing_mm: float | Sequence[float] | None = None,
    findings: Path | str | Mapping[str, ReportFindings] | None = None,
    reports: Path | str | None = None,
    split_seed: int = 0,
    jobs: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    layout: str | None = None,
    allow_outside: bool = False,
    series: str = ONLY,
    progress: Progress | None = None,
) -> BuildReport:
    """Convert all studies of `source` into the cohort folder `output`; a bad study is listed and never stops the rest.

    Args:
        source: a studies.csv, or a folder in one of `layouts.LAYOUTS`.
        spacing_mm: training spacing, one number or (x, y, z); None takes the median of the studies.
        findings: findings jsonl or parquet (or what was read from it), instead of reading the reports by rules.
        reports: csv, jsonl or parquet with study_id and report, or a folder of .txt; wins over the source's own.
        split_seed: for patients without a given split.
        jobs: processes.
        resume: keep the studies that an earlier, interrupted run wrote from the same files.
        overwrite: delete the cohort that is there.
        series: which of several DICOM series of a study, see `imaging.dicom.series.RULES`.
        progress: called with (studies done, studies in all).

    Raises:
        InputError: the source as a whole can't be used.
        UsageError: a wrong option, or `output` is not empty.
        ResourceError: disk full or folder not writable; what is done is kept for `resume`.
    """
    if jobs < 1 or split_seed < 0:  # before an older cohort is overwritten
        raise UsageError(
            "`jobs` must be at least 1 and `split_seed` not negative.", got=f"jobs={jobs}, split_seed={split_seed}"
        )
    path = Path(output)
    asked = _positive_spacing(spacing_mm)
    if not isinstance(source, Source):
        source = read_source(source, layout=layout, allow_outside=allow_outside, series=series)
    source, problems = with_reports(source, Path(reports)) if reports else (source, list(source.problems))
    known = read_findings_file(findings) if isinstance(findings, Path | str) else findings
    if known is not None:
        problems += findings_without_study(source, known)
    _prepare(path, overwrite=overwrite, resume=resume)
    source, conflicts = without_split_conflicts(source)
    problems += conflicts + without_report(source.studies, known or ())
    surveys = survey_all(source, jobs=jobs)
    manifest = _manifest(path, source, surveys, spacing_mm=asked, split_seed=split_seed, resume=resume)
    manifest.write(path / COHORT_JSON)
    tables = label_tables(manifest)
    plan = Plan(path, manifest.spacing_mm, tables, resume, known)
    items = [(s.study.study_id, s) for s in surveys]
    results: list[Converted] = []
    for outcome in map_studies(partial(convert, plan=plan), items, jobs=jobs, progress=progress):
        failure = Problem(outcome.study_id, "failed", "error", str(outcome.error))
        results.append(outcome.value or Converted(outcome.study_id, None, (failure,)))
    return _finish(path, source, manifest, results, problems)


def read_findings_file(path: Path | str) -> dict[str, ReportFindings]:
    """study_id -> findings of a jsonl or parquet.

    Raises:
        InputError: missing or not as the schema says.
    """
    from dictamen.reports import table

    return {report.study_id: report for report in table.read(Path(path))}


def with_reports(source: Source, path: Path) -> tuple[Source, list[Problem]]:
    """The source with the texts of a reports file, and its problems with those of the file.

    Raises:
        InputError: the file can't be used.
    """
    texts = read_reports(path)
    studies = tuple(
        replace(s, report=texts[s.study_id], report_file=None) if s.study_id in texts else s for s in source.studies
    )
    known = {s.study_id for s in studies} | {p.study_id for p in source.problems}
    alone = [
        Problem(
            name,
            "report_without_study",
            "warning",
            "A report is given for a study that is not in the source.",
            path.name,
        )
        for name in texts
        if name not in known
    ]
    return replace(source, studies=studies), [*source.problems, *alone]


def findings_without_study(source: Source, findings: Mapping[str, ReportFindings]) -> list[Problem]:
    """Findings whose study is not in the source."""
    known = {s.study_id for s in source.studies} | {p.study_id for p in source.problems}
    message = "Findings are given for a study that is not in the source."
    return [Problem(name, "report_without_study", "warning", message) for name in findings if name not in known]


def without_split_conflicts(source: Source) -> tuple[Source, list[Problem]]:
    """Leave out studies of patients who are in several splits: using them would spoil every measurement."""
    patients = {s.study_id: s.patient_id for s in source.studies}
    wrong = set(splits.conflicts(patients, {s.study_id: s.split for s in source.studies if s.split}))
    message = (
        "The study's patient is in several splits, so that the test would know patients of the training. "
        "Next: give all studies of a patient the same split."
    )
    problems = [
        Problem(s.study_id, "patient_in_several_splits", "error", message)
        for s in source.studies
        if s.study_id in wrong
    ]
    return replace(source, studies=tuple(s for s in source.studies if s.study_id not in wrong)), problems


def survey_all(source: Source, *, jobs: int) -> list[Survey]:
    """A first look at every study; where that fails, reading the files will say what is wrong."""
    outcomes = map_studies(survey, [(study.study_id, study) for study in source.studies], jobs=jobs)
    return [o.value or Survey(study) for o, study in zip(outcomes, source.studies, strict=True)]


def label_tables(manifest: Manifest) -> LabelTables:
    """Name -> value from the manifest's value -> name."""
    return LabelTables(
        {name: value for value, name in manifest.organ_labels.items()},
        {name: value for value, name in manifest.lesion_labels.items()},
    )


def settle(surveys: Sequence[Survey], earlier: Manifest | None = None) -> tuple[dict[int, str], dict[int, str]]:
    """(organ labels, lesion labels) of the cohort: value -> name, alphabetical; values of an earlier run stay."""
    organs = {name for s in surveys if s.organs for name in s.organs.annotated}
    lesions = {name for s in surveys if s.lesions for name in s.lesions.annotated}
    return (
        _numbered(organs, earlier.organ_labels if earlier else {}),
        _numbered(lesions, earlier.lesion_labels if earlier else {}),
    )


def _numbered(found: set[str], earlier: Mapping[int, str]) -> dict[int, str]:
    table = dict(earlier)
    for name in sorted(found - set(table.values())):
        table[max(table, default=0) + 1] = name
    return table


def _positive_spacing(given: float | Sequence[float] | None) -> tuple[float, float, float] | None:
    if given is None:
        return None
    values = [float(given)] * 3 if isinstance(given, int | float) else [float(v) for v in given]
    if len(values) != 3 or not all(np.isfinite(v) and v > 0 for v in values):
        raise UsageError(
            "`spacing_mm` must be one or three positive numbers.", got=given, expected="1.5 or 0.8,0.8,2.5"
        )
    return values[0], values[1], values[2]


def _prepare(path: Path, *, overwrite: bool, resume: bool) -> None:
    """Make the folder; `overwrite` deletes a cohort's own files and nothing else."""
    if overwrite and not resume and path.is_dir() and any(path.iterdir()):
        if not (path / COHORT_JSON).is_file():
            raise UsageError("The folder to overwrite is no cohort.", got=path, next_step="choose another folder")
        with resource_errors(path):
            for name in OWN_FILES:
                (path / name).unlink(missing_ok=True)
            shutil.rmtree(path / ARRAYS, ignore_errors=True)
    output_folder(path, overwrite=overwrite, resume=resume)
    if resume and any(path.iterdir()) and not (path / COHORT_JSON).is_file():
        raise UsageError("The folder to resume is no cohort.", got=path, next_step="choose another folder")
    with resource_errors(path):
        (path / ARRAYS).mkdir(exist_ok=True)


def _manifest(
    path: Path,
    source: Source,
    surveys: Sequence[Survey],
    *,
    spacing_mm: tuple[float, float, float] | None,
    split_seed: int,
    resume: bool,
) -> Manifest:
    earlier = Manifest.read(path / COHORT_JSON) if resume and (path / COHORT_JSON).exists() else None
    if earlier and spacing_mm and not np.allclose(earlier.spacing_mm, spacing_mm):
        raise UsageError(
            "The cohort was begun with another spacing.",
            got=f"--spacing-mm {spacing_mm}",
            expected=f"{earlier.spacing_mm}",
            next_step="leave --spacing-mm out to go on, or use --overwrite",
        )
    known = [s.spacing_mm for s in surveys if s.spacing_mm is not None]
    median = np.round(np.median(known, axis=0), 4).tolist() if known else FALLBACK_SPACING_MM
    organs, lesions = settle(surveys, earlier)
    return Manifest(
        dictamen_version=version("dictamen"),
        status="building",
        layout=source.layout,
        spacing_mm=earlier.spacing_mm if earlier else spacing_mm or tuple(median),
        split_seed=split_seed,
        organ_labels=organs,
        lesion_labels=lesions,
    )


def _finish(
    path: Path, source: Source, manifest: Manifest, results: Sequence[Converted], problems: list[Problem]
) -> BuildReport:
    """Write tables and the final cohort.json, remove what belongs to no study."""
    built = [result for result in results if result.row is not None]
    problems = [source.shown(p) for p in [*problems, *(p for r in results for p in r.problems)]]
    ids = tuple(result.study_id for result in built)
    failed = tuple(sorted({p.study_id for p in problems if p.study_id and p.severity == "error"} - set(ids)))
    _write_tables(path, source, manifest, built)
    for folder in (path / ARRAYS).iterdir():
        if folder.name.removesuffix(".zarr") not in ids and folder.name.endswith((".zarr", ".zarr.partial")):
            shutil.rmtree(folder, ignore_errors=True)
    records = tuple(ProblemRecord(**vars(problem)) for problem in problems)
    final = manifest.model_copy(
        update={"status": "complete", "studies": len(ids), "failed": failed, "problems": records}
    )
    final.write(path / COHORT_JSON)
    reused = sum(result.reused for result in built)
    return BuildReport(path, ids, reused, failed, tuple(problems), manifest.spacing_mm)


def _write_tables(path: Path, source: Source, manifest: Manifest, built: Sequence[Converted]) -> None:
    import polars

    from dictamen.reports import table

    patients = {r.study_id: str(r.row["patient_id"]) for r in built if r.row}
    given = {s.study_id: s.split for s in source.studies if s.split and s.study_id in patients}
    given = _earlier_splits(path, patients, given) | given
    strata = {r.study_id: "masks" if r.row["has_lesions"] else "other" for r in built if r.row}
    split = splits.by_patient(patients, seed=manifest.split_seed, given=given, strata=strata)
    rows = [{**r.row, "split": split[r.study_id]} for r in built if r.row]
    with atomic_path(path / STUDIES_PARQUET) as temporary:
        polars.DataFrame(rows, schema=_schema(), orient="row").write_parquet(temporary)
    findings = [result.findings for result in built if result.findings is not None]
    table.write_parquet(findings, path / FINDINGS_PARQUET)
    reports = [(result.study_id, result.report) for result in built if result.report is not None]
    with atomic_path(path / REPORTS_PARQUET) as temporary:
        schema = {"study_id": polars.String, "report": polars.String}
        polars.DataFrame(reports, schema=schema, orient="row").write_parquet(temporary)
    (path / REPORTS_PARQUET).chmod(0o600)  # report text: for the owner alone


def _earlier_splits(path: Path, patients: Mapping[str, str], given: Mapping[str, Split]) -> dict[str, Split]:
    """Splits of an earlier build, for patients of whom the source decides nothing: a model may have seen them."""
    import polars

    if not (path / STUDIES_PARQUET).is_file():
        return {}
    try:
        table = polars.read_parquet(path / STUDIES_PARQUET, columns=["patient_id", "split"])
    except (OSError, polars.exceptions.PolarsError) as error:
        raise InputError(
            "The table of studies can't be read, so the splits of the earlier build are unknown.",
            where=path / STUDIES_PARQUET,
            next_step="build the cohort again with --overwrite",
        ) from error
    earlier = dict(zip(table["patient_id"], table["split"], strict=True))
    decided = {patients[study_id] for study_id in given}
    return {
        study: earlier[patient] for study, patient in patients.items() if patient in earlier and patient not in decided
    }


def _schema() -> dict[str, Any]:
    """Columns of studies.parquet; the same for an empty cohort."""
    import polars

    text, texts = polars.String, polars.List(polars.String)
    numbers, flag = polars.List(polars.Int64), polars.Boolean
    return {
        "study_id": text,
        "patient_id": text,
        "split": text,
        "has_report": flag,
        "has_organs": flag,
        "has_lesions": flag,
        "organ_names_annotated": texts,
        "lesion_names_annotated": texts,
        "labels_present": texts,
        "lesion_components": polars.Int64,
        "shape": numbers,
        "native_shape": numbers,
        "native_spacing_mm": polars.List(polars.Float64),
        "fingerprint": text,
    }
