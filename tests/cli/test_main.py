"""The command line as a whole: help, exit codes, errors as one message."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dictamen.cli.main import VERBS, main


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "dictamen", *arguments], capture_output=True, text=True, check=False)


def test_help_lists_every_verb() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help(verb: str) -> None:
    done = run(verb, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_unknown_verb_is_usage() -> None:
    assert run("paint").returncode == 2


def test_bad_input_is_one_message_without_traceback(tmp_path: Path) -> None:
    done = run("train", str(tmp_path / "nowhere"), "-o", str(tmp_path / "run"))
    assert done.returncode == 3
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_errors_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["train", str(tmp_path / "nowhere"), "-o", str(tmp_path / "run"), "--json"])
    assert done.value.code == 3
    assert json.loads(capsys.readouterr().err)["error"] == "InputError"


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = run("read", str(tmp_path / "nowhere"), "-o", str(tmp_path / "findings.jsonl"), "--debug")
    assert "Traceback" in done.stderr and "InputError" in done.stderr


def test_unknown_key_is_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["train", str(tmp_path), "-o", str(tmp_path / "run"), "--set", "stepz=3"])
    assert done.value.code == 2
    assert "stepz" in capsys.readouterr().err
