"""Reports from files: csv, parquet, jsonl, or a folder of .txt; streamed, so that a file of any size fits.

A cell with the path of a .txt file, relative to the table, stands for the text of that file, as in studies.csv.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dictamen.errors import InputError, UsageError

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
MAX_FIELD = 1 << 27
"""Longest csv field in characters; Python's default of 131,072 is too short for concatenated reports."""
PARQUET_ROWS = 2000
"""Rows of a parquet file held at a time."""
DELIMITERS = (",", ";", "\t")
"""Of csv: spreadsheets of half of Europe write semicolons."""
LONGEST_PATH = 1024
"""A cell that is longer is the text itself, whatever it ends with."""
READ_BYTES = 1 << 20
"""Bytes checked at a time when looking for the first wrong byte."""


@dataclass(frozen=True, slots=True)
class Report:
    """One report; `text` may be empty, `place` says where it stands ("line 7", a file name)."""

    study_id: str
    text: str
    place: str


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the two columns that are read."""

    study_id: str = "study_id"
    report: str = "report"


def read_reports(source: Path, *, columns: Columns | None = None, encoding: str = "utf-8") -> Iterator[Report]:
    """Reports of `source` in order.

    Args:
        source: .csv, .tsv, .parquet, .jsonl, or a folder of .txt files (the file name is the study id).
        columns: names of the columns; study_id and report by default.
        encoding: of csv, jsonl and txt; a byte order mark is accepted.

    Raises:
        UsageError: unknown encoding or kind of file.
        InputError: missing or empty file, missing column, another number of cells than columns, wrong encoding, bad
            JSON line, study id missing or twice, a .txt file that is missing or outside the table's folder.
    """
    path, python_encoding = Path(source), _python_encoding(encoding)
    reports = _open(path, columns or Columns(), python_encoding)
    return _unique(reports if path.is_dir() else _followed(reports, path, python_encoding), path)


def names_a_file(cell: str) -> bool:
    """Whether a `report` cell is the path of a .txt file rather than the text."""
    return cell.lower().endswith(".txt") and "\n" not in cell and len(cell) <= LONGEST_PATH


def _open(source: Path, columns: Columns, encoding: str) -> Iterator[Report]:
    if source.is_dir():
        return _folder(source, encoding)
    if not source.exists():
        raise InputError("The reports do not exist.", where=source, next_step="check the path")
    suffix = source.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            "Unknown kind of reports file.",
            got=source.name,
            expected=f"one of {', '.join(SUFFIXES)}, or a folder of .txt files",
        )
    if source.stat().st_size == 0:
        raise InputError(
            "The reports file is empty.", where=source, expected=f"columns {columns.study_id}, {columns.report}"
        )
    if suffix == ".parquet":
        return _parquet(source, columns)
    if suffix in (".jsonl", ".ndjson"):
        return _jsonl(source, columns, encoding)
    return _csv(source, columns, encoding)


def _python_encoding(encoding: str) -> str:
    try:
        "".encode(encoding)
    except LookupError:
        raise UsageError(
            "Unknown encoding.", got=encoding, expected="a name such as utf-8, cp1252, iso-8859-9"
        ) from None
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def _unique(reports: Iterable[Report], source: Path) -> Iterator[Report]:
    seen: dict[str, str] = {}
    for report in reports:
        if not report.study_id:
            raise InputError(
                "A report has no study id.",
                where=f"{source}, {report.place}",
                next_step="fill the column or remove the row",
            )
        if report.study_id in seen:
            raise InputError(
                "A study id occurs twice.",
                where=source,
                got=f"{report.study_id} at {seen[report.study_id]} and {report.place}",
                next_step="join the two reports or give them different ids",
            )
        seen[report.study_id] = report.place
        yield report
    if not seen:
        raise InputError("There is no report.", where=source, expected="at least one row below the names of columns")


def _followed(reports: Iterable[Report], source: Path, encoding: str) -> Iterator[Report]:
    """The reports, with the text of the file for each cell that names one."""
    for report in reports:
        if not names_a_file(report.text.strip()):
            yield report
            continue
        with _decoding(_file_of(report, source), encoding) as file:
            yield Report(report.study_id, file.read(), report.place)


def _file_of(report: Report, source: Path) -> Path:
    cell, where = report.text.strip(), f"{source}, {report.place}"
    path = Path(os.path.normpath(source.parent / cell))
    if not path.is_relative_to(os.path.normpath(source.parent)):
        raise InputError(
            "The path of a report leaves the folder of the table.",
            where=where,
            got=cell,
            expected="a path below it",
            next_step="move the file",
        )
    if not path.is_file():
        raise InputError("The report file does not exist.", where=where, got=cell, next_step="correct the path")
    return path


def _folder(source: Path, encoding: str) -> Iterator[Report]:
    paths = sorted(path for path in source.iterdir() if path.suffix.lower() == ".txt" and path.is_file())
    if not paths:
        raise InputError("The folder has no .txt files.", where=source, expected="one <study_id>.txt a report")
    for path in paths:
        with _decoding(path, encoding) as file:
            yield Report(path.stem, file.read(), path.name)


def _csv(source: Path, columns: Columns, encoding: str) -> Iterator[Report]:
    csv.field_size_limit(MAX_FIELD)
    with _decoding(source, encoding) as file:
        head = file.readline()
        file.seek(0)
        rows = csv.DictReader(file, delimiter=max(DELIMITERS, key=head.count), strict=True)
        try:
            _check_columns(source, columns, list(rows.fieldnames or ()))
            for row in rows:
                _check_cells(row, f"{source}, line {rows.line_num}")
                yield Report((row[columns.study_id] or "").strip(), row[columns.report] or "", f"line {rows.line_num}")
        except csv.Error as error:
            raise InputError("The csv is broken.", where=f"{source}, line {rows.line_num}", got=str(error)) from None


def _check_cells(row: dict[Any, Any], where: str) -> None:
    """A comma too many would cut a report off in silence."""
    if None in row or None in row.values():
        raise InputError(
            f"The row has {'more' if None in row else 'fewer'} cells than there are columns.",
            where=where,
            next_step="put quotes around cells that hold the delimiter or line breaks",
        )


def _jsonl(source: Path, columns: Columns, encoding: str) -> Iterator[Report]:
    with _decoding(source, encoding) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                row = _json_row(line, f"{source}, line {number}")
                _check_columns(source, columns, list(row), place=f"line {number}")
                _check_text(row[columns.report], columns.report, f"{source}, line {number}")
                yield Report(_text(row[columns.study_id]).strip(), _text(row[columns.report]), f"line {number}")


def _check_text(value: object, column: str, where: str) -> None:
    if value is not None and not isinstance(value, str):
        raise InputError(
            f"`{column}` is no text.", where=where, got=f"a JSON {type(value).__name__}", expected="a string"
        )


def _json_row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        column = getattr(error, "colno", 1)
        raise InputError(
            "The line is not valid JSON.", where=f"{where}, column {column}", expected="one JSON object a line"
        ) from None
    if not isinstance(row, dict):
        raise InputError("The line is not a JSON object.", where=where, got=type(row).__name__)
    return row


def _parquet(source: Path, columns: Columns) -> Iterator[Report]:
    import polars as pl

    try:
        names = list(pl.read_parquet_schema(source))
        _check_columns(source, columns, names)
        table = pl.scan_parquet(source).select(columns.study_id, columns.report)
        total = int(table.select(pl.len()).collect().item())
        for offset in range(0, total, PARQUET_ROWS):
            for index, (study_id, text) in enumerate(table.slice(offset, PARQUET_ROWS).collect().iter_rows()):
                yield Report(_text(study_id).strip(), _text(text), f"row {offset + index + 1}")
    except pl.exceptions.PolarsError as error:
        raise InputError("The parquet file can't be read.", where=source, got=type(error).__name__) from None


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _check_columns(source: Path, columns: Columns, names: list[str], *, place: str | None = None) -> None:
    options = {columns.study_id: "--id-column", columns.report: "--report-column"}
    for column, option in options.items():
        if column not in names:
            likely = [
                name
                for name in names
                if name.lower() in ("id", "text", "report_text", "accession", "study", "findings")
            ]
            hint = f", e.g. {option} {likely[0]}" if likely else ""
            raise InputError(
                f"The reports have no column {column!r}.",
                where=f"{source}, {place}" if place else source,
                got=f"columns {', '.join(names) or '(none)'}",
                next_step=f"name the column with {option}{hint}",
            )


class _decoding:  # noqa: N801 - reads as a function
    """Open a text file; a wrong byte becomes an error that says where it is."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._path, self._encoding = path, encoding

    def __enter__(self) -> io.TextIOWrapper:
        self._file = self._path.open(encoding=self._encoding, newline="")
        return self._file

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._file.close()
        if isinstance(error, UnicodeError):
            raise InputError(
                f"The file is not {self._encoding.removesuffix('-sig')}.",
                where=f"{self._path}, byte {_first_wrong_byte(self._path, self._encoding)}",
                next_step="give its encoding with --encoding (cp1252, iso-8859-9 ...)",
            ) from None


def _first_wrong_byte(path: Path, encoding: str) -> int:
    """Offset of the first byte that can't be decoded."""
    import codecs

    decoder = codecs.getincrementaldecoder(encoding.removesuffix("-sig"))()
    offset = 0
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                return offset - pending + error.start
            offset += len(block)
    return offset
