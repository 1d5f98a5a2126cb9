"""Voxels of NIfTI files: read as nibabel reads them, written so that they come back the same."""

import gzip
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dictamen.errors import InputError, ResourceError
from dictamen.imaging.nifti import read_header, read_volume, write_volume
from dictamen.imaging.read import read_label_map
from dictamen.imaging.volume import Volume

AFFINE = np.array([[-2.0, 0, 0, 10], [0, 3, 0, -20], [0, 0, 4, 30], [0, 0, 0, 1]])
SHEARED = np.array([[2.0, 0.5, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
SHARED = Path(os.environ.get("DICTAMEN_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "ct"
SCANS = sorted(SHARED.glob("*/*.nii.gz"))


def noise(dtype: str = "i2", shape: tuple[int, int, int] = (5, 6, 7)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_round_trip_is_exact(tmp_path: Path, dtype: str, name: str) -> None:
    volume = Volume(noise(dtype)[None], AFFINE, "S1")
    write_volume(volume, tmp_path / name)
    back = read_volume(tmp_path / name, "S1")
    assert back.array.dtype == volume.array.dtype
    assert np.array_equal(back.array, volume.array)
    assert np.array_equal(back.affine, AFFINE)


@given(st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_oblique_affines_round_trip(tmp_path_factory: pytest.TempPathFactory, random: object) -> None:
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] * rng.uniform(0.5, 5, 3)
    affine[:3, 3] = rng.uniform(-300, 300, 3)
    path = tmp_path_factory.mktemp("oblique") / "a.nii.gz"
    write_volume(Volume(noise()[None], affine), path)
    first = read_volume(path)
    assert np.allclose(first.affine, affine, atol=1e-4)
    assert np.allclose(nib.load(path).get_qform(), affine, atol=1e-3)
    write_volume(first, path)
    assert np.array_equal(read_volume(path).affine, first.affine)  # what was once in a file stays to the bit


def test_sheared_axes_that_itk_refuses(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(noise(), SHEARED), tmp_path / "a.nii.gz")
    volume = read_volume(tmp_path / "a.nii.gz")
    assert np.array_equal(volume.array[0], noise())
    assert np.array_equal(volume.affine, SHEARED)
    write_volume(volume, tmp_path / "b.nii.gz")
    assert np.array_equal(read_volume(tmp_path / "b.nii.gz").affine, SHEARED)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("affine", [AFFINE, SHEARED])
def test_slope_and_intercept(tmp_path: Path, order: str, affine: np.ndarray) -> None:
    image = nib.Nifti1Image(noise(f"{order}i2"), affine)
    image = nib.Nifti1Image(image.dataobj, affine, image.header.as_byteswapped(order))
    data = bytearray(image.to_bytes())
    header = nib.Nifti1Header(bytes(data[:348]))
    header["scl_slope"], header["scl_inter"] = 0.5, -1024
    data[:348] = header.binaryblock
    (tmp_path / "a.nii").write_bytes(bytes(data))
    volume = read_volume(tmp_path / "a.nii")
    assert np.allclose(volume.array[0], noise() * 0.5 - 1024)
    assert volume.array.dtype.isnative


@pytest.mark.parametrize("content", ["gzip named .nii", "plain named .nii.gz"])
def test_wrong_ending_is_no_obstacle(tmp_path: Path, content: str) -> None:
    data = nib.Nifti1Image(noise(), AFFINE).to_bytes()
    path = tmp_path / content.rsplit(" ", 1)[1].replace(".nii", "a.nii")
    path.write_bytes(gzip.compress(data) if content.startswith("gzip") else data)
    assert np.array_equal(read_volume(path).array[0], noise())


@pytest.mark.parametrize("image_class", [nib.Nifti1Image, nib.Nifti2Image])
def test_fourth_axis_and_versions(tmp_path: Path, image_class: type) -> None:
    nib.save(image_class(noise()[..., None], AFFINE), tmp_path / "a.nii.gz")
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz").array[0], noise())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    array = noise("f4")
    array[1, 2, 3:5] = value
    nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match="2 voxels that are NaN"):
        read_volume(tmp_path / "a.nii.gz", "S1")


@pytest.mark.parametrize("cut", [0.3, 0.7, 0.99])
def test_truncated_gzip(tmp_path: Path, cut: float) -> None:
    array = np.random.default_rng(0).integers(0, 3000, (40, 40, 40)).astype("i2")
    nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / "a.nii.gz")
    data = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(data[: int(cut * len(data))])
    with pytest.raises(InputError, match="truncated"):
        read_volume(tmp_path / "a.nii.gz", "S1")


def test_gzip_of_several_members(tmp_path: Path) -> None:
    """bgzip and pigz -i write such files; the size in the trailer is that of the last member only."""
    data = nib.Nifti1Image(noise(), AFFINE).to_bytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(data[:500]) + gzip.compress(data[500:]))
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz").array[0], noise())


def test_label_maps_take_the_smallest_type(tmp_path: Path) -> None:
    for top, dtype in [(3, "u1"), (300, "u2"), (70000, "i4")]:
        array = noise("f8")
        array[0, 0, 0] = top
        nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / "a.nii.gz")
        assert read_label_map(tmp_path / "a.nii.gz").array.dtype == np.dtype(dtype)


@pytest.mark.parametrize(("value", "message"), [(0.5, "not integers"), (-1.0, "out of range")])
def test_label_maps_hold_labels(tmp_path: Path, value: float, message: str) -> None:
    array = noise("f4")
    array[0, 0, 0] = value
    nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=message):
        read_label_map(tmp_path / "a.nii.gz")


def test_label_names_are_written(tmp_path: Path) -> None:
    names = {1: "kidney_tumour", 2: "a & b <c>"}
    write_volume(Volume(noise("u1")[None], AFFINE), tmp_path / "a.nii.gz", label_names=names)
    assert read_header(tmp_path / "a.nii.gz").label_names == names
    assert np.array_equal(nib.load(tmp_path / "a.nii.gz").get_fdata(), noise())


def test_bool_is_written_as_uint8(tmp_path: Path) -> None:
    write_volume(Volume(noise()[None] > 50, AFFINE), tmp_path / "a.nii.gz")
    assert np.array_equal(read_label_map(tmp_path / "a.nii.gz").array[0], noise() > 50)


def test_writing_leaves_nothing_behind_when_it_fails(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="type of voxel"):
        write_volume(Volume(noise()[None].astype(complex), AFFINE), tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match="one channel"):
        write_volume(Volume(np.zeros((2, 3, 3, 3)), AFFINE), tmp_path / "a.nii.gz")
    assert not list(tmp_path.iterdir())


def test_disk_full_is_a_resource_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    write_volume(Volume(noise()[None], AFFINE), tmp_path / "a.nii")
    before = (tmp_path / "a.nii").read_bytes()
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ResourceError, match="full"):
        write_volume(Volume(noise()[None] + 1, AFFINE), tmp_path / "a.nii")
    assert (tmp_path / "a.nii").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.nii"]


@pytest.mark.skipif(not SCANS, reason="the shared CTs are not here")
@pytest.mark.parametrize("path", SCANS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_real_scans_agree_with_nibabel(path: Path) -> None:
    volume, reference = read_volume(path), nib.load(path)
    assert np.array_equal(volume.array[0], np.asanyarray(reference.dataobj))
    assert np.allclose(volume.affine, reference.affine, atol=1e-6)
