"""The matrix of series: each is read with every voxel in its place."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from dicom_variants import (
    Make,
    among_junk,
    bare,
    by_gdcm,
    changed,
    each,
    indexed_disc,
    jittered,
    multi_frame,
    nested,
    plain,
    renumbered,
    shuffled_numbers,
    slightly_turned,
    slopes_a_slice,
    transcoded,
    with_captures,
    with_localizer,
    with_notes_of_the_maker,
    with_scouts,
    without_preamble,
    without_suffix,
    zip_in_folder,
    zipped,
)
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from synthetic_dicom import ACCESSION, AXIAL, BIRTH_DATE, PATIENT_ID, PATIENT_NAME, Scan

from dictamen.errors import DictamenError
from dictamen.imaging.dicom.series import find_series
from dictamen.imaging.dicom.volume import read_dicom, read_dicom_header
from dictamen.imaging.geometry import to_canonical
from dictamen.imaging.volume import Volume

C, S = math.cos(math.radians(20)), math.sin(math.radians(20))
SAGITTAL, CORONAL = (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)

GOOD: dict[str, tuple[Scan, Make]] = {
    "axial": (Scan(), plain),
    "instance numbers and files descend": (Scan(), changed(renumbered)),
    "slices descend": (Scan(step=(0.0, 0.0, -3.0)), plain),
    "row cosines negated": (Scan(orientation=(-1, 0, 0, 0, 1, 0)), plain),
    "column cosines negated": (Scan(orientation=(1, 0, 0, 0, -1, 0)), plain),
    "prone": (Scan(orientation=(-1, 0, 0, 0, -1, 0)), plain),
    "coronal": (Scan(orientation=(1, 0, 0, 0, 0, -1)), plain),
    "sagittal": (Scan(orientation=(0, 1, 0, 0, 0, -1)), plain),
    "oblique": (Scan(orientation=(C, S, 0, -S * C, C * C, S)), plain),
    "gantry tilt": (Scan(orientation=(1, 0, 0, 0, C, -S), step=(0, 0, 3.0)), plain),
    "gantry tilt the other way, descending": (Scan(orientation=(1, 0, 0, 0, C, S), step=(0, 0, -2.5)), plain),
    "pixels not square": (Scan(pixel_mm=(0.5, 0.8)), plain),
    "thin slices": (Scan(slice_mm=0.1), plain),
    "signed without intercept": (Scan(intercept=0.0, signed=True), plain),
    "twelve bits": (Scan(bits=12), plain),
    "slope of two": (Scan(slope=2.0, values=2 * np.arange(14 * 12 * 7, dtype=np.int16).reshape(14, 12, 7)), plain),
    "a fractional slope for each slice": (
        Scan(modality="PT", slope=0.25, intercept=0.0, signed=True),
        changed(slopes_a_slice),
    ),
    "implicit VR": (Scan(), transcoded(ImplicitVRLittleEndian)),
    "big endian": (Scan(), transcoded(ExplicitVRBigEndian)),
    "deflated": (Scan(), transcoded(DeflatedExplicitVRLittleEndian)),
    "RLE": (Scan(), transcoded(RLELossless)),
    "JPEG-LS": (Scan(), transcoded(JPEGLSLossless)),
    "JPEG 2000": (Scan(), by_gdcm(JPEG2000Lossless)),
    "JPEG lossless": (Scan(), by_gdcm(JPEGLosslessSV1)),
    "enhanced multi-frame": (Scan(), multi_frame()),
    "enhanced, frames shuffled": (Scan(), multi_frame((3, 0, 6, 1, 5, 2, 4))),
    "enhanced, tilted, RLE": (
        Scan(orientation=(1, 0, 0, 0, C, -S), step=(0, 0, 3.0)),
        multi_frame((6, 5, 4, 3, 2, 1, 0), RLELossless),
    ),
    "a localizer in the series": (Scan(), changed(with_localizer)),
    "files twice": (Scan(), changed(lambda slices: [*slices, *slices[2:5]])),
    "positions rounded": (Scan(slice_mm=2.0), changed(jittered)),
    "zip": (Scan(), zipped),
    "zip in a folder": (Scan(), zip_in_folder),
    "spread over folders": (Scan(), nested),
    "among other files": (Scan(), among_junk),
    "no suffixes": (Scan(), without_suffix),
    "MR": (Scan(modality="MR", slope=1.0, intercept=0.0, signed=True), plain),
    "slices slightly turned": (Scan(), changed(slightly_turned)),
    "instance numbers shuffled": (Scan(), changed(shuffled_numbers)),
    "nothing but what is needed": (Scan(), changed(bare)),
    "no slice thickness": (Scan(slice_mm=2.5), changed(each(SliceThickness=""))),
    "slice thickness of zero": (Scan(), changed(each(SliceThickness="0"))),
    "no frame of reference": (Scan(), changed(each(FrameOfReferenceUID=None))),
    "MONOCHROME1": (Scan(), changed(each(PhotometricInterpretation="MONOCHROME1"))),
    "twelve bits, signed": (Scan(bits=12, intercept=0.0, signed=True), plain),
    "more than int16 holds": (Scan(values=np.arange(14 * 12 * 7, dtype=np.int32).reshape(14, 12, 7) * 50), plain),
    "scouts beside": (Scan(), with_scouts("ORIGINAL", "PRIMARY", "LOCALIZER", directions=[SAGITTAL] * 3)),
    "scouts beside that don't say so": (
        Scan(),
        with_scouts("DERIVED", "SECONDARY", "MPR", directions=[SAGITTAL, CORONAL, AXIAL]),
    ),
    "screen captures beside": (Scan(), with_captures),
    "notes of the maker beside": (Scan(), with_notes_of_the_maker),
    "no preamble, implicit VR": (Scan(), without_preamble(implicit=True)),
    "no preamble, explicit VR": (Scan(), without_preamble(implicit=False)),
    "a disc's DICOMDIR": (Scan(), indexed_disc),
}
INEXACT_MM = {"positions rounded": 0.03, "slices slightly turned": 0.01}
"""Series whose headers are off by design."""
OTHER_TYPE = {"a fractional slope for each slice": np.float32, "more than int16 holds": np.int32}


@pytest.mark.parametrize("name", GOOD)
def test_every_voxel_is_in_its_place(name: str, tmp_path: Path) -> None:
    scan, make = GOOD[name]
    path = make(scan, tmp_path / "scan")
    volume = read_dicom(path, "s")
    assert scan.values is not None
    found, expected = to_canonical(volume), to_canonical(Volume(scan.values[None], scan.affine))
    assert np.abs(found.affine - expected.affine).max() < INEXACT_MM.get(name, 1e-4)
    assert np.abs(found.array.astype(float) - expected.array).max() < 1e-3
    assert volume.array.dtype == OTHER_TYPE.get(name, np.int16)
    header = read_dicom_header(path)
    assert header.shape == volume.shape
    assert np.array_equal(header.affine, volume.affine)


def test_nothing_of_the_patient_comes_with_the_voxels(tmp_path: Path) -> None:
    series = find_series(Scan().write(tmp_path)).series
    volume = read_dicom(tmp_path)
    for secret in (*PATIENT_NAME.split("^"), PATIENT_ID, BIRTH_DATE, ACCESSION):
        assert secret not in f"{volume.metadata}{series}{series[0]}"


def test_highdicom_and_itk_agree(tmp_path: Path) -> None:
    """Two libraries that were written by others find the same voxels at the same millimetres."""
    import SimpleITK
    from highdicom.image import get_volume_from_series

    scan = Scan(orientation=(C, S, 0, -S * C, C * C, S), step=None)
    ours = to_canonical(read_dicom(scan.write(tmp_path)))
    theirs = get_volume_from_series(scan.datasets())
    array, affine = theirs.array, np.diag([-1.0, -1.0, 1.0, 1.0]) @ theirs.affine
    other = to_canonical(Volume(array[None], affine))
    assert np.allclose(other.affine, ours.affine, atol=1e-4)
    assert np.array_equal(other.array, ours.array)
    image = SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path)))
    point = image.TransformIndexToPhysicalPoint((5, 3, 2))
    index = np.linalg.inv(ours.affine) @ np.array([-point[0], -point[1], point[2], 1.0])
    x, y, z = np.rint(index[:3]).astype(int)
    assert np.abs(index[:3] - (x, y, z)).max() < 1e-3
    assert ours.array[0, x, y, z] == image.GetPixel(5, 3, 2)


def test_a_real_series_of_pydicom() -> None:
    import pydicom

    files = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests"
    volume = read_dicom(files / "98892001" / "CT5N")
    assert volume.shape == (16, 16, 5)
    assert volume.spacing_mm == pytest.approx((0.488281, 0.488281, 2.5))
    assert -1024 <= volume.array.min() < -500 < 0 < volume.array.max() < 3000
    with pytest.raises(DictamenError, match="gaps of up to 202"):
        read_dicom(files / "77654033" / "CT2")
