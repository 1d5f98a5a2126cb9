"""`dictamen read`, as users run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dictamen.cli import main

CSV = 'study_id,report\nS1,"A 14 mm cyst in the left kidney. The spleen is normal."\nS2,""\n'


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    path = tmp_path / "reports.csv"
    path.write_text(CSV)
    return path


def run(*arguments: object) -> int:
    try:
        main([str(argument) for argument in ("read", *arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_findings_and_summary(reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, page = tmp_path / "out" / "findings.jsonl", tmp_path / "page.html"
    assert run(reports, "-o", output, "--html", page, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["reports"] == 2
    assert summary["organs"]["kidney"] == {"findings": 1, "with_size": 1, "clear": 0, "removed": 0}
    assert summary["organs"]["spleen"]["clear"] == 1
    assert summary["flags"] == {"empty": 1}
    first = json.loads(output.read_text().splitlines()[0])
    assert first["findings"][0]["diameters_mm"] == [14.0]
    assert first["clear_structures"] == ["spleen"]
    assert "S1" in page.read_text() and "finding cyst" in page.read_text()


def test_a_table_for_people(reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(reports, "-o", tmp_path / "f.parquet") == 0
    out = capsys.readouterr().out
    assert "kidney" in out and "2 reports, 1 findings" in out


def test_a_site_overlay(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('[lesion.cyst]\nterms = ["zyste"]\n')
    (tmp_path / "r.jsonl").write_text('{"study_id": "S", "report": "Zyste in the liver."}\n')
    assert run(tmp_path / "r.jsonl", "-o", tmp_path / "f.jsonl", "--site", tmp_path / "site.toml") == 0
    assert json.loads((tmp_path / "f.jsonl").read_text())["findings"][0]["kind"] == "cyst"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"id,text\n1,a\n", "--id-column"),
        (b"", "empty"),
        (b"study_id,report\n1,\xff\n", "--encoding"),
        (b"study_id,report\n1,a\n1,b\n", "twice"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_3(
    tmp_path: Path, content: bytes, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = tmp_path / "r.csv", tmp_path / "f.jsonl"
    path.write_bytes(content)
    assert run(path, "-o", output) == 3
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error
    assert not output.exists()


def test_a_wrong_suffix_is_a_usage_error(reports: Path, tmp_path: Path) -> None:
    assert run(reports, "-o", tmp_path / "f.xlsx") == 2


def test_resume_says_what_it_kept(reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "f.jsonl"
    assert run(reports, "-o", output) == 0
    first = output.read_text().splitlines()[0]
    output.with_name("f.jsonl.partial").write_text(first + "\n")
    capsys.readouterr()
    assert run(reports, "-o", output, "--resume", "--json") == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 1
    assert len(output.read_text().splitlines()) == 2


def test_explain_shows_one_report_and_why(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(reports, "--explain", "S1") == 0
    out = capsys.readouterr().out
    assert "14 mm cyst[1] in the left kidney" in out
    assert "[1] cyst, kidney left, 14 mm" in out and "rules: sentence" in out
    assert "spleen, lesion free" in out


@pytest.mark.parametrize(
    ("arguments", "says"), [(("--explain", "S9"), "no such study"), ((), "--explain")], ids=["unknown", "no output"]
)
def test_what_explain_needs(
    reports: Path, arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(reports, *arguments) in (2, 3)
    assert says in capsys.readouterr().err
