"""Findings to and from files: jsonl (one study a line) and parquet (one finding a row)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from dictamen.errors import InputError, UsageError
from dictamen.files import atomic_path
from dictamen.reports.schema import Finding, ReportFindings

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".jsonl", ".parquet")
PIECE = 5000
"""Reports whose rows are in memory at a time while a parquet file is written."""
_REPORT_LISTS = ("clear_structures", "removed_structures")
_REPORT_JSON = ("organ_states", "flags")
_REPORT_PLAIN = ("study_id", "reader", "lexicon_hash", "schema_version")
_FINDING_JSON = ("slices", "mentions")
_SINCE_VERSION_2 = ("mentions", "group", "rules")
"""Columns that older files don't have."""
_INTERVALS = ("count", "size_range_mm")


def check_suffix(path: Path) -> None:
    """Raise UsageError unless the path ends with .jsonl or .parquet."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            "Unknown kind of findings file.", got=path.name, expected=f"a name that ends with {' or '.join(SUFFIXES)}"
        )


def write(reports: Iterable[ReportFindings], path: Path) -> int:
    """Write by the path's suffix, atomically; returns the number of reports."""
    check_suffix(path)
    return write_jsonl(reports, path) if path.suffix.lower() == ".jsonl" else write_parquet(reports, path)


def read(path: Path) -> Iterator[ReportFindings]:
    """Read by the path's suffix."""
    check_suffix(path)
    return read_jsonl(path) if path.suffix.lower() == ".jsonl" else read_parquet(path)


def write_jsonl(reports: Iterable[ReportFindings], path: Path) -> int:
    """One study a line, streamed, atomically; returns the number of reports."""
    count = 0
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for report in reports:
            file.write(report.model_dump_json() + "\n")
            count += 1
    return count


def read_jsonl(path: Path) -> Iterator[ReportFindings]:
    """Findings of each line, streamed.

    Raises:
        InputError: the file is missing or not UTF-8, or a line is no ReportFindings; names file, line and field.
    """
    if not path.is_file():
        raise InputError("The findings file does not exist.", where=path)
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _validated(line, f"{path}, line {number}")


def _validated(line: bytes, where: str) -> ReportFindings:
    try:
        return ReportFindings.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(
            "The line is not the findings of a report.",
            where=f"{where}{f', field {field}' if field else ''}",
            got=first["msg"],
        ) from None


def findings_frame(reports: Iterable[ReportFindings]) -> pl.DataFrame:
    """One finding a row (polars); a report without findings has one row without a finding, so that nothing is lost.

    Intervals are two columns (`count_lo`, `count_hi`; open ends are null); what belongs to the whole report is repeated
    in columns that begin with `report_`.
    """
    import polars as pl

    return pl.DataFrame([row for report in reports for row in _rows(report)], schema=_schema())


def write_parquet(reports: Iterable[ReportFindings], path: Path) -> int:
    """One finding a row, atomically, in pieces, so that memory stays flat; returns the number of reports."""
    import polars as pl

    count, stream = 0, iter(reports)
    with atomic_path(path) as temporary, TemporaryDirectory(prefix=".pieces-", dir=path.parent) as folder:
        pieces: list[Path] = []
        while (piece := list(islice(stream, PIECE))) or not pieces:
            count += len(piece)
            pieces.append(Path(folder, f"{len(pieces)}.parquet"))
            findings_frame(piece).write_parquet(pieces[-1])
        pl.scan_parquet(pieces).sink_parquet(temporary)
    return count


def read_parquet(path: Path) -> Iterator[ReportFindings]:
    """What `write_parquet` wrote, study by study in order.

    Raises:
        InputError: missing, or not such a file.
    """
    import polars as pl

    if not path.is_file():
        raise InputError("The findings file does not exist.", where=path)
    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise InputError("The parquet file can't be read.", where=path, got=type(error).__name__) from None
    missing = [name for name in _schema() if name not in frame.columns and name not in _SINCE_VERSION_2]
    if missing:
        raise InputError("The parquet file holds no findings.", where=path, got=f"no columns {', '.join(missing[:5])}")
    for group in frame.partition_by("study_id", maintain_order=True):
        yield _report(group.to_dicts())


def _rows(report: ReportFindings) -> Iterator[dict[str, Any]]:
    whole = report.model_dump(mode="json")
    common: dict[str, Any] = {f"report_{name}": whole[name] for name in (*_REPORT_LISTS, *_REPORT_PLAIN[1:])}
    common |= {f"report_{name}": json.dumps(whole[name]) for name in _REPORT_JSON}
    for finding in whole["findings"] or [None]:
        yield {"study_id": report.study_id, **common, **(_flat(finding) if finding else {})}


def _flat(finding: dict[str, Any]) -> dict[str, Any]:
    row = dict(finding)
    for name in _INTERVALS:
        low, high = row.pop(name) or (None, None)
        row[f"{name}_lo"], row[f"{name}_hi"] = low, high
    for name in _FINDING_JSON:
        row[name] = json.dumps(row[name])
    row["span_start"], row["span_end"] = row.pop("span")
    return row


def _report(rows: list[dict[str, Any]]) -> ReportFindings:
    first = rows[0]
    whole = {name: first[f"report_{name}"] for name in (*_REPORT_LISTS, *_REPORT_PLAIN[1:])}
    whole |= {name: json.loads(first[f"report_{name}"]) for name in _REPORT_JSON}
    findings = [_nested(row) for row in rows if row["structure"] is not None]
    return ReportFindings.model_validate({"study_id": first["study_id"], "findings": findings, **whole})


def _nested(row: dict[str, Any]) -> dict[str, Any]:
    finding = {name: value for name, value in row.items() if name in Finding.model_fields}
    for name in _INTERVALS:
        low, high = row[f"{name}_lo"], row[f"{name}_hi"]
        finding[name] = [low, high] if low is not None else None
    for name in _FINDING_JSON:
        finding[name] = json.loads(row[name]) if row.get(name) else []
    finding["span"] = (row["span_start"], row["span_end"])
    return finding


def _schema() -> dict[str, Any]:
    import polars as pl

    text, number, whole = pl.String, pl.Float64, pl.Int64
    return {
        "study_id": text, "kind": text, "kind_certainty": text, "structure": text, "side": text, "parts": pl.List(text),
        "count_lo": number, "count_hi": number, "diameters_mm": pl.List(number), "size_qualifier": text,
        "size_range_mm_lo": number, "size_range_mm_hi": number, "prior_diameters_mm": pl.List(number), "trend": text,
        "attenuation": text, "enhancement": text, "existence": text, "temporal": text, "slices": text,
        "short_axis": pl.Boolean, "span_start": whole, "span_end": whole, "section": text, "reader": text,
        "mentions": text, "group": whole, "rules": pl.List(text),
        "confidence": number, "report_clear_structures": pl.List(text), "report_removed_structures": pl.List(text),
        "report_organ_states": text, "report_flags": text, "report_reader": text, "report_lexicon_hash": text,
        "report_schema_version": whole,
    }  # fmt: skip
