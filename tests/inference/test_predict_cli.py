import json
from pathlib import Path

import pytest
from full_disk import fill
from small_models import write_image

from dictamen.cli.main import main


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["predict", *map(str, words)])
    captured = capsys.readouterr()
    return int(caught.value.code or 0), captured.out, captured.err


def test_some_succeed(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image(tmp_path / "in" / "good.nii.gz")
    (tmp_path / "in" / "bad.nii.gz").write_bytes(b"")
    code, out, err = call(capsys, run, tmp_path / "in", "-o", tmp_path / "out", "--device", "cpu", "--json")
    assert code == 0
    facts = json.loads(out)
    assert facts["predicted"] == ["good"]
    assert [failure["study_id"] for failure in facts["failed"]] == ["bad"]
    code, out, err = call(capsys, run, tmp_path / "in", "-o", tmp_path / "out", "--device", "cpu", "--resume")
    assert code == 0
    assert "1 were there already" in out
    assert "Failed: bad" in err


def test_none_succeeds(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.nii.gz").write_bytes(b"")
    code, _, err = call(capsys, run, tmp_path / "bad.nii.gz", "-o", tmp_path / "out")
    assert code == 3
    assert "No study could be predicted" in err
    assert "Traceback" not in err


def test_wrong_usage(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image(tmp_path / "good.nii.gz")
    assert call(capsys, run, tmp_path / "good.nii.gz", "-o", tmp_path / "out", "--device", "toaster")[0] == 2
    assert call(capsys, run, tmp_path / "good.nii.gz")[0] == 2
    assert not (tmp_path / "out").exists()


def test_the_precision_is_kept_with_the_prediction(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "in" / "a.nii.gz", seed=1)
    words = (run, tmp_path / "in", "-o", tmp_path / "out", "--device", "cpu", "--precision")
    code, _, err = call(capsys, *words, "fp16")
    assert code == 2 and "auto, bf16-mixed, 32-true" in err
    assert call(capsys, *words, "32-true")[0] == 0
    code, _, err = call(capsys, *words, "bf16-mixed", "--resume")
    assert code == 2 and "other settings" in err


def test_a_full_disk(run: Path, tmp_path: Path, disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 4, with the path and the bytes left; the earlier prediction stays, and --resume goes on from it."""
    write_image(tmp_path / "in" / "a.nii.gz")
    out = disk / "out"
    assert call(capsys, run, tmp_path / "in", "-o", out, "--device", "cpu")[0] == 0
    before = (out / "a.nii.gz").read_bytes()
    write_image(tmp_path / "in" / "b.nii.gz", seed=1, shape=(60, 50, 40))
    fill(disk, leave_kb=16)
    code, _, err = call(capsys, run, tmp_path / "in", "-o", out, "--device", "cpu", "--resume", "--save-probabilities")
    assert code == 4 and "disk is full" in err and str(disk) in err and "bytes left" in err
    assert (out / "a.nii.gz").read_bytes() == before and not (out / "b.nii.gz").exists()
    (disk / "filler").unlink()
    code, text, _ = call(capsys, run, tmp_path / "in", "-o", out, "--device", "cpu", "--resume")
    assert code == 0 and "1 were there already" in text
