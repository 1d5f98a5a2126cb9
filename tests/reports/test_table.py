from __future__ import annotations

import json
from pathlib import Path

import pytest

from dictamen.errors import InputError, UsageError
from dictamen.reports import table
from dictamen.reports.rules import read_report
from dictamen.reports.schema import ReportFindings

TEXTS = {
    "a": "Multiple liver cysts, the largest 2-3 cm (5:12). A 4 x 3 cm mass in the left kidney, previously 3 cm. "
    "Status post cholecystectomy.",
    "b": "The spleen is unremarkable.",
    "c": "",
}


@pytest.fixture
def reports() -> list[ReportFindings]:
    return [read_report(text, study_id) for study_id, text in TEXTS.items()]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_round_trip(tmp_path: Path, reports: list[ReportFindings], suffix: str) -> None:
    path = tmp_path / f"findings{suffix}"
    assert table.write(iter(reports), path) == 3
    assert list(table.read(path)) == reports


def test_jsonl_is_one_study_a_line(tmp_path: Path, reports: list[ReportFindings]) -> None:
    path = tmp_path / "f.jsonl"
    table.write_jsonl(reports, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines == [report.model_dump_json() for report in reports]
    first = json.loads(lines[0])
    assert first["findings"][0]["count"] == [2.0, None]


def test_one_finding_a_row(reports: list[ReportFindings]) -> None:
    frame = table.findings_frame(reports)
    assert frame["study_id"].to_list() == ["a"] * len(reports[0].findings) + ["b", "c"]
    assert frame.filter(frame["structure"] == "kidney")["diameters_mm"].to_list() == [[40.0, 30.0]]


def test_nothing_is_left_behind_when_reading_fails(tmp_path: Path, reports: list[ReportFindings]) -> None:
    def failing() -> object:
        yield reports[0]
        raise InputError("stop")

    path = tmp_path / "f.jsonl"
    with pytest.raises(InputError):
        table.write(failing(), path)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_bad_line_names_file_line_and_field(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text('{"study_id": "a"}\n{"study_id": "b", "surprise": 1}\n')
    with pytest.raises(InputError) as caught:
        list(table.read(path))
    assert "line 2, field surprise" in str(caught.value)


@pytest.mark.parametrize("name", ["f.csv", "f"])
def test_other_suffixes_are_a_usage_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        table.write([], tmp_path / name)


@pytest.mark.parametrize("name", ["f.jsonl", "f.parquet"])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="does not exist"):
        list(table.read(tmp_path / name))


def test_a_parquet_of_something_else(tmp_path: Path) -> None:
    import polars as pl

    path = tmp_path / "f.parquet"
    pl.DataFrame({"x": [1]}).write_parquet(path)
    with pytest.raises(InputError, match="holds no findings"):
        list(table.read(path))
