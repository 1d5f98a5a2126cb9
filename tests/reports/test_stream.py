from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dictamen.errors import UsageError
from dictamen.reports import batch, table
from dictamen.reports.lexicon import load
from dictamen.reports.reader import Report
from dictamen.reports.schema import ReportFindings
from dictamen.reports.stream import SUFFIX, read_to_file

REPORTS = [Report(f"S{number}", f"A {number + 3} mm cyst in the left kidney.", f"row {number}") for number in range(6)]
IDENTITY = ("rules", load().hash)


class StopHereError(Exception):
    pass


def stop_after(count: int, reports: Iterator[Report]) -> Iterator[ReportFindings]:
    for number, findings in enumerate(batch.find(reports)):
        if number == count:
            raise StopHereError
        yield findings


def interrupt(output: Path, count: int) -> None:
    with pytest.raises(StopHereError):
        read_to_file(REPORTS, output, find=lambda reports: stop_after(count, reports), identity=IDENTITY)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_resume_equals_no_interruption(tmp_path: Path, suffix: str) -> None:
    output, whole = tmp_path / f"findings{suffix}", tmp_path / f"whole{suffix}"
    interrupt(output, 4)
    assert not output.exists()
    again: list[str] = []

    def find(reports: Iterator[Report]) -> Iterator[ReportFindings]:
        for findings in batch.find(reports):
            again.append(findings.study_id)
            yield findings

    counted: list[str] = []
    kept = read_to_file(
        REPORTS, output, find=find, identity=IDENTITY, resume=True, seen=lambda f: counted.append(f.study_id)
    )
    read_to_file(REPORTS, whole, find=batch.find, identity=IDENTITY)
    assert kept == 4 and again == ["S4", "S5"] and counted == [report.study_id for report in REPORTS]
    assert list(table.read(output)) == list(table.read(whole))
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(SUFFIX)] == []


def test_a_torn_line_is_read_again(tmp_path: Path) -> None:
    output = tmp_path / "findings.jsonl"
    interrupt(output, 3)
    partial = tmp_path / f"findings.jsonl{SUFFIX}"
    partial.write_bytes(partial.read_bytes()[:-40])
    assert read_to_file(REPORTS, output, find=batch.find, identity=IDENTITY, resume=True) == 2
    assert [findings.study_id for findings in table.read(output)] == [report.study_id for report in REPORTS]


def test_without_resume_it_begins_anew(tmp_path: Path) -> None:
    output = tmp_path / "findings.jsonl"
    interrupt(output, 3)
    assert read_to_file(REPORTS, output, find=batch.find, identity=IDENTITY) == 0
    assert len(list(table.read(output))) == len(REPORTS)


@pytest.mark.parametrize(
    ("reports", "identity", "says"),
    [
        (REPORTS[1:], IDENTITY, "other reports"),
        (REPORTS[:2], IDENTITY, "other reports"),
        (REPORTS, ("rules", "0"), "another reader or lexicon"),
        (REPORTS, ("llm", IDENTITY[1]), "another reader or lexicon"),
    ],
    ids=["begins elsewhere", "is shorter", "lexicon", "reader"],
)
def test_what_another_run_has_read_is_refused(
    tmp_path: Path, reports: list[Report], identity: tuple[str, str], says: str
) -> None:
    output = tmp_path / "findings.jsonl"
    interrupt(output, 3)
    with pytest.raises(UsageError, match=says):
        read_to_file(reports, output, find=batch.find, identity=identity, resume=True)


def test_parquet_is_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "PIECE", 2)
    output = tmp_path / "findings.parquet"
    read_to_file(REPORTS, output, find=batch.find, identity=IDENTITY)
    assert [findings.study_id for findings in table.read(output)] == [report.study_id for report in REPORTS]
    assert [path.name for path in tmp_path.iterdir()] == [output.name]
