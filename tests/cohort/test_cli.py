import json
from pathlib import Path

import pytest
from full_disk import fill
from small_studies import StudiesCsv

from dictamen.cli.main import main


def run(*words: object) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return int(stop.value.code or 0)


def test_build_info_check(good: StudiesCsv, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run("cohort", "build", good.path, "-o", out, "--spacing-mm", "2") == 0
    assert "3 studies built" in capsys.readouterr().out
    assert run("cohort", "info", out, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["total"] == {"studies": 3, "patients": 3, "lesion_masks": 3, "organ_masks": 3, "reports": 3}
    assert facts["lesions"] == {"liver_lesion": 3}
    assert facts["findings"]["liver"] == {"findings": 3, "with_size": 3, "reports": 3, "clear": 0}
    assert facts["findings"]["spleen"]["clear"] == 3
    assert run("cohort", "info", out) == 0
    assert "liver_lesion" in capsys.readouterr().out
    assert run("cohort", "check", out, "--json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run("cohort", "check", good.path) == 0


def test_exit_codes(good: StudiesCsv, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good.add("bad", image="no.nii.gz")
    assert run("cohort", "check", good.path) == 3
    captured = capsys.readouterr()
    assert "1 errors" in captured.out
    assert "error [missing_file] bad, images" in captured.err.replace("no.nii.gz", "images")
    assert run("cohort", "build", good.path, "-o", tmp_path / "out", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["built"], facts["failed"]) == (3, ["bad"])
    assert run("cohort", "build", good.path, "-o", tmp_path / "out") == 2  # not empty
    assert run("cohort", "build", good.path, "-o", tmp_path / "b", "--spacing-mm", "thick") == 2
    assert run("cohort", "info", tmp_path) == 3
    assert run("cohort", "build", tmp_path / "nowhere", "-o", tmp_path / "c") == 3
    assert not (tmp_path / "c").exists()


def test_nothing_built_is_bad_input(studies: StudiesCsv, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    studies.add("bad", image="no.nii.gz")
    assert run("cohort", "build", studies.path, "-o", tmp_path / "out") == 3
    assert "No study could be built" in capsys.readouterr().err


def test_a_full_disk(good: StudiesCsv, disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(disk, leave_kb=40)
    assert run("cohort", "build", good.path, "-o", disk / "out", "--spacing-mm", "2") == 4
    said = capsys.readouterr().err
    assert "disk is full" in said and str(disk) in said and "bytes left" in said
    (disk / "filler").unlink()
    assert run("cohort", "build", good.path, "-o", disk / "out", "--spacing-mm", "2", "--resume") == 0
