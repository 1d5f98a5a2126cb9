"""studies.csv: one study a row, paths relative to the file, `labels.json` beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dictamen.cohort.manifest import Problem
from dictamen.cohort.source import Source, SourceStudy, gather, inside, masks_at
from dictamen.cohort.splits import SPLITS, Split
from dictamen.cohort.tables import LABELS_JSON, LabelsFile, read_csv, read_labels
from dictamen.errors import InputError
from dictamen.imaging.dicom.series import ONLY
from dictamen.reports.reader import names_a_file

FILE = "studies.csv"
REQUIRED = ("study_id", "image")
OPTIONAL = ("patient_id", "report", "organs", "lesions", "split", "series")
SPLIT_NAMES: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""What people write -> our name."""


def read(path: Path, *, allow_outside: bool = False, series: str = ONLY) -> Source:
    """List the studies of a csv, or of the folder that holds `studies.csv`.

    Args:
        series: which DICOM series to take where an image is one of several and the column `series` says nothing.

    Raises:
        InputError: no such file, wrong encoding, empty, or a required column is missing.
    """
    table = path / FILE if path.is_dir() else path
    columns, rows = read_csv(table, required=REQUIRED)
    labels = read_labels(table.parent / LABELS_JSON)
    studies, problems = [], _unknown_columns(columns, table)
    for number, row in enumerate(rows, start=1):
        try:
            studies.append(_study(row, table.parent, labels, allow_outside=allow_outside, series=series))
        except InputError as error:
            where = row["study_id"] or None
            problems.append(Problem(where, "unusable_row", "error", f"Record {number}: {error}", table.name))
    return gather(table.parent, "studies_csv", studies, problems, file=table.name)


def _study(row: dict[str, str], root: Path, labels: LabelsFile, *, allow_outside: bool, series: str) -> SourceStudy:
    def path(name: str) -> Path | None:
        return inside(root, row[name], allow_outside=allow_outside) if row.get(name) else None

    image, organs, lesions = path("image"), path("organs"), path("lesions")
    if image is None:
        raise InputError("The cell `image` is empty.", expected="the path of a NIfTI file or of a DICOM series")
    report = row.get("report") or None
    is_file = report is not None and names_a_file(report)
    split = row.get("split", "").lower()
    if split and split not in SPLIT_NAMES:
        raise InputError("The split is unknown.", got=split, expected=f"one of {', '.join(SPLITS)}, or nothing")
    return SourceStudy(
        study_id=row["study_id"],
        patient_id=row.get("patient_id") or row["study_id"],
        image=image,
        report=None if is_file else report,
        report_file=path("report") if is_file else None,
        organs=masks_at(organs, labels.organs) if organs else None,
        lesions=masks_at(lesions, labels.lesions) if lesions else None,
        split=SPLIT_NAMES.get(split),
        series=row.get("series") or series,
    )


def _unknown_columns(columns: list[str], table: Path) -> list[Problem]:
    return [
        Problem(
            None,
            "unknown_column",
            "warning",
            f"The column `{name}` is not used. Expected: {', '.join(REQUIRED + OPTIONAL)}.",
            table.name,
        )
        for name in columns
        if name not in REQUIRED + OPTIONAL
    ]
