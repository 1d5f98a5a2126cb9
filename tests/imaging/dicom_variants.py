"""Ways to write a series: as scanners, archives and discs do, and as none should.

Each takes a scan and a folder, writes there, and gives the path to read.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from synthetic_dicom import Scan, enhanced, uid, write

Slices = list[Dataset]
Make = Callable[[Scan, Path], Path]


def plain(scan: Scan, folder: Path) -> Path:
    return scan.write(folder)


def changed(change: Callable[[Slices], Sequence[Dataset]]) -> Make:
    return lambda scan, folder: scan.write(folder, change)


def each(**values: object) -> Callable[[Slices], Slices]:
    """Set elements of every slice; None deletes."""
    return lambda slices: [set_elements(one, values) for one in slices]


def set_elements(one: Dataset, values: dict[str, object]) -> Dataset:
    for name, value in values.items():
        if value is None:
            delattr(one, name)
        else:
            setattr(one, name, value)
    return one


def transcoded(syntax: str) -> Make:
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


def by_gdcm(syntax: str) -> Make:
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


def multi_frame(order: Sequence[int] | None = None, syntax: str | None = None) -> Make:
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


def with_scouts(*image_type: str, directions: Sequence[Sequence[float]]) -> Make:
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


def without_preamble(*, implicit: bool) -> Make:
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


def two_series(scan: Scan, folder: Path) -> Path:
    scan.write(folder / "1")
    Scan(series="2", shape=(14, 12, 9), slice_mm=5.0).write(folder / "2")
    return folder
