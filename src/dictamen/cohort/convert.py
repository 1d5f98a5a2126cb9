"""One study from its source to `arrays/<study>.zarr` and a row of the table: what a worker does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from dictamen.cohort import arrays
from dictamen.cohort.components import box, components, label_boxes
from dictamen.cohort.consistency import report_against_organs
from dictamen.cohort.ingest import CanonicalStudy, LabelTables, blocking, read_study
from dictamen.cohort.manifest import ARRAYS, FORMAT_VERSION, Problem
from dictamen.cohort.source import SourceStudy
from dictamen.cohort.survey import NamedMasks, Survey
from dictamen.cohort.tables import read_text
from dictamen.errors import InputError
from dictamen.imaging.dicom.files import fingerprint as folder_fingerprint
from dictamen.imaging.geometry import is_sheared, resample
from dictamen.imaging.volume import Volume
from dictamen.reports.schema import ReportFindings

SAME_SPACING = 0.01
"""Relative difference below which a study is at training spacing already: resampling would blur and change nothing."""
INTENSITY_PERCENTILES = (0.5, 50.0, 99.5)
"""As nnU-Net describes intensities: robust against metal and padding."""


@dataclass(frozen=True)
class Plan:
    """What is the same for all studies of one build."""

    output: Path
    spacing_mm: tuple[float, float, float]
    tables: LabelTables
    resume: bool
    findings: Mapping[str, ReportFindings] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Converted:
    """The result for one study; `row` is None where it could not be used."""

    study_id: str
    row: Mapping[str, Any] | None
    problems: tuple[Problem, ...]
    report: str | None = field(default=None, repr=False)
    findings: ReportFindings | None = None
    reused: bool = False


def convert(survey: Survey, plan: Plan) -> Converted:
    """Read, resample and write one study, unless `plan.resume` finds it written from the same files."""
    study = survey.study
    report_problems: list[Problem] = []
    report = read_report_text(study, report_problems)
    given = plan.findings.get(study.study_id) if plan.findings is not None else None
    findings = given or (read_findings(report, study, report_problems) if report and plan.findings is None else None)
    folder = plan.output / ARRAYS / f"{study.study_id}.zarr"
    mark = fingerprint(survey)
    stored = _stored(folder, mark) if plan.resume and not blocking(report_problems) else None
    reused = stored is not None
    if stored is None:
        canonical, problems = read_study(survey, plan.tables)
        if canonical is None or blocking([*problems, *report_problems]):
            return Converted(study.study_id, None, (*problems, *report_problems))
        stored = _write(folder, canonical, survey, plan, problems=problems, mark=mark)
    problems = [*(Problem(**problem) for problem in stored["problems"]), *report_problems]
    if findings is not None:
        masked = [name.removeprefix("organ:") for name in stored["boxes"] if name.startswith("organ:")]
        problems += report_against_organs(findings, masked=masked)
    row = _row(study, stored, has_report=report is not None or findings is not None)
    return Converted(study.study_id, row, tuple(problems), report, findings, reused)


def read_report_text(study: SourceStudy, problems: list[Problem]) -> str | None:
    """The report's text, None where there is none; what is wrong with its file becomes a problem."""
    text = study.report
    if study.report_file is not None:
        try:
            text = read_text(study.report_file)
        except InputError as error:
            code = "unreadable_report" if study.report_file.exists() else "missing_file"
            problems.append(Problem(study.study_id, code, "error", str(error), str(study.report_file)))
            return None
    if text is not None and not text.strip():
        file = str(study.report_file) if study.report_file else None
        problems.append(Problem(study.study_id, "empty_report", "warning", "The report is empty.", file))
        return None
    return text


def read_findings(text: str, study: SourceStudy, problems: list[Problem]) -> ReportFindings | None:
    """What the rule reader finds; a defect of it costs the findings, not the study."""
    from dictamen.reports.rules import read_report

    try:
        return read_report(text, study.study_id)
    except Exception as error:  # only the kind of error is told: its words could quote the report
        message = f"The report could not be read into findings ({type(error).__name__}); its text is kept."
        problems.append(Problem(study.study_id, "report_not_read", "warning", message))
        return None


def fingerprint(survey: Survey) -> str:
    """Changes when a file of the study, or the meaning of its labels, changes."""
    files: list[list[str | int | None]] = []
    for path in survey.study.files:
        if path.is_dir():  # a DICOM series
            files.append([path.name, folder_fingerprint(path), survey.study.series])
            continue
        facts = path.stat() if path.exists() else None
        files.append([path.name, facts.st_size if facts else None, facts.st_mtime_ns if facts else None])
    content = [FORMAT_VERSION, files, _meaning(survey.organs), _meaning(survey.lesions)]
    return sha256(json.dumps(content).encode()).hexdigest()


def _meaning(masks: NamedMasks | None) -> list[list[object]] | None:
    if masks is None:
        return None
    return [[key, name] for key, name in sorted((masks.values or {}).items())] + [[n, f.name] for n, f in masks.masks]


def _stored(folder: Path, mark: str) -> dict[str, Any] | None:
    """Attributes of a study that was written from the same files, else None."""
    try:
        attributes = arrays.read_attributes(folder)
    except InputError:
        return None
    return attributes if attributes.get("fingerprint") == mark else None


def _write(
    folder: Path, study: CanonicalStudy, survey: Survey, plan: Plan, *, problems: Sequence[Problem], mark: str
) -> dict[str, Any]:
    levels, affines = _levels(study, plan.spacing_mm, survey.study.study_id)
    organs = {value: name for name, value in plan.tables.organs.items()}
    lesions = {value: name for name, value in plan.tables.lesions.items()}
    organ_map, lesion_map = (levels[kind][-1] if kind in levels else None for kind in ("organs", "lesions"))
    boxes = {f"organ:{n}": b for n, b in label_boxes(organ_map, organs).items()} if organ_map is not None else {}
    parts: dict[str, Any] = {}
    if lesion_map is not None:
        present = label_boxes(lesion_map, lesions)
        boxes |= {f"lesion:{name}": b for name, b in present.items()}
        parts = {
            f"lesion:{name}": [box(c.place) for c in components(lesion_map == plan.tables.lesions[name])]
            for name in present
        }
    attributes = {
        "fingerprint": mark,
        "levels": {kind: len(arrays_) for kind, arrays_ in levels.items()},
        "grids": [
            {"shape": list(array.shape), "affine": affine.tolist()}
            for array, affine in zip(levels["image"], affines, strict=True)
        ],
        "organ_names_annotated": survey.organs.annotated if survey.organs and organ_map is not None else (),
        "lesion_names_annotated": survey.lesions.annotated if survey.lesions and lesion_map is not None else (),
        "boxes": boxes,
        "component_boxes": parts,
        "intensity_percentiles": np.percentile(study.image[::2, ::2, ::2], INTENSITY_PERCENTILES).tolist(),
        "problems": [problem.to_dict() for problem in problems],
    }
    arrays.write_study(folder, levels, affines=affines, attributes=attributes)
    plain: dict[str, Any] = json.loads(json.dumps(attributes))
    return plain


def _levels(
    study: CanonicalStudy, spacing_mm: tuple[float, float, float], study_id: str
) -> tuple[dict[str, list[Any]], list[Any]]:
    """kind -> [native] or [native, at training spacing], and the affine of each level."""
    given = {"image": study.image, "organs": study.organs, "lesions": study.lesions}
    levels: dict[str, list[Any]] = {kind: [array] for kind, array in given.items() if array is not None}
    affines = [study.affine]
    native = np.linalg.norm(study.affine[:3, :3], axis=0)
    if np.allclose(native, spacing_mm, rtol=SAME_SPACING, atol=0) and not is_sheared(study.affine):
        return levels, affines
    for kind, arrays_ in levels.items():
        source = Volume(arrays_[0][np.newaxis], study.affine, study_id)
        training = resample(source, spacing_mm=spacing_mm, labels=kind != "image")
        arrays_.append(training.array[0])
        affines = [study.affine, training.affine]
    return levels, affines


def _row(study: SourceStudy, attributes: Mapping[str, Any], *, has_report: bool) -> dict[str, Any]:
    native, training = attributes["grids"][0], attributes["grids"][-1]
    return {
        "study_id": study.study_id,
        "patient_id": study.patient_id,
        "has_report": has_report,
        "has_organs": "organs" in attributes["levels"],
        "has_lesions": "lesions" in attributes["levels"],
        "organ_names_annotated": list(attributes["organ_names_annotated"]),
        "lesion_names_annotated": list(attributes["lesion_names_annotated"]),
        "labels_present": sorted(attributes["boxes"]),
        "lesion_components": sum(len(boxes) for boxes in attributes["component_boxes"].values()),
        "shape": training["shape"],
        "native_shape": native["shape"],
        "native_spacing_mm": np.linalg.norm(np.asarray(native["affine"])[:3, :3], axis=0).tolist(),
        "fingerprint": attributes["fingerprint"],
    }
