"""DICOM series made in code: a CT-like volume whose every voxel and millimetre is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
PATIENT_NAME, PATIENT_ID, BIRTH_DATE, ACCESSION = "Quixote^Alonso", "SECRET-4711", "19470312", "ACC-998877"
"""What must never come out."""
STORAGE = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}


@dataclass
class Scan:
    """A series as a scanner would make it; change what a test is about.

    Attributes:
        shape: columns, rows, slices.
        step: LPS millimetres from slice to slice; None: along the normal, `slice_mm` long.
        values: [columns, rows, slices] in units; None: a smooth pattern with a ball off the centre.
    """

    shape: tuple[int, int, int] = (14, 12, 7)
    orientation: Sequence[float] = AXIAL
    origin: Sequence[float] = (-40.0, -30.0, -120.0)
    pixel_mm: tuple[float, float] = (1.5, 2.0)
    slice_mm: float = 3.0
    step: Sequence[float] | None = None
    modality: str = "CT"
    slope: float = 1.0
    intercept: float = -1024.0
    signed: bool = False
    bits: int = 16
    study: str = "1"
    series: str = "1"
    patient: str = PATIENT_ID
    seed: int = 0
    values: npt.NDArray[Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.values is None:
            self.values = pattern(self.shape, self.seed)

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """(column, row, slice) to RAS millimetres, written from the standard's equation C.7.6.2.1-1."""
        row, column = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        lps = np.eye(4)
        lps[:3, 0], lps[:3, 1] = row * self.pixel_mm[1], column * self.pixel_mm[0]
        lps[:3, 2] = np.cross(row, column) * self.slice_mm if self.step is None else self.step
        lps[:3, 3] = self.origin
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps

    def position(self, place: int) -> list[float]:
        """Image Position (Patient) of a slice, rounded as scanners do."""
        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.affine
        return [round(float(value), 6) for value in lps[:3, 3] + place * lps[:3, 2]]

    def dataset(self, place: int) -> Dataset:
        """One slice."""
        assert self.values is not None
        one = Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.SOPClassUID = STORAGE[self.modality]
        one.SOPInstanceUID = uid("image", self.study, self.series, str(place))
        one.SeriesInstanceUID = uid("series", self.study, self.series)
        one.StudyInstanceUID = uid("study", self.study)
        one.FrameOfReferenceUID = uid("frame", self.study)
        one.Modality = self.modality
        one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        one.PatientName, one.PatientID, one.PatientBirthDate, one.PatientSex = (
            PATIENT_NAME,
            self.patient,
            BIRTH_DATE,
            "M",
        )
        one.AccessionNumber, one.StudyID, one.ReferringPhysicianName = ACCESSION, "77", "Panza^Sancho"
        one.StudyDate, one.StudyTime, one.ContentDate, one.ContentTime = "20200102", "030405", "20200102", "030405"
        one.Manufacturer, one.InstitutionName = "Maker", "Hospital of La Mancha"
        one.SeriesNumber, one.InstanceNumber, one.AcquisitionNumber = int(self.series), place + 1, 1
        one.PositionReferenceIndicator, one.PatientPosition = "", "HFS"
        one.KVP, one.SliceThickness, one.ConvolutionKernel = "120", str(self.slice_mm), "B30f"
        one.ImagePositionPatient = self.position(place)
        one.ImageOrientationPatient = [round(float(value), 6) for value in self.orientation]
        one.PixelSpacing = list(self.pixel_mm)
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.Rows, one.Columns = self.shape[1], self.shape[0]
        one.BitsAllocated, one.BitsStored, one.HighBit = 16, self.bits, self.bits - 1
        one.PixelRepresentation = int(self.signed)
        one.RescaleSlope, one.RescaleIntercept, one.RescaleType = str(self.slope), str(self.intercept), "HU"
        stored = np.rint((self.values[:, :, place] - self.intercept) / self.slope).T
        one.PixelData = np.ascontiguousarray(stored.astype("<i2" if self.signed else "<u2")).tobytes()
        return one

    def datasets(self) -> list[Dataset]:
        """All slices, in the order of the array."""
        return [self.dataset(place) for place in range(self.shape[2])]

    def write(self, folder: Path, change: Callable[[list[Dataset]], Sequence[Dataset]] | None = None) -> Path:
        """Write the series, one file a slice; `change` may reorder, remove, repeat or spoil slices before."""
        return write(folder, change(self.datasets()) if change else self.datasets())


def write(folder: Path, datasets: Sequence[Dataset]) -> Path:
    """Write files with names that say nothing of the order."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(datasets):
        one.save_as(folder / f"{number * 7919 % 1009:04d}_{number}.dcm", enforce_file_format=True)
    return folder


def uid(*words: str) -> str:
    """A UID that is the same in each run."""
    return generate_uid(entropy_srcs=["dictamen test", *words])


def pattern(shape: tuple[int, int, int], seed: int = 0) -> npt.NDArray[np.int16]:
    """Air, a body with a gradient that differs along each axis, and a bright ball off the centre."""
    x, y, z = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    values = 3.0 * x - 5.0 * y + 11.0 * z + np.random.default_rng(seed).integers(-4, 5, shape)
    values[(x < 2) | (y < 1)] = -1000
    centre = np.array(shape) * (0.6, 0.4, 0.7)
    values[np.linalg.norm(np.stack([x, y, z], -1) - centre, axis=-1) < min(shape) / 4] += 300
    return values.astype(np.int16)


def functional_group(name: str, **values: Any) -> Dataset:
    """A dataset with one sequence `name` of one item."""
    item, group = Dataset(), Dataset()
    for key, value in values.items():
        setattr(item, key, value)
    setattr(group, name, [item])
    return group


def enhanced(scan: Scan, order: Sequence[int] | None = None) -> Dataset:
    """The series as one enhanced multi-frame image, frames in the given order."""
    from pydicom.uid import EnhancedCTImageStorage

    order = list(range(scan.shape[2])) if order is None else list(order)
    slices = [scan.dataset(place) for place in order]
    one = scan.dataset(0)
    one.SOPClassUID = EnhancedCTImageStorage
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(one, name)
    shared = Dataset()
    shared.update(
        functional_group(
            "PlaneOrientationSequence", ImageOrientationPatient=[round(float(value), 6) for value in scan.orientation]
        )
    )
    shared.update(
        functional_group("PixelMeasuresSequence", PixelSpacing=list(scan.pixel_mm), SliceThickness=scan.slice_mm)
    )
    shared.update(
        functional_group(
            "PixelValueTransformationSequence",
            RescaleSlope=scan.slope,
            RescaleIntercept=scan.intercept,
            RescaleType="HU",
        )
    )
    one.SharedFunctionalGroupsSequence = [shared]
    one.PerFrameFunctionalGroupsSequence = [
        functional_group("PlanePositionSequence", ImagePositionPatient=scan.position(place)) for place in order
    ]
    one.NumberOfFrames = len(order)
    one.PixelData = b"".join(part.PixelData for part in slices)
    return one
