"""Plain tables at the edge: studies.csv, labels.json, dataset.json, files of reports."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dictamen.errors import InputError

LARGEST_CELL = 1 << 22
"""Characters of one cell: far above any report (the module's own limit of 131,072 is below some)."""
DELIMITERS = (",", ";", "\t")
LABELS_JSON = "labels.json"


class LabelsFile(BaseModel):
    """labels.json: value -> name of organ and lesion label maps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    organs: dict[int, str] | None = None
    lesions: dict[int, str] | None = None


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without byte order mark.

    Raises:
        InputError: missing, not UTF-8, or holding a zero byte.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError("The file does not exist.", where=path) from error
    except OSError as error:
        raise InputError("The file can't be read.", where=path, got=error.strerror) from error
    except UnicodeDecodeError as error:
        # `from None`: the original error carries the file's bytes
        raise InputError(
            "The file is not in UTF-8.",
            where=path,
            got=f"an invalid byte at position {error.start}",
            expected="UTF-8",
            next_step="save it as UTF-8 (for Latin-1: `iconv -f latin1 -t utf-8`)",
        ) from None
    if "\0" in text:
        raise InputError("The file is not a text file.", where=path, got="a zero byte", expected="UTF-8")
    return text


def read_csv(path: Path, *, required: tuple[str, ...]) -> tuple[list[str], list[dict[str, str]]]:
    """Columns, and rows with all cells stripped; delimiter comma, semicolon or tab.

    Raises:
        InputError: empty, a required column is missing or doubled, a row has too many or too few cells.
    """
    text = read_text(path)
    if not text.strip():
        raise InputError("The file is empty.", where=path, expected=f"columns {', '.join(required)}")
    csv.field_size_limit(LARGEST_CELL)
    head = text.lstrip().splitlines()[0]
    delimiter = max(DELIMITERS, key=head.count)
    try:
        lines = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if any(row)]
    except csv.Error as error:
        raise InputError("The csv can't be parsed.", where=path, got=str(error), next_step="check the quotes") from None
    columns = [name.strip() for name in lines[0]]
    _check_columns(path, columns, required)
    if ragged := next((i for i, row in enumerate(lines, start=1) if len(row) != len(columns)), None):
        raise InputError(
            f"Record {ragged} has another number of cells than the header.",
            where=path,
            got=len(lines[ragged - 1]),
            expected=len(columns),
            next_step="put quotes around cells that hold the delimiter or line breaks",
        )
    return columns, [dict(zip(columns, map(str.strip, row), strict=True)) for row in lines[1:]]


def read_reports(path: Path) -> dict[str, str]:
    """study_id -> text of whatever `dictamen.reports.reader` takes; empty reports are left out.

    Raises:
        InputError: missing column, wrong encoding, a broken line, or a study given twice.
    """
    from dictamen.reports import reader

    return {report.study_id: report.text for report in reader.read_reports(path) if report.text.strip()}


def read_labels(path: Path) -> LabelsFile:
    """labels.json; an absent file gives no names.

    Raises:
        InputError: not as the class says.
    """
    if not path.exists():
        return LabelsFile()
    try:
        return LabelsFile.model_validate_json(read_text(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InputError(
            "labels.json is not as expected.",
            where=path,
            got=": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"]))),
            expected='{"organs": {"1": "liver", ...}, "lesions": {"1": "kidney_tumour", ...}}',
        ) from None


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: not JSON, or not an object.
    """
    try:
        value = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError("The file is not JSON.", where=path, got=f"line {error.lineno}: {error.msg}") from None
    except RecursionError:
        raise InputError("The file is nested too deep.", where=path) from None
    if not isinstance(value, dict):
        raise InputError("The file does not hold a JSON object.", where=path, got=type(value).__name__)
    return value


def _check_columns(path: Path, columns: list[str], required: tuple[str, ...]) -> None:
    if missing := [name for name in required if name not in columns]:
        raise InputError(
            f"The column `{missing[0]}` is missing.",
            where=path,
            got=f"columns {', '.join(columns[:20])}"[:200],
            expected=f"at least {', '.join(required)}",
        )
    if doubled := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise InputError(f"The column `{doubled[0]}` is given twice.", where=path)
