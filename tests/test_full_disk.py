"""A real full disk, of a few kilobytes: what was there stays whole, and the message says where and how many bytes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from full_disk import fill

from dictamen.cli.main import main
from dictamen.errors import ResourceError
from dictamen.files import write_text
from dictamen.imaging.nifti import read_volume, write_volume
from dictamen.imaging.volume import Volume
from dictamen.models.card import Architecture, ModelCard, OutputLabel
from dictamen.models.package import load_model, save_model
from dictamen.models.presets import build


def files(disk: Path) -> dict[str, bytes]:
    return {str(path.relative_to(disk)): path.read_bytes() for path in sorted(disk.rglob("*")) if path.is_file()}


def says_where_and_how_many(error: ResourceError, disk: Path) -> None:
    assert error.exit_code == 4
    assert str(disk) in str(error) and "bytes left" in str(error)


def test_text(disk: Path) -> None:
    write_text(disk / "a.json", "old")
    fill(disk, leave_kb=8)
    before = files(disk)
    with pytest.raises(ResourceError, match="full") as refused:
        write_text(disk / "a.json", "x" * 100_000)
    says_where_and_how_many(refused.value, disk)
    assert files(disk) == before


def test_a_volume(disk: Path) -> None:
    volume = Volume(np.random.default_rng(0).integers(0, 999, (1, 40, 40, 40)).astype(np.int16), np.eye(4))
    small = Volume(volume.array[:, :9, :9, :9], np.eye(4))
    write_volume(small, disk / "a.nii.gz")
    fill(disk, leave_kb=16)
    before = files(disk)
    with pytest.raises(ResourceError, match="full") as refused:
        write_volume(volume, disk / "a.nii.gz")
    says_where_and_how_many(refused.value, disk)
    assert files(disk) == before
    assert np.array_equal(read_volume(disk / "a.nii.gz").array, small.array)


def test_a_model(disk: Path) -> None:
    card = ModelCard(
        architecture=Architecture(preset="unet_tiny", out_channels=1),
        labels=(OutputLabel(name="kidney", kind="organ"),),
        spacing_mm=(2, 2, 2),
        patch_size=(16, 16, 16),
    )
    old = build("unet_tiny", in_channels=1, out_channels=1)
    save_model(disk / "model", old, card)
    fill(disk, leave_kb=8)
    before = files(disk)
    with pytest.raises(ResourceError, match="full") as refused:
        save_model(disk / "model", build("unet_tiny", in_channels=1, out_channels=1), card)
    says_where_and_how_many(refused.value, disk)
    assert files(disk) == before
    loaded, _ = load_model(disk / "model")
    assert all(torch.equal(a, b) for a, b in zip(old.state_dict().values(), loaded.state_dict().values(), strict=True))


def test_the_command_line_ends_with_4(disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports = "".join(f"s{number},A 2 cm cyst in the left kidney.\n" for number in range(200))
    (tmp_path / "reports.csv").write_text("study_id,report\n" + reports)
    fill(disk, leave_kb=8)
    before = files(disk)
    with pytest.raises(SystemExit) as ended:
        main(["read", str(tmp_path / "reports.csv"), "-o", str(disk / "findings.jsonl")])
    assert ended.value.code == 4
    said = capsys.readouterr().err
    assert "disk is full" in said and str(disk) in said and "bytes left" in said
    left = {name: content for name, content in files(disk).items() if name != "findings.jsonl.partial"}
    assert left == before  # what was read so far stays for --resume, under a name of its own
