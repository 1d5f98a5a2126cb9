"""Files made to do harm: each is refused with one of our errors, or is harmless; nothing runs, nothing fills up."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_dicom import Scan

from dictamen.cohort.layouts import read_source
from dictamen.errors import DictamenError, InputError
from dictamen.imaging.dicom.volume import read_dicom
from dictamen.imaging.header import read_header
from dictamen.imaging.nifti import read_volume
from dictamen.inference.inputs import find_inputs
from dictamen.inference.outputs import label_map_path
from dictamen.models.card import Architecture, ModelCard, OutputLabel
from dictamen.models.package import CARD, WEIGHTS, load_card, load_model, save_model
from dictamen.models.presets import build
from dictamen.reports.rules import read_report
from dictamen.reports.table import read_jsonl

DEEP = "[" * 200_000
MUCH = 64 << 20
"""Bytes that no attack may make us set aside."""


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    card = ModelCard(
        architecture=Architecture(preset="unet_tiny", out_channels=1),
        labels=(OutputLabel(name="kidney", kind="organ"),),
        spacing_mm=(2, 2, 2),
        patch_size=(16, 16, 16),
    )
    return save_model(tmp_path / "model", build("unet_tiny", in_channels=1, out_channels=1), card)


def test_a_pickle_in_place_of_weights_does_not_run(model: Path, tmp_path: Path) -> None:
    bait = pickle.dumps(Evil(tmp_path / "ran"))
    (model / WEIGHTS).write_bytes(bait)
    with pytest.raises(InputError, match="can't be read"):
        load_model(model)
    assert not (tmp_path / "ran").exists()
    pickle.loads(bait)
    assert (tmp_path / "ran").exists()  # it is a real bait


def test_a_safetensors_header_that_announces_the_world(model: Path) -> None:
    (model / WEIGHTS).write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    with pytest.raises(InputError, match="can't be read"):
        load_model(model)


def test_a_model_that_brings_code_does_not_run_it(model: Path) -> None:
    card = json.loads((model / CARD).read_text())
    card["architecture"] |= {"preset": "custom", "overrides": {"backbone": "os:getpid"}}
    (model / CARD).write_text(json.dumps(card))
    with pytest.raises(DictamenError, match="runs code of its own"):
        load_model(model)


@pytest.mark.parametrize("text", [DEEP, '{"a":' * 100_000, '{"labels": ' + DEEP])
def test_json_nested_without_end(model: Path, tmp_path: Path, text: str) -> None:
    (model / CARD).write_text(text)
    with pytest.raises(InputError):
        load_card(model)
    (tmp_path / "findings.jsonl").write_text(text)
    with pytest.raises(InputError):
        list(read_jsonl(tmp_path / "findings.jsonl"))
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "dataset.json").write_text(text)
    with pytest.raises(InputError):
        read_source(tmp_path / "raw")


@pytest.mark.parametrize("member", ["../../evil.dcm", "/etc/evil.dcm", "..\\..\\evil.dcm", "a/../../evil/x.dcm"])
def test_zip_slip(tmp_path: Path, member: str) -> None:
    inside = tmp_path / "deep" / "in"
    inside.mkdir(parents=True)
    with zipfile.ZipFile(inside / "study.zip", "w") as archive:
        for number, one in enumerate(Scan().datasets()):
            buffer = io.BytesIO()
            one.save_as(buffer, enforce_file_format=True)
            archive.writestr(member.replace("evil", f"evil{number}"), buffer.getvalue())
    before = sorted(tmp_path.rglob("*"))
    studies = find_inputs(inside)
    assert read_dicom(inside / "study.zip").array.size == np.prod(Scan().shape)
    assert sorted(tmp_path.rglob("*")) == before
    out = tmp_path / "out"
    assert all(label_map_path(out, study.study_id).resolve().parent == out.resolve() for study in studies)


def test_a_symlink_in_a_tar_archive(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "study.tar", "w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("link/evil.dcm"))
    with pytest.raises(InputError, match="no image of a known format"):
        find_inputs(tmp_path / "study.tar")


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    Scan().write(tmp_path / "elsewhere")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in", target_is_directory=True)
    with pytest.raises(InputError):
        read_dicom(tmp_path / "in")


def nifti_header(shape: tuple[int, int, int]) -> bytes:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 0, 0, 0, 0)
    struct.pack_into("<f", header, 108, 352)
    header[344:348] = b"n+1\0"
    return bytes(header)


def peak_bytes(call: Any) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["bomb.nii", "bomb.nii.gz"])
def test_a_header_bomb_sets_nothing_aside(tmp_path: Path, name: str) -> None:
    """Sixty terabytes announced, a few bytes there."""
    data = nifti_header((32767, 32767, 32767)) + bytes(100)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)

    def attempt() -> None:
        with pytest.raises(InputError):
            read_header(tmp_path / name)
        with pytest.raises(InputError):
            read_volume(tmp_path / name)

    assert peak_bytes(attempt) < MUCH


def test_a_gzip_bomb_is_unpacked_no_further_than_announced(tmp_path: Path) -> None:
    """A small volume, and behind it a gigabyte of zeros that deflate keeps in a megabyte."""
    path = tmp_path / "bomb.nii.gz"
    with path.open("wb") as file, gzip.GzipFile(fileobj=file, mode="wb", compresslevel=9) as stream:
        stream.write(nifti_header((8, 8, 8)) + bytes(2 * 8**3))
        for _ in range(128):
            stream.write(bytes(1 << 20))
    assert peak_bytes(lambda: read_volume(path)) < MUCH


@pytest.mark.parametrize("study_id", ["../x", "..", "a/b", "C:\\x", "x\0y", "a" * 300])
def test_a_study_id_that_is_a_path(tmp_path: Path, study_id: str) -> None:
    (tmp_path / "studies.csv").write_text(f'study_id,patient_id,image\n"{study_id}",p,a.nii\n')
    try:
        source = read_source(tmp_path / "studies.csv")
    except InputError:
        return
    assert not source.studies
    assert {problem.code for problem in source.problems} & {"unsafe_study_id"}


def test_a_path_out_of_the_table_s_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "studies.csv").write_text("study_id,patient_id,image\na,p,../../../../etc/passwd\n")
    source = read_source(tmp_path / "in" / "studies.csv")
    assert any(problem.severity == "error" for problem in source.problems)


@pytest.mark.parametrize(
    "text",
    [
        "1 x " * 20_000,
        "cyst in the " * 10_000,
        "(" * 50_000,
        "1.1.1.1." * 20_000,
        "no " * 30_000 + "cyst",
        "left right " * 10_000,
        " " * 100_000 + "2 cm",
        "5 mm, " * 10_000 + "cysts",
    ],
    ids=["times", "places", "brackets", "numbers", "negations", "sides", "spaces", "sizes"],
)
def test_a_report_made_to_keep_patterns_busy(text: str) -> None:
    """It would not end, if a pattern went back and forth over it."""
    assert read_report(text[:20_000], "s").study_id == "s"
