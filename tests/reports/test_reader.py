from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from dictamen.errors import DictamenError, InputError, UsageError
from dictamen.reports.batch import find
from dictamen.reports.reader import Columns, Report, read_reports

ROWS = [("A1", "The liver, spleen\nand pancreas are normal."), ("B2", 'Cyst, "simple", left kidney.'), ("C3", "")]


def write(folder: Path, kind: str) -> Path:
    frame = pl.DataFrame(ROWS, schema=["study_id", "report"], orient="row")
    path = folder / f"reports.{kind}"
    if kind == "csv":
        frame.write_csv(path)
    elif kind == "tsv":
        frame.write_csv(path, separator="\t")
    elif kind == "jsonl":
        frame.write_ndjson(path)
    elif kind == "parquet":
        frame.write_parquet(path)
    else:
        path.mkdir()
        for study_id, text in ROWS:
            (path / f"{study_id}.txt").write_text(text, encoding="utf-8")
    return path


def pairs(path: Path, **options: object) -> list[tuple[str, str]]:
    return [(report.study_id, report.text) for report in read_reports(path, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "folder"])
def test_every_kind_of_file_gives_the_same_reports(tmp_path: Path, kind: str) -> None:
    assert pairs(write(tmp_path, kind)) == ROWS


def test_other_columns_and_encodings(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes("id,text\n7,Zyste in der linken Niere, 3 mm groß\n".replace(", 3", " 3").encode("cp1252"))
    assert pairs(path, columns=Columns("id", "text"), encoding="cp1252") == [
        ("7", "Zyste in der linken Niere 3 mm groß")
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(b"\xef\xbb\xbfstudy_id,report\n1,normal\n")
    assert pairs(path) == [("1", "normal")]


def problem(path: Path, **options: object) -> DictamenError:
    with pytest.raises(DictamenError) as caught:
        pairs(path, **options)
    return caught.value


def test_a_missing_column_lists_those_there_and_names_the_option(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("id,text\n1,normal\n")
    error = problem(path)
    assert isinstance(error, InputError)
    assert "id, text" in str(error) and "--id-column id" in str(error)


def test_a_wrong_encoding_names_file_byte_and_option(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(b"study_id,report\n1,gro\xdf\n")
    error = problem(path)
    assert f"{path}, byte 21" in str(error) and "--encoding" in str(error)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_an_empty_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"r.{kind}"
    path.write_bytes(b"")
    assert "empty" in str(problem(path))


def test_an_empty_folder(tmp_path: Path) -> None:
    assert "no .txt files" in str(problem(tmp_path))


def test_a_duplicate_study_id_says_which_and_where(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("study_id,report\nX9,a\nY1,b\nX9,c\n")
    assert "X9 at line 2 and line 4" in str(problem(path))


def test_a_missing_study_id(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("study_id,report\n,a\n")
    assert "line 2" in str(problem(path))


@pytest.mark.parametrize("line", ["{broken", "[1]", '"text"'])
def test_a_bad_json_line_says_which(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"study_id": "1", "report": "secret text"}\n' + line + "\n")
    error = problem(path)
    assert "line 2" in str(error) and "secret" not in str(error)


@pytest.mark.parametrize(
    ("name", "kind"), [("none.csv", InputError), ("r.docx", UsageError), ("bad.parquet", InputError)]
)
def test_files_that_are_none(tmp_path: Path, name: str, kind: type[DictamenError]) -> None:
    if name != "none.csv":
        (tmp_path / name).write_text("not a table")
    assert isinstance(problem(tmp_path / name), kind)


def test_an_unknown_encoding(tmp_path: Path) -> None:
    assert isinstance(problem(write(tmp_path, "csv"), encoding="latin-99"), UsageError)


def test_processes_give_the_same_findings_in_the_same_order() -> None:
    reports = [Report(f"S{n}", f"A {n + 2} mm cyst in the left kidney.", "") for n in range(150)]
    alone = list(find(reports))
    assert [f.study_id for f in alone] == [r.study_id for r in reports]
    assert list(find(reports, jobs=2)) == alone


def test_one_bad_report_never_stops_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    from dictamen.reports import batch

    good = batch.read_report

    def sometimes(text: str, study_id: str, **options: object) -> object:
        if study_id == "bad":
            raise ValueError(text)
        return good(text, study_id, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "read_report", sometimes)
    results = list(find([Report("a", "normal", ""), Report("bad", "secret", ""), Report("c", "normal", "")]))
    assert [(r.study_id, [f.code for f in r.flags]) for r in results] == [("a", []), ("bad", ["failed"]), ("c", [])]
    assert "secret" not in results[1].model_dump_json()
