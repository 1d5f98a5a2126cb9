"""Layouts that people keep their studies in, each a module with `read(path, *, allow_outside) -> Source`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from dictamen.cohort.layouts import case_folders, decathlon, dicom, nnunet, studies_csv
from dictamen.cohort.layouts.dataset_json import DATASET_JSON
from dictamen.cohort.source import Source
from dictamen.errors import InputError, UsageError
from dictamen.imaging.dicom.series import ONLY
from dictamen.imaging.read import DICOM_SUFFIXES

LAYOUTS: Mapping[str, Callable[..., Source]] = {
    "studies_csv": studies_csv.read,
    "nnunet": nnunet.read,
    "decathlon": decathlon.read,
    "case_folders": case_folders.read,
    "dicom": dicom.read,
}
WITH_SERIES = frozenset({"studies_csv", "dicom"})
"""Layouts that may hold DICOM series."""


def read_source(
    path: Path | str, *, layout: str | None = None, allow_outside: bool = False, series: str = ONLY
) -> Source:
    """List the studies of `path`, a csv file or a folder in one of `LAYOUTS`.

    Raises:
        InputError: nothing there, no known layout, or its table can't be used.
        UsageError: an unknown `layout`, or a `series` for a layout that has none.
    """
    path = Path(path)
    if layout is not None and layout not in LAYOUTS:
        raise UsageError("There is no such layout.", got=layout, expected=f"one of {', '.join(LAYOUTS)}")
    if not path.exists():
        raise InputError("The source does not exist.", where=path)
    layout = layout or detect(path)
    if series != ONLY and layout not in WITH_SERIES:
        raise UsageError("Only DICOM has series to choose from.", where=path, got=f"layout {layout}, series {series}")
    options = {"series": series} if layout in WITH_SERIES else {}
    source = LAYOUTS[layout](path, allow_outside=allow_outside, **options)
    if not source.studies and not source.problems:
        raise InputError("The source holds no study.", where=path, got=f"layout {source.layout}")
    return source


def detect(path: Path) -> str:
    """The name of the layout at `path`.

    Raises:
        InputError: none fits.
    """
    if (path.is_file() and path.suffix.lower() not in DICOM_SUFFIXES) or (path / studies_csv.FILE).is_file():
        return "studies_csv"
    if (path / DATASET_JSON).is_file():
        return "nnunet" if nnunet.looks_like(path) else "decathlon"
    if case_folders.looks_like(path):
        return "case_folders"
    if dicom.looks_like(path):
        return "dicom"
    raise InputError(
        "The layout of the source is not known.",
        where=path,
        expected="a csv file, or a folder with studies.csv, with dataset.json, with case/ct.nii.gz, or DICOM",
        next_step="write a studies.csv with the columns study_id and image",
    )
