"""A real full disk, of a few kilobytes: what was there stays whole, and the message says where and how many bytes."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from full_disk import fill

from dictamen.cli.main import main
from dictamen.errors import ResourceError
from dictamen.files import write_text
from dictamen.imaging.nifti import read_volume, write_volume
from dictamen.imaging.slicer import Segment, write_segmentation
from dictamen.imaging.volume import Volume
from dictamen.models.card import Architecture, ModelCard, OutputLabel
from dictamen.models.package import load_model, save_model
from dictamen.models.presets import build
from dictamen.models.registry import pack
from dictamen.training import checkpoint
from dictamen.training.checkpoint import TrainingState
from dictamen.training.config import TrainConfig

CARD = ModelCard(
    architecture=Architecture(preset="unet_tiny", out_channels=1),
    labels=(OutputLabel(name="kidney", kind="organ"),),
    spacing_mm=(2, 2, 2),
    patch_size=(16, 16, 16),
)


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
    old = build("unet_tiny", in_channels=1, out_channels=1)
    save_model(disk / "model", old, CARD)
    fill(disk, leave_kb=8)
    before = files(disk)
    with pytest.raises(ResourceError, match="full") as refused:
        save_model(disk / "model", build("unet_tiny", in_channels=1, out_channels=1), CARD)
    says_where_and_how_many(refused.value, disk)
    assert files(disk) == before
    loaded, _ = load_model(disk / "model")
    assert all(torch.equal(a, b) for a, b in zip(old.state_dict().values(), loaded.state_dict().values(), strict=True))


def test_a_checkpoint(disk: Path) -> None:
    network, config = build("unet_tiny", in_channels=1, out_channels=1), TrainConfig()
    state = TrainingState(network, deepcopy(network), torch.optim.SGD(network.parameters()), step=1)
    first = checkpoint.save(disk, state, config)
    fill(disk, leave_kb=8)
    before = files(disk)
    state.step = 2
    with pytest.raises(ResourceError, match="full") as refused:
        checkpoint.save(disk, state, config)
    says_where_and_how_many(refused.value, disk)
    assert files(disk) == before and first.is_file()
    assert checkpoint.restore(disk, state, config) and state.step == 1


def test_a_package_of_a_model(disk: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "model", build("unet_tiny", in_channels=1, out_channels=1), CARD)
    (disk / "model.zip").write_bytes(b"old")
    fill(disk, leave_kb=8)
    before = files(disk)
    with pytest.raises(ResourceError, match="full") as refused:
        pack(tmp_path / "model", disk / "model.zip")
    says_where_and_how_many(refused.value, disk)
    assert files(disk) == before


def test_a_segmentation_for_slicer(disk: Path) -> None:
    labels = Volume(np.random.default_rng(0).integers(0, 99, (1, 40, 40, 40)).astype(np.uint8), np.eye(4))
    fill(disk, leave_kb=8)
    before = files(disk)
    with pytest.raises(ResourceError, match="full") as refused:
        write_segmentation(labels, disk / "a.seg.nrrd", segments={1: Segment("kidney", (0, 0, 255))})
    says_where_and_how_many(refused.value, disk)
    assert files(disk) == before


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
