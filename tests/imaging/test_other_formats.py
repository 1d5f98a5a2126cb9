"""NRRD and MetaImage as ITK and 3D Slicer write them: the same voxels at the same place as in a NIfTI."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from dictamen.errors import InputError
from dictamen.imaging.nifti import write_volume
from dictamen.imaging.read import is_dicom, read_image, read_image_header, read_label_map
from dictamen.imaging.volume import Volume

ENDINGS = (".nrrd", ".nhdr", ".mha", ".mhd")
TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "i8", "f4", "f8")
NRRD = """NRRD0004
# a remark
type: {type}
dimension: 3
space: {space}
sizes: 2 3 4
space directions: (0.5,0,0) (0,0.5,0) (0,0,2)
endian: {endian}
encoding: raw
space origin: (1,2,3)

"""


def write_itk(path: Path, array: np.ndarray, affine: np.ndarray, *, compressed: bool = False) -> None:
    """By SimpleITK, with our affine (RAS+)."""
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.T))
    lps = np.diag([-1.0, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    SimpleITK.WriteImage(image, str(path), useCompression=compressed)


@given(
    seed=st.integers(0, 10**6),
    ending=st.sampled_from(ENDINGS),
    kind=st.sampled_from(TYPES),
    compressed=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_as_itk_writes_them(
    tmp_path_factory: pytest.TempPathFactory, seed: int, ending: str, kind: str, compressed: bool
) -> None:
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 100, rng.integers(2, 9, 3)).astype(kind)
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] * rng.uniform(0.5, 5, 3)
    affine[:3, 3] = rng.uniform(-300, 300, 3)
    path = tmp_path_factory.mktemp("itk") / f"a{ending}"
    write_itk(path, array, affine, compressed=compressed)
    found, header = read_image(path, "S1"), read_image_header(path)
    assert found.array.dtype == array.dtype
    assert np.array_equal(found.array[0], array)
    assert np.allclose(found.affine, affine, atol=1e-5)
    assert header.shape == found.shape and np.array_equal(header.affine, found.affine)
    write_volume(found, path.with_suffix(".nii.gz"))
    assert np.allclose(read_image(path.with_suffix(".nii.gz")).affine, affine, atol=1e-3)


@pytest.mark.parametrize(("space", "signs"), [("LPS", (-1, -1)), ("right-anterior-superior", (1, 1)), ("LAS", (-1, 1))])
@pytest.mark.parametrize("endian", ["little", "big"])
def test_spaces_and_byte_orders(tmp_path: Path, space: str, signs: tuple[int, int], endian: str) -> None:
    voxels = np.arange(24, dtype=np.int16)
    text = NRRD.format(type="short", space=space, endian=endian).encode()
    (tmp_path / "a.nrrd").write_bytes(text + voxels.astype("<i2" if endian == "little" else ">i2").tobytes())
    found = read_image(tmp_path / "a.nrrd")
    assert np.array_equal(found.array[0], voxels.reshape((2, 3, 4), order="F"))
    assert np.allclose(found.affine[:3, 3], [signs[0] * 1, signs[1] * 2, 3])
    assert np.allclose(np.diag(found.affine)[:3], [signs[0] * 0.5, signs[1] * 0.5, 2])


def test_names_of_a_segmentation_of_3d_slicer(tmp_path: Path) -> None:
    pairs = "Segment0_LabelValue:=2\nSegment0_Name:=liver\nSegment1_LabelValue:=1\nSegment1_Name:=left kidney\n\n"
    text = NRRD.format(type="uchar", space="LPS", endian="little").rstrip("\n") + "\n" + pairs
    (tmp_path / "a.seg.nrrd").write_bytes(text.encode() + bytes([0, 1, 2] * 8))
    assert read_image_header(tmp_path / "a.seg.nrrd").label_names == {2: "liver", 1: "left kidney"}
    assert read_label_map(tmp_path / "a.seg.nrrd").array.dtype == np.uint8


GOOD = NRRD.format(type="uchar", space="LPS", endian="little")
META = (
    "ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\nElementSpacing = 1 1 2\nElementType = MET_UCHAR\n"
    "ElementDataFile = LOCAL\n"
)
BAD = {
    "no space": (GOOD.replace("space: LPS\n", ""), ".nrrd", "where the image lies"),
    "4D": (GOOD.replace("dimension: 3", "dimension: 4"), ".nrrd", "must be 3D"),
    "colours": (GOOD.replace("uchar", "block"), ".nrrd", "plain numbers"),
    "text": (GOOD.replace("raw", "ascii"), ".nrrd", "in this form"),
    "singular": (GOOD.replace("(0,0,2)", "(0,0.5,0)"), ".nrrd", "singular"),
    "no number": (GOOD.replace("(1,2,3)", "(1,x,3)"), ".nrrd", "three numbers"),
    "too many voxels": (GOOD.replace("2 3 4", "20000 30000 40000"), ".nrrd", "too small"),
    "sizes below one": (GOOD.replace("2 3 4", "2 3 -4"), ".nrrd", "positive"),
    "elsewhere": (GOOD.replace("encoding", "data file: ../secret\nencoding"), ".nhdr", "in its own folder"),
    "a list": (GOOD.replace("encoding", "data file: LIST\nencoding"), ".nhdr", "in its own folder"),
    "another format": ("P5 2 3 255\n", ".nrrd", "not an NRRD"),
    "nothing": ("", ".nrrd", "not an NRRD"),
    "no end": (META.replace("ElementDataFile", "# "), ".mha", "has no end"),
    "no name at all": (META.replace("LOCAL", "\0LOCAL"), ".mhd", "in its own folder"),
    "elsewhere, too": (META.replace("LOCAL", "/etc/passwd"), ".mhd", "in its own folder"),
    "a pattern": (META.replace("LOCAL", "slice%03d.raw 1 4 1"), ".mhd", "in its own folder"),
    "missing": (META.replace("LOCAL", "a.raw"), ".mhd", "does not exist"),
    "vectors": (META.replace("ElementType", "ElementNumberOfChannels = 3\nElementType"), ".mha", "plain numbers"),
    "matrix": (META.replace("ElementType", "TransformMatrix = 1 0 0\nElementType"), ".mha", "nine numbers"),
    "no spacing": (META.replace("ElementSpacing = 1 1 2\n", ""), ".mha", "ElementSpacing"),
    "2D": (META.replace("NDims = 3", "NDims = 2"), ".mha", "must be 3D"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_headers(tmp_path: Path, case: str) -> None:
    text, ending, message = BAD[case]
    path = tmp_path / f"a{ending}"
    path.write_bytes(text.encode() + (b"" if case in ("nothing", "no end") else bytes(24)))
    for read in (read_image, read_image_header):
        with pytest.raises(InputError, match=message) as caught:
            read(path, "S1")
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
@pytest.mark.parametrize("compressed", [True, False])
def test_truncated_voxels(tmp_path: Path, ending: str, compressed: bool) -> None:
    array = np.random.default_rng(0).integers(0, 1000, (9, 8, 7)).astype(np.int16)
    write_itk(tmp_path / f"a{ending}", array, np.eye(4), compressed=compressed)
    data = (tmp_path / f"a{ending}").read_bytes()
    (tmp_path / f"b{ending}").write_bytes(data[:-100])
    with pytest.raises(InputError, match=r"too small|damaged"):
        read_image(tmp_path / f"b{ending}")


def test_voxels_that_are_not_numbers(tmp_path: Path) -> None:
    array = np.ones((3, 4, 5), np.float32)
    array[1, 1, 1] = np.nan
    write_itk(tmp_path / "a.mha", array, np.eye(4))
    with pytest.raises(InputError, match="NaN"):
        read_image(tmp_path / "a.mha")
    write_itk(tmp_path / "c.mha", np.full((3, 4, 5), 0.5), np.eye(4))
    with pytest.raises(InputError, match="not integers"):
        read_label_map(tmp_path / "c.mha")


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("name", ["scan", "study.17"])
def test_names_without_an_ending(tmp_path: Path, ending: str, name: str) -> None:
    """What a file is, its first bytes say."""
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    affine = np.diag([2.0, 3, 4, 1])
    if "nii" in ending:
        write_volume(Volume(array[None], affine), tmp_path / f"a{ending}")
    else:
        write_itk(tmp_path / f"a{ending}", array, affine)
    (tmp_path / f"a{ending}").rename(tmp_path / name)
    assert not is_dicom(tmp_path / name)
    found = read_image(tmp_path / name)
    assert np.array_equal(found.array[0], array) and np.allclose(found.affine, affine)


def test_other_files_without_an_ending_are_no_volumes(tmp_path: Path) -> None:
    for number, content in enumerate((b"", b"\x1f\x8b", b"\x1f\x8b\x08" + bytes(50), bytes(2000), b"hello")):
        (tmp_path / str(number)).write_bytes(content)
        assert is_dicom(tmp_path / str(number))  # the reader of DICOM says what is wrong


def remarks(folder: Path, *, shift_mm: float, sform: int = 1, qform: int = 1) -> tuple[str, ...]:
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), None)
    image.header.set_zooms((2, 2, 2))
    moved = np.diag([2.0, 2, 2, 1])
    moved[0, 3] = shift_mm
    image.set_sform(np.diag([2.0, 2, 2, 1]), code=sform)
    image.set_qform(moved, code=qform)
    nib.save(image, folder / "a.nii")
    assert read_image_header(folder / "a.nii").remarks == read_image(folder / "a.nii").remarks
    return read_image(folder / "a.nii").remarks


def test_sform_and_qform_that_contradict_each_other(tmp_path: Path) -> None:
    assert remarks(tmp_path, shift_mm=0.0) == ()
    assert remarks(tmp_path, shift_mm=0.9) == ()
    assert "up to 7.0 mm apart" in remarks(tmp_path, shift_mm=7.0)[0]
    assert remarks(tmp_path, shift_mm=7.0, qform=0) == ()
    assert "neither sform nor qform" in remarks(tmp_path, shift_mm=0.0, sform=0, qform=0)[0]
