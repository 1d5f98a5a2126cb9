"""Layouts that people keep their studies in, each a module with `read(path, *, allow_outside) -> Source`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from dictamen.cohort.layouts import case_folders, decathlon, nnunet, studies_csv
from dictamen.cohort.layouts.dataset_json import DATASET_JSON
from dictamen.cohort.source import Source
from dictamen.errors import InputError, UsageError

LAYOUTS: Mapping[str, Callable[..., Source]] = {
    "studies_csv": studies_csv.read,
    "nnunet": nnunet.read,
    "decathlon": decathlon.read,
    "case_folders": case_folders.read,
}


def read_source(path: Path | str, *, layout: str | None = None, allow_outside: bool = False) -> Source:
    """List the studies of `path`, a csv file or a folder in one of `LAYOUTS`.

    Raises:
        InputError: nothing there, no known layout, or its table can't be used.
        UsageError: an unknown `layout`.
    """
    path = Path(path)
    if layout is not None and layout not in LAYOUTS:
        raise UsageError("There is no such layout.", got=layout, expected=f"one of {', '.join(LAYOUTS)}")
    if not path.exists():
        raise InputError("The source does not exist.", where=path)
    source = LAYOUTS[layout or detect(path)](path, allow_outside=allow_outside)
    if not source.studies and not source.problems:
        raise InputError("The source holds no study.", where=path, got=f"layout {source.layout}")
    return source


def detect(path: Path) -> str:
    """The name of the layout at `path`.

    Raises:
        InputError: none fits.
    """
    if path.is_file() or (path / studies_csv.FILE).is_file():
        return "studies_csv"
    if (path / DATASET_JSON).is_file():
        return "nnunet" if nnunet.looks_like(path) else "decathlon"
    if case_folders.looks_like(path):
        return "case_folders"
    raise InputError(
        "The layout of the source is not known.",
        where=path,
        expected="a csv file, or a folder with studies.csv, with dataset.json, or with case/ct.nii.gz",
        next_step="write a studies.csv with the columns study_id and image",
    )
