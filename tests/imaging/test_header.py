"""NIfTI headers: right ones are understood as nibabel does, wrong ones get one clear error before any allocation."""

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from dictamen.errors import InputError
from dictamen.imaging.header import Header, read_header

SHAPE = (5, 6, 7)
AFFINE = np.array([[-2.0, 0, 0, 10], [0, 3, 0, -20], [0, 0, 4, 30], [0, 0, 0, 1]])


def save(path: Path, array: np.ndarray | None = None, edit: Callable[[nib.Nifti1Header], None] | None = None) -> Path:
    """Write a NIfTI, then change its header on disk without nibabel's own repairs."""
    image = nib.Nifti1Image(np.zeros(SHAPE, dtype=np.int16) if array is None else array, AFFINE)
    data = bytearray(image.to_bytes())
    if edit:
        header = nib.Nifti1Header(bytes(data[:348]), check=False)
        edit(header)
        data[:348] = header.binaryblock
    path.write_bytes(gzip.compress(bytes(data)) if path.name.endswith(".gz") else bytes(data))
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_plain_header(tmp_path: Path, name: str) -> None:
    header = read_header(save(tmp_path / name))
    assert header == Header(SHAPE, (2.0, 3.0, 4.0), header.affine, np.dtype("<i2"), 1, None)
    assert np.array_equal(header.affine, AFFINE)


@pytest.mark.parametrize("image_class", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_versions_and_byte_orders(tmp_path: Path, image_class: type, order: str) -> None:
    base = image_class(np.zeros(SHAPE, dtype=np.float32), AFFINE)
    image = image_class(np.zeros(SHAPE, dtype=f"{order}f4"), AFFINE, base.header.as_byteswapped(order))
    nib.save(image, tmp_path / "a.nii.gz")
    header = read_header(tmp_path / "a.nii.gz")
    assert (header.shape, header.dtype) == (SHAPE, np.dtype(f"{order}f4"))
    assert np.allclose(header.affine, nib.load(tmp_path / "a.nii.gz").affine)


def set_field(name: str, value: object) -> Callable[[nib.Nifti1Header], None]:
    def edit(header: nib.Nifti1Header) -> None:
        header[name] = value

    return edit


@pytest.mark.parametrize(("sform", "qform"), [(1, 0), (0, 1), (2, 1), (0, 0)])
def test_affine_as_nibabel_chooses_it(tmp_path: Path, sform: int, qform: int) -> None:
    image = nib.Nifti1Image(np.zeros(SHAPE, dtype=np.int16), None)
    angle = 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, -1]])
    oblique = np.eye(4)
    oblique[:3, :3] = turn * (1.5, 2.0, 2.5)
    image.header.set_qform(oblique, code=qform)
    image.header.set_sform(AFFINE, code=sform)
    image.header["pixdim"][1:4] = (1.5, 2.0, 2.5)
    nib.save(image, tmp_path / "a.nii")
    assert np.allclose(read_header(tmp_path / "a.nii").affine, nib.load(tmp_path / "a.nii").affine, atol=1e-6)


def test_singleton_fourth_axis_is_accepted(tmp_path: Path) -> None:
    assert read_header(save(tmp_path / "a.nii", np.zeros((*SHAPE, 1), dtype=np.uint8))).shape == SHAPE


def test_metres_become_millimetres(tmp_path: Path) -> None:
    header = read_header(save(tmp_path / "a.nii", edit=set_field("xyzt_units", 1)))
    assert header.spacing_mm == (2000.0, 3000.0, 4000.0)


BAD_FIELDS = {
    "true 4D": (np.zeros((*SHAPE, 3), dtype=np.int16), None, "3D"),
    "2D": (np.zeros(SHAPE[:2], dtype=np.int16), None, "2D"),
    "one slice": (np.zeros((5, 6, 1), dtype=np.int16), None, "2D"),
    "complex": (np.zeros(SHAPE, dtype=np.complex64), None, "complex64"),
    "rgb": (np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]), None, "RGB"),
    "unknown type": (None, set_field("datatype", 77), "77"),
    "bits": (None, set_field("bitpix", 64), "64 bits"),
    "zero spacing": (None, set_field("pixdim", [1, 0, 3, 4, 0, 0, 0, 0]), "positive"),
    "negative spacing": (None, set_field("pixdim", [1, 2, -3, 4, 0, 0, 0, 0]), "positive"),
    "nan spacing": (None, set_field("pixdim", [1, 2, 3, np.nan, 0, 0, 0, 0]), "positive"),
    "singular": (None, set_field("srow_z", [0, 0, 0, 1]), "singular"),
    "nan affine": (None, set_field("srow_z", [0, 0, np.nan, 1]), "singular or not finite"),
    "negative dim": (None, set_field("dim", [3, 5, -6, 7, 1, 1, 1, 1]), "positive"),
    "no axes": (None, set_field("dim", [0, 5, 6, 7, 1, 1, 1, 1]), "positive"),
    "magic": (None, set_field("magic", b"nope"), "not a NIfTI"),
    "pair": (None, set_field("magic", b"ni1\0"), "split"),
    "offset": (None, set_field("vox_offset", np.nan), "offset"),
    "infinite slope": (None, set_field("scl_slope", np.inf), "finite"),
    "negative offset": (None, set_field("vox_offset", -5), "offset"),
    "too many voxels": (None, set_field("dim", [3, 30000, 30000, 30000, 1, 1, 1, 1]), "too small"),
}


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("case", BAD_FIELDS)
def test_bad_header(tmp_path: Path, case: str, name: str) -> None:
    array, edit, message = BAD_FIELDS[case]
    path = save(tmp_path / name, array, edit)
    with pytest.raises(InputError, match=message) as caught:
        read_header(path, "S1")
    assert "study S1" in str(caught.value) and str(path) in str(caught.value)


def test_huge_claim_in_a_tiny_file_costs_no_memory(tmp_path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header["dim"] = [3, 30000, 30000, 30000, 1, 1, 1, 1]
    header["pixdim"] = [1, 1, 1, 1, 1, 1, 1, 1]
    header["magic"], header["vox_offset"] = b"n+1", 352
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(68))
    read_warm(tmp_path)
    tracemalloc.start()
    with pytest.raises(InputError, match="too small"):
        read_header(tmp_path / "a.nii")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def read_warm(folder: Path) -> None:
    """Import what reading imports, so that only reading is measured."""
    read_header(save(folder / "warm.nii"))


NOT_NIFTI = {
    "empty": b"",
    "short": b"short",
    "text": b"x" * 5000,
    "gzip of nothing": gzip.compress(b""),
    "gzip of text": gzip.compress(b"x" * 999),
    "broken gzip": b"\x1f\x8b broken",
}


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("case", NOT_NIFTI)
def test_not_a_nifti(tmp_path: Path, case: str, name: str) -> None:
    (tmp_path / name).write_bytes(NOT_NIFTI[case])
    with pytest.raises(InputError):
        read_header(tmp_path / name)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_header(tmp_path / "none.nii")
    with pytest.raises(InputError, match="folder"):
        read_header(tmp_path)


def test_truncated_file(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="truncated"):
        read_header(path)


TABLE = (
    b'<?xml version="1.0" encoding="UTF-8"?><A><LabelTable>'
    b'<Label Key="0">x</Label><Label Key="3"><![CDATA[liver]]></Label></LabelTable></A>'
)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (TABLE, {3: "liver"}),
        (b"<A><Label Key='q'>a</Label></A>", None),
        (b"<A><Label", None),
        (b"plain text", None),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><A><Label Key="1">&b;</Label></A>', None),
    ],
)
def test_label_table_in_the_extension(tmp_path: Path, content: bytes, names: dict[int, str] | None) -> None:
    image = nib.Nifti1Image(np.zeros(SHAPE, dtype=np.uint8), AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"a comment"))
    image.header.extensions.append(nib.nifti1.Nifti1Extension(0, content))
    nib.save(image, tmp_path / "a.nii.gz")
    assert read_header(tmp_path / "a.nii.gz").label_names == names
