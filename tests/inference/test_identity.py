"""By the command line: a patient's identity comes out nowhere; a real series goes in and comes back as SEG."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from synthetic_dicom import ACCESSION, BIRTH_DATE, PATIENT_ID, PATIENT_NAME, Scan, uid

from dictamen.cli.main import main
from dictamen.imaging.dicom.segmentation import read_segmentation
from dictamen.imaging.dicom.volume import read_dicom
from dictamen.imaging.read import read_label_map

SECRETS = (*PATIENT_NAME.split("^"), PATIENT_ID, BIRTH_DATE, ACCESSION, "Mancha", "Panza", uid("study", "1"))
REAL = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests" / "98892001" / "CT5N"


def call(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, words)))
    return int(ended.value.code or 0)


def content(path: Path) -> bytes:
    """Name and bytes of a file, unpacked where it is packed."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        return path.name.encode() + gzip.decompress(data)
    if path.suffix == ".png":  # texts may be compressed; pixels are no text
        texts = [zlib.decompress(part) for part in data.split(b"zTXt")[1:]]
        return path.name.encode() + data + b"".join(texts)
    return path.name.encode() + data


def held(data: bytes) -> list[str]:
    return [secret for secret in SECRETS if secret.lower().encode() in data.lower()]


def test_a_planted_identity_comes_out_nowhere(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan = Scan().write(tmp_path / "in" / "case")
    (tmp_path / "in" / "broken").mkdir()
    broken = sorted(scan.iterdir())
    for path in (*broken[:2], *broken[3:]):  # a slice is missing: the error must not quote its headers
        (tmp_path / "in" / "broken" / path.name).write_bytes(path.read_bytes())
    out, cohort = tmp_path / "out", tmp_path / "cohort"
    options = ("--dicom", "--deidentify", "--preview", "--statistics", "--save-probabilities", "--device", "cpu")
    assert call("predict", run, tmp_path / "in" / "case", "-o", out, *options) == 0
    call("predict", run, tmp_path / "in" / "broken", "-o", tmp_path / "out2", "--device", "cpu")
    assert call("cohort", "build", tmp_path / "in" / "case", "-o", cohort) == 0
    files = [path for folder in (out, tmp_path / "out2", cohort) for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".gz", ".png", ".jsonl", ".csv", ".json", ".dcm"}
    assert not {path.name: held(content(path)) for path in files if held(content(path))}
    said = capsys.readouterr()
    assert not held((said.out + said.err).encode())
    assert held(content(broken[0]))  # it was there to be found


def test_a_real_series_from_folder_to_seg_and_back(run: Path, tmp_path: Path) -> None:
    assert call("predict", run, REAL, "-o", tmp_path / "out", "--dicom", "--device", "cpu") == 0
    (label_map,) = (tmp_path / "out").glob("*.nii.gz")
    labels, image = read_label_map(label_map), read_dicom(REAL)
    assert labels.shape == image.shape and np.allclose(labels.affine, image.affine, atol=1e-4)
    assert labels.array.any()
    seg, _ = read_segmentation(next((tmp_path / "out" / "dicom").rglob("segmentation.dcm")), image)
    assert np.array_equal(seg.array > 0, labels.array > 0)
