"""`dictamen anatomy`: as a user runs it."""

import json
from pathlib import Path

import pytest

from dictamen.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["anatomy", *words])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_search_lists_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "search", "splean", "--limit", "2", "--json")
    rows = json.loads(out)
    assert code == 0
    assert [rows[0]["id"], len(rows)] == ["spleen", 2]


def test_search_says_that_a_word_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "search", "banana")
    assert code == 0
    assert "No concept is called 'banana'" in err
    assert out


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "show", "left kidney")
    assert "mirror of: kidney_right" in out
    assert "supplied by: renal_artery_left" in out


def test_show_unknown_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "show", "splean")
    assert code == 3
    assert "spleen" in err


def test_tree_stops_at_its_depth(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "tree", "liver", "--depth", "1")
    assert "  liver_right_lobe (part of)" in out
    assert "hepatocellular_carcinoma (found in)" in out
    assert "liver_segment_6" not in out
    _, nested, _ = run(capsys, "tree", "liver", "--json")
    assert json.loads(nested)["id"] == "liver"


def test_statistics(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "statistics", "--json")
    counts = json.loads(out)
    assert counts["concepts"] == sum(counts["categories"].values()) >= 400


OBO = """[Term]
id: T:1
name: renal column
synonym: "column of Bertin" EXACT []
relationship: part_of T:2

[Term]
id: T:2
name: kidney
relationship: odd T:1
"""


def test_import_then_look_up(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source, concepts = tmp_path / "small.obo", tmp_path / "concepts.json"
    source.write_text(OBO)
    code, out, _ = run(capsys, "import", str(source), "-o", str(concepts))
    assert code == 0
    assert "2 concepts: 1 join known ones, 1 are new." in out
    assert "unused relations: odd 1" in out
    code, _, err = run(capsys, "import", str(source), "-o", str(concepts))
    assert code == 2
    assert "--overwrite" in err
    _, shown, _ = run(capsys, "show", "column of bertin", "--concepts", str(concepts), "--json")
    assert json.loads(shown)["codes"] == ["T:1"]
    _, out, _ = run(capsys, "tree", "kidney", "--concepts", str(concepts))
    assert "renal_column (part of)" in out
    _, counted, _ = run(capsys, "import", str(source), "-o", str(concepts), "--overwrite", "--json")
    assert json.loads(counted)["unused_relations"] == {"odd": 1}


def test_statistics_page_has_every_concept(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    run(capsys, "statistics", "--html", str(page))
    text = page.read_text()
    assert "renal_calyx_left" in text
    assert "http" not in text.split("<body")[1]
