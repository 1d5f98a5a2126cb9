"""The matrix of series: each is read with every voxel in its place, or refused with the reason."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from synthetic_dicom import ACCESSION, AXIAL, BIRTH_DATE, PATIENT_ID, PATIENT_NAME, Scan, enhanced, uid, write

from dictamen.errors import DictamenError, InputError, UsageError
from dictamen.imaging.dicom.series import choose, find_series
from dictamen.imaging.dicom.volume import read_dicom, read_dicom_header
from dictamen.imaging.geometry import to_canonical
from dictamen.imaging.volume import Volume

C, S = math.cos(math.radians(20)), math.sin(math.radians(20))
SAGITTAL, CORONAL = (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)
Slices = list[Dataset]
Case = tuple[Scan, Callable[[Scan, Path], Path]]


def plain(scan: Scan, folder: Path) -> Path:
    return scan.write(folder)


def changed(change: Callable[[Slices], Sequence[Dataset]]) -> Callable[[Scan, Path], Path]:
    return lambda scan, folder: scan.write(folder, change)


def each(**values: object) -> Callable[[Slices], Slices]:
    """Set elements of every slice; None deletes."""
    return lambda slices: [_set(one, values) for one in slices]


def _set(one: Dataset, values: dict[str, object]) -> Dataset:
    for name, value in values.items():
        if value is None:
            delattr(one, name)
        else:
            setattr(one, name, value)
    return one


def transcoded(syntax: str) -> Callable[[Scan, Path], Path]:
    """As pydicom writes it."""

    def change(slices: Slices) -> Slices:
        for one in slices:
            if syntax in (RLELossless, JPEGLSLossless):
                one.compress(syntax)
            one.file_meta.TransferSyntaxUID = syntax
            if syntax == ExplicitVRBigEndian:
                one.PixelData = np.frombuffer(one.PixelData, "<u2").astype(">u2").tobytes()
        return slices

    return changed(change)


def by_gdcm(syntax: str) -> Callable[[Scan, Path], Path]:
    """As GDCM compresses it, which writes what pydicom can't."""

    def make(scan: Scan, folder: Path) -> Path:
        import gdcm

        for path in scan.write(folder).glob("*.dcm"):
            reader = gdcm.ImageReader()
            reader.SetFileName(str(path))
            assert reader.Read()
            change = gdcm.ImageChangeTransferSyntax()
            change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
            change.SetInput(reader.GetImage())
            assert change.Change()
            writer = gdcm.ImageWriter()
            writer.SetFileName(str(path))
            writer.SetFile(reader.GetFile())
            writer.SetImage(change.GetOutput())
            assert writer.Write()
            assert dcmread(path).file_meta.TransferSyntaxUID == syntax
        return folder

    return make


def multi_frame(order: Sequence[int] | None = None, syntax: str | None = None) -> Callable[[Scan, Path], Path]:
    def make(scan: Scan, folder: Path) -> Path:
        one = enhanced(scan, order)
        if syntax:
            one.compress(syntax)
        return write(folder, [one])

    return make


def renumbered(slices: Slices) -> Slices:
    for one in slices:
        one.InstanceNumber = len(slices) + 1 - one.InstanceNumber
    return slices[::-1]


def with_localizer(slices: Slices) -> Slices:
    scout = Scan(shape=(14, 12, 1), orientation=(0, 1, 0, 0, 0, -1)).dataset(0)
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.SOPInstanceUID = uid("scout")
    return [scout, *slices]


def jittered(slices: Slices) -> Slices:
    for number, one in enumerate(slices):
        one.ImagePositionPatient[2] += 0.02 * (-1) ** number
    return slices


def slopes_a_slice(slices: Slices) -> Slices:
    """As PET: each slice has its own slope."""
    for number, one in enumerate(slices):
        stored = np.frombuffer(one.PixelData, "<i2") * 0.25
        one.RescaleSlope = f"{0.25 / (number + 1):.12g}"
        one.PixelData = np.rint(stored * (number + 1) / 0.25).astype("<i2").tobytes()
    return slices


def zipped(scan: Scan, folder: Path) -> Path:
    scan.write(folder / "files")
    with zipfile.ZipFile(folder / "scan.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (folder / "files").iterdir():
            archive.write(path, f"export/DICOM/{path.name}")
    return folder / "scan.zip"


def zip_in_folder(scan: Scan, folder: Path) -> Path:
    zipped(scan, folder).rename(folder / "files" / "scan.zip")
    for path in (folder / "files").glob("*.dcm"):
        path.unlink()
    return folder / "files"


def nested(scan: Scan, folder: Path) -> Path:
    slices = scan.datasets()
    write(folder / "a" / "odd", slices[1::2])
    write(folder / "b", slices[::2])
    return folder


def among_junk(scan: Scan, folder: Path) -> Path:
    scan.write(folder)
    (folder / "notes.txt").write_text("x" * 500)
    (folder / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (folder / ".hidden.dcm").write_bytes(bytes(128) + b"DICM broken")
    report = Scan().dataset(0)
    report.Modality, report.SOPInstanceUID = "SR", uid("report")
    write(folder / "sr", [report])
    return folder


def without_suffix(scan: Scan, folder: Path) -> Path:
    for number, path in enumerate(sorted(scan.write(folder).iterdir())):
        path.rename(folder / f"IM{number:05d}")
    return folder


def slightly_turned(slices: Slices) -> Slices:
    for number, one in enumerate(slices):
        c, s = math.cos(2e-4), math.sin(2e-4) * (-1) ** number
        one.ImageOrientationPatient = [round(value, 8) for value in (c, s, 0, -s, c, 0)]
    return slices


def shuffled_numbers(slices: Slices) -> Slices:
    for number, one in zip((4, 1, 7, 2, 6, 3, 5), slices, strict=True):
        one.InstanceNumber = number
    return slices


def bare(slices: Slices) -> Slices:
    """Nothing but pixels, geometry and identifiers."""
    needed = (
        *("Modality", "ImageType", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PixelData"),
        *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept"),
        *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    )
    for one in slices:
        for element in list(one):
            name = element.keyword
            if name not in needed and not name.endswith("UID"):
                del one[element.tag]
    return slices


def with_scouts(*image_type: str, directions: Sequence[Sequence[float]]) -> Callable[[Scan, Path], Path]:
    """A series of scouts in the folder of the scan."""

    def make(scan: Scan, folder: Path) -> Path:
        scan.write(folder)
        for number, orientation in enumerate(directions):
            scout = Scan(shape=(30, 20, 1), orientation=orientation, series="9").dataset(0)
            scout.SOPInstanceUID, scout.ImageType = uid("scout", str(number)), list(image_type)
            scout.ImagePositionPatient[0] += 8 * number
            scout.save_as(folder / f"scout{number}", enforce_file_format=True)
        return folder

    return make


def with_captures(scan: Scan, folder: Path) -> Path:
    """A series of screen captures in colour, which call themselves CT."""
    scan.write(folder)
    for number in range(5):
        one = Scan(series="99").dataset(0)
        one.SOPClassUID, one.SOPInstanceUID = SecondaryCaptureImageStorage, uid("capture", str(number))
        for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope"):
            delattr(one, name)
        one.SamplesPerPixel, one.PhotometricInterpretation, one.PlanarConfiguration = 3, "RGB", 0
        one.BitsAllocated, one.BitsStored, one.HighBit = 8, 8, 7
        one.PixelData = bytes(one.Rows * one.Columns * 3)
        one.save_as(folder / f"capture{number}.dcm", enforce_file_format=True)
    return folder


def with_notes_of_the_maker(scan: Scan, folder: Path) -> Path:
    """As Siemens stores beside its images: the modality of the series, and no image."""
    scan.write(folder)
    one = scan.dataset(0)
    one.SOPClassUID, one.SOPInstanceUID = "1.3.12.2.1107.5.9.1", uid("notes")
    for name in ("Rows", "Columns", "PixelData", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(one, name)
    one.save_as(folder / "notes.dcm", enforce_file_format=True)
    return folder


def without_preamble(*, implicit: bool) -> Callable[[Scan, Path], Path]:
    def make(scan: Scan, folder: Path) -> Path:
        folder.mkdir()
        for number, one in enumerate(scan.datasets()):
            del one.file_meta
            one.save_as(folder / f"IM{number}", implicit_vr=implicit, little_endian=True)
        return folder

    return make


def indexed_disc(scan: Scan, folder: Path) -> Path:
    """As a disc of a hospital: a DICOMDIR and files without suffixes; what is given is the index."""
    without_suffix(scan, folder / "PAT0")
    index = Dataset()
    index.file_meta = FileMetaDataset()
    index.file_meta.MediaStorageSOPClassUID, index.file_meta.TransferSyntaxUID = (
        MediaStorageDirectoryStorage,
        ExplicitVRLittleEndian,
    )
    index.file_meta.MediaStorageSOPInstanceUID = uid("disc")
    index.FileSetID, index.DirectoryRecordSequence = "DISC", []
    index.save_as(folder / "DICOMDIR", enforce_file_format=True)
    (folder / "PAT0" / "index.bak").write_bytes((folder / "DICOMDIR").read_bytes())
    return folder / "DICOMDIR"


GOOD: dict[str, Case] = {
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


# --- refused


def drop(*places: int) -> Callable[[Slices], Slices]:
    return lambda slices: [one for place, one in enumerate(slices) if place not in places]


def third(**values: object) -> Callable[[Slices], Slices]:
    return lambda slices: [_set(one, values) if place == 3 else one for place, one in enumerate(slices)]


def second_phase(slices: Slices) -> Slices:
    return [*slices, *map(_renamed, Scan(seed=1).datasets())]


def _renamed(one: Dataset) -> Dataset:
    one.SOPInstanceUID = uid("phase", one.SOPInstanceUID)
    one.AcquisitionNumber = 2
    return one


def uneven(slices: Slices) -> Slices:
    slices[-1].ImagePositionPatient[2] += 1.0
    slices[-2].ImagePositionPatient[2] += 0.5
    return slices


def sideways(slices: Slices) -> Slices:
    slices[3].ImagePositionPatient[0] += 5.0
    return slices


def other_size(slices: Slices) -> Slices:
    slices[3] = Scan(shape=(13, 12, 7)).dataset(3)
    return slices


def two_stacks(scan: Scan, folder: Path) -> Path:
    one = enhanced(scan, (0, 1, 2, 0, 1, 2))
    return write(folder, [one])


def wrong_count(scan: Scan, folder: Path) -> Path:
    one = enhanced(scan)
    one.NumberOfFrames = 900
    return write(folder, [one])


def damaged(cut: int) -> Callable[[Scan, Path], Path]:
    def make(scan: Scan, folder: Path) -> Path:
        path = sorted(scan.write(folder).iterdir())[2]
        path.write_bytes(path.read_bytes()[:cut])
        return folder

    return make


def broken_codestream(scan: Scan, folder: Path) -> Path:
    path = sorted(by_gdcm(JPEG2000Lossless)(scan, folder).iterdir())[2]
    one = dcmread(path)
    one.PixelData = one.PixelData[:60] + bytes(len(one.PixelData) - 60)
    one.save_as(path)
    return folder


def two_series(scan: Scan, folder: Path) -> Path:
    scan.write(folder / "1")
    Scan(series="2", shape=(14, 12, 9), slice_mm=5.0).write(folder / "2")
    return folder


def encrypted(scan: Scan, folder: Path) -> Path:
    path = zipped(scan, folder)
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        start = data.find(magic)
        while start >= 0:
            data[start + offset] |= 1
            start = data.find(magic, start + 4)
    path.write_bytes(data)
    return path


def bad_zip(scan: Scan, folder: Path) -> Path:
    path = zipped(scan, folder)
    path.write_bytes(path.read_bytes()[:-300])
    return path


BAD: dict[str, tuple[Callable[[Scan, Path], Path], str]] = {
    "a slice is missing": (changed(drop(3)), "Slices are missing"),
    "several slices are missing": (changed(drop(2, 3, 4)), "about 3 slices"),
    "two phases": (changed(second_phase), "same place.*7 of 14"),
    "uneven steps": (changed(uneven), "distance between slices varies"),
    "one slice aside": (changed(sideways), "straight line"),
    "one slice turned": (changed(third(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])), "different orientations"),
    "one slice of other pixels": (changed(third(PixelSpacing=[1.0, 2.0])), "different pixel spacings"),
    "one slice of another size": (changed(other_size), "different sizes"),
    "two frames of reference": (changed(third(FrameOfReferenceUID="1.2.3")), "different frames of reference"),
    "one slice": (changed(lambda slices: slices[:1]), "No series can be a volume"),
    "no position": (changed(third(ImagePositionPatient=None)), "no usable Image Position"),
    "no orientation": (changed(each(ImageOrientationPatient=None)), "no usable Image Orientation"),
    "no spacing": (changed(each(PixelSpacing=None)), "no usable Pixel Spacing"),
    "spacing of zero": (changed(each(PixelSpacing=[0.0, 1.0])), "must be positive"),
    "cosines of no length": (changed(each(ImageOrientationPatient=[1, 0, 0, 0.5, 0.5, 0])), "perpendicular unit"),
    "no rescale": (changed(each(RescaleIntercept=None)), "not Hounsfield"),
    "slope of zero": (changed(third(RescaleSlope="0")), "must be finite"),
    "colour": (changed(each(PhotometricInterpretation="RGB", SamplesPerPixel=3)), "in colour"),
    "a header bomb": (changed(each(Rows=65535, Columns=65535)), "impossible size"),
    "fewer pixels than announced": (changed(each(Rows=300)), "can't be decoded"),
    "a broken codestream": (broken_codestream, "can't be decoded"),
    "pixels cut off": (damaged(1500), "decoded|damaged|read"),
    "header cut off": (damaged(400), "damaged|identifiers|read"),
    "enhanced of two stacks": (two_stacks, "same place"),
    "enhanced of a wrong count": (wrong_count, "contradicts itself"),
    "slices beside each other": (
        changed(each(ImageOrientationPatient=[0, 1, 0, 0.1, 0, 0.995])),
        "beside|straight|same",
    ),
    "two series": (two_series, "2 series.*--series"),
    "encrypted": (encrypted, "encrypted"),
    "a damaged archive": (bad_zip, "can't be read"),
    "no DICOM": (lambda _, folder: folder.mkdir() or folder, "No series"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_right_is_refused(name: str, tmp_path: Path) -> None:
    make, words = BAD[name]
    path = make(Scan(), tmp_path / "scan")
    with pytest.raises(InputError, match=words) as refused:
        read_dicom(path, "s")
    assert PATIENT_ID not in str(refused.value)
    assert refused.value.where is not None


# --- which series


@pytest.mark.parametrize(("rule", "slices"), [("largest", 9), ("thinnest", 7), ("1", 7), (uid("series", "1", "2"), 9)])
def test_series_are_chosen_by_rule(rule: str, slices: int, tmp_path: Path) -> None:
    assert read_dicom(two_series(Scan(), tmp_path), series=rule).shape[2] == slices


def test_a_series_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No series has.*number 1 .CT, 7 slices of 12 x 14, step 3 mm, kernel B30f"):
        choose(find_series(two_series(Scan(), tmp_path)).series, "5", where="x")


def test_a_changed_folder_is_read_again(tmp_path: Path) -> None:
    Scan(shape=(14, 12, 3)).write(tmp_path / "below")
    assert read_dicom(tmp_path).shape[2] == 3
    Scan(shape=(14, 12, 7)).write(tmp_path / "below")
    assert read_dicom(tmp_path).shape[2] == 7


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
