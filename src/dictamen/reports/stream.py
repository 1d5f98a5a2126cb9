"""Findings of a file of any size: written as they are read, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from dictamen.errors import UsageError, resource_errors
from dictamen.files import placing
from dictamen.reports import table
from dictamen.reports.reader import Report
from dictamen.reports.schema import ReportFindings

SUFFIX = ".partial"
"""Behind the output's name: what an interrupted run has read so far, as jsonl."""
BLOCK = 1 << 16
"""Bytes looked through at a time for the end of the last whole line."""


def read_to_file(
    reports: Iterable[Report],
    output: Path,
    *,
    find: Callable[[Iterator[Report]], Iterator[ReportFindings]],
    identity: tuple[str, str],
    resume: bool = False,
    seen: Callable[[ReportFindings], None] = lambda _: None,
) -> int:
    """Read reports into `output` (.jsonl or .parquet); returns how many were kept from an interrupted run.

    Args:
        find: findings of reports, in order.
        identity: name of the reader and hash of its lexicon; only findings of the same are kept.
        resume: keep what an interrupted run of the same reports has read.
        seen: called with the findings of each report, kept ones too.

    Raises:
        UsageError: the output is a folder or lies below a file; the interrupted run was about other reports, or by
            another reader.
        ResourceError: disk full or folder not writable; what has been read is kept.
        InputError: whatever `reports` and `find` raise; what has been read is kept.
    """
    table.check_suffix(output)
    partial = output.with_name(output.name + SUFFIX)
    source, kept = iter(reports), 0
    if output.is_dir():
        raise UsageError("The output path is a folder.", got=output, expected="a file", next_step="choose another name")
    with placing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
    with resource_errors(output):
        try:
            if resume:
                _drop_torn_line(partial)
                for findings in _kept(partial, source, identity):
                    kept += 1
                    seen(findings)
            with partial.open("a" if kept else "w", encoding="utf-8", newline="\n") as file:
                for findings in find(source):
                    file.write(findings.model_dump_json() + "\n")
                    seen(findings)
                file.flush()
                os.fsync(file.fileno())
        finally:
            if partial.stat().st_size == 0:
                partial.unlink()
        if output.suffix.lower() == ".parquet":
            table.write_parquet(table.read_jsonl(partial), output)
            partial.unlink()
        else:
            partial.replace(output)
    return kept


def _kept(partial: Path, reports: Iterator[Report], identity: tuple[str, str]) -> Iterator[ReportFindings]:
    """What was read before, checked against the reports that it is skipped for."""
    for number, findings in enumerate(table.read_jsonl(partial), start=1):
        report = next(reports, None)
        if report is None or report.study_id != findings.study_id:
            raise UsageError(
                "The interrupted run was about other reports.",
                where=f"{partial}, line {number}",
                got=findings.study_id,
                expected="the end" if report is None else report.study_id,
                next_step="run without --resume to begin anew",
            )
        if findings.lexicon_hash and (findings.reader, findings.lexicon_hash) != identity:  # none: it had failed
            raise UsageError(
                "The interrupted run used another reader or lexicon.",
                where=f"{partial}, line {number}",
                got=f"{findings.reader}, lexicon {findings.lexicon_hash}",
                expected=f"{identity[0]}, lexicon {identity[1]}",
                next_step="run without --resume to begin anew",
            )
        yield findings


def _drop_torn_line(path: Path) -> None:
    """Cut what stands behind the last line break: the line at which the run was interrupted."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        for start in chain(range(end - BLOCK, 0, -BLOCK), (0,)):
            file.seek(start)
            found = file.read(min(BLOCK, end - start)).rfind(b"\n")
            if found >= 0 or start == 0:
                file.truncate(start + found + 1)
                return
