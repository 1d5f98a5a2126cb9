from pathlib import Path

import pytest

from dictamen.cohort.tables import read_csv, read_labels, read_reports
from dictamen.errors import InputError


def saved(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_with_any_usual_delimiter_and_a_byte_order_mark(tmp_path: Path, delimiter: str) -> None:
    text = (
        "\ufeff" + delimiter.join(["study_id", " image "]) + "\r\n" + delimiter.join([" a ", "x.nii.gz"]) + "\r\n\r\n"
    )
    columns, rows = read_csv(saved(tmp_path / "t.csv", text), required=("study_id", "image"))
    assert columns == ["study_id", "image"]
    assert rows == [{"study_id": "a", "image": "x.nii.gz"}]


def test_cells_may_hold_line_breaks_and_quotes(tmp_path: Path) -> None:
    path = saved(tmp_path / "t.csv", 'study_id,report\na,"Liver:\n2 cm ""cyst"", left"\n')
    assert read_csv(path, required=())[1] == [{"study_id": "a", "report": 'Liver:\n2 cm "cyst", left'}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("study_id,picture\na,b\n", "`report` is missing"),
        ("study_id,report,report\na,b,c\n", "given twice"),
        ("study_id,report\na,b,c\n", "Record 2 has another number of cells"),
        ('study_id,report\na,"b\n', "parsed"),
        ("study_id,report\na,Größe\n".encode("latin-1"), "not in UTF-8"),
        (b"study_id,report\na,\x00\n", "zero byte"),
    ],
)
def test_bad_csv(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_csv(saved(tmp_path / "studies.csv", content), required=("study_id", "report"))
    assert "studies.csv" in str(error.value)
    assert error.value.__cause__ is None  # a decoding error carries the text


def test_empty_reports_are_left_out(tmp_path: Path) -> None:
    path = saved(tmp_path / "r.jsonl", '{"study_id": "a", "report": "x"}\n{"study_id": "b", "report": " "}\n')
    assert read_reports(path) == {"a": "x"}


def test_labels(tmp_path: Path) -> None:
    assert read_labels(tmp_path / "labels.json").organs is None
    assert read_labels(saved(tmp_path / "l.json", '{"organs": {"1": "liver"}}')).organs == {1: "liver"}
    for wrong in ('{"organ": {}}', '{"organs": {"liver": 1}}', "[]", "{"):
        with pytest.raises(InputError, match=r"labels\.json is not as expected"):
            read_labels(saved(tmp_path / "l.json", wrong))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_csv(tmp_path / "no.csv", required=())
