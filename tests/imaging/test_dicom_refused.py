"""Series that can't be right: each is refused, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from dicom_variants import Make, Slices, by_gdcm, changed, each, set_elements, two_series, zipped
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000Lossless
from synthetic_dicom import PATIENT_ID, Scan, enhanced, uid, write

from dictamen.errors import InputError
from dictamen.imaging.dicom.volume import read_dicom


def drop(*places: int) -> Callable[[Slices], Slices]:
    return lambda slices: [one for place, one in enumerate(slices) if place not in places]


def third(**values: object) -> Callable[[Slices], Slices]:
    return lambda slices: [set_elements(one, values) if place == 3 else one for place, one in enumerate(slices)]


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


def damaged(cut: int) -> Make:
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


BAD: dict[str, tuple[Make, str]] = {
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
