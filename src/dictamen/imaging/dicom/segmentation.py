"""DICOM Segmentation objects (PS3.3 A.51): written on the slices of their source, and read back onto a grid."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from dictamen.anatomy.vocabulary import Side
from dictamen.errors import InputError
from dictamen.files import atomic_path
from dictamen.imaging.dicom.coding import laterality, lesion_type, organ_type
from dictamen.imaging.dicom.files import Part
from dictamen.imaging.dicom.headers import dicom_errors, read_dataset
from dictamen.imaging.dicom.series import Series
from dictamen.imaging.dicom.stack import LPS_TO_RAS, Stack
from dictamen.imaging.volume import Volume

if TYPE_CHECKING:
    from pydicom import Dataset

MANUFACTURER = "dictamen"
SERIES_NUMBERS = {"SEG": 9001, "SR": 9002}
"""Out of the way of what a scanner counts."""
ON_GRID_TOLERANCE = 0.05
"""Part of a voxel by which a frame may be off the grid that it is read onto."""

MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime"),
    *("AccessionNumber", "ReferringPhysicianName"),
)
"""Must be there by the standard, with or without a value (type 2)."""

Form = Literal["binary", "labelmap"]


@dataclass(frozen=True)
class Segment:
    """One segment of a label map.

    Attributes:
        value: in the label map, from 1.
        label: for people ("left kidney", "kidney_tumour 2").
        structure: vocabulary id of the organ; of a lesion: the organ that it is in.
        lesion: name of the lesion label; None for organs.
        tracking_uid: the same lesion has the same one in SEG and SR.
    """

    value: int
    label: str
    structure: str | None = None
    side: Side | None = None
    lesion: str | None = None
    tracking_uid: str | None = None


@dataclass(frozen=True)
class Algorithm:
    """What made a segmentation: name and hash of the model."""

    name: str
    model: str

    @cached_property
    def version(self) -> str:
        """Of dictamen and of the weights."""
        return f"{version('dictamen')} {self.model}"


@dataclass(frozen=True)
class Source:
    """Headers of the images that a segmentation is of, in the order of the slices of the volume.

    Attributes:
        headers: one a slice, or a single one of a multi-frame image.
        places: slice of the volume for each frame of the source, in the order of the source.
    """

    headers: tuple[Dataset, ...]
    places: tuple[int, ...]


def source_of(series: Series, stacked: Stack) -> Source:
    """Read the headers again, whole.

    Raises:
        InputError: several multi-frame files in one series, which a SEG can't refer to.
    """
    parts = list(dict.fromkeys(frame.part for frame in stacked.frames))
    multi_frame = len(parts) < len(stacked.frames)
    if multi_frame and len(parts) > 1:
        raise InputError(
            "The series has several multi-frame files, and a DICOM SEG is of one.",
            where=series.source,
            next_step="predict without --dicom",
        )
    headers = tuple(read_dataset(part, pixels=False) for part in parts)
    for header in headers:
        _make_usable(header, headers[0], stacked)
    if multi_frame:
        order = sorted(range(len(stacked.frames)), key=lambda place: stacked.frames[place].index)
        return Source(headers, tuple(order))
    return Source(headers, tuple(range(len(parts))))


def make_segmentation(
    labels: npt.NDArray[Any],
    segments: Sequence[Segment],
    source: Source,
    *,
    algorithm: Algorithm,
    form: Form = "binary",
) -> Dataset:
    """A SEG on the source's own slices.

    Args:
        labels: [X, Y, Z] on the grid of the series; values are those of `segments`.
        segments: at least one voxel each.
        form: "binary" (one bit map a segment, which every viewer reads) or "labelmap" (PS3.3 A.51.2, smaller).

    Raises:
        InputError: nothing segmented, or headers that the standard doesn't allow to copy.
    """
    import highdicom as hd

    if not segments:
        raise InputError("Nothing was segmented, and an empty DICOM SEG is not allowed.")
    lookup = np.zeros(max(int(labels.max()), max(one.value for one in segments)) + 1, dtype=_type(len(segments)))
    lookup[[one.value for one in segments]] = np.arange(1, len(segments) + 1)
    frames = lookup[labels].transpose(2, 1, 0)[list(source.places)]
    series_uid = source.headers[0].SeriesInstanceUID
    with writing("The DICOM SEG can't be made."):
        return hd.seg.Segmentation(
            source_images=source.headers,
            pixel_array=np.ascontiguousarray(frames),
            segmentation_type=form.upper(),
            segment_descriptions=[_description(n, one, algorithm) for n, one in enumerate(segments, start=1)],
            series_instance_uid=derived_uid(series_uid, algorithm, "SEG series"),
            series_number=SERIES_NUMBERS["SEG"],
            sop_instance_uid=derived_uid(series_uid, algorithm, f"SEG {form}"),
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=algorithm.name,
            software_versions=algorithm.version,
            device_serial_number=algorithm.model,
            content_label="SEGMENTATION",
            content_description="Automatic; research use only",
            series_description="dictamen segmentation",
        )


def write_dataset(made: Dataset, path: Path) -> None:
    """Write atomically.

    Raises:
        ResourceError: disk full or folder not writable.
    """
    with atomic_path(path) as temporary, writing("The DICOM object can't be written."):
        made.save_as(temporary, enforce_file_format=True)


def read_segmentation(path: Path, like: Volume, study_id: str = "") -> tuple[Volume, dict[int, str]]:
    """Read a SEG onto the grid of the series that it is of.

    Args:
        like: volume of that series; its voxels are not read.

    Returns:
        Label map [1, X, Y, Z] with the segment numbers (of segments that overlap the later one), and number -> label.

    Raises:
        InputError: no SEG, or frames that don't lie on the grid.
    """
    part = Part(path)
    dataset = read_dataset(part, pixels=True)
    if str(dataset.get("Modality")) != "SEG":
        raise InputError("The file is no DICOM SEG.", where=part, got=dataset.get("Modality"))
    with dicom_errors(part, "The DICOM SEG is damaged."):
        named = ((int(one.SegmentNumber), str(one.SegmentLabel)) for one in dataset.SegmentSequence)
        names = {number: label for number, label in named if number > 0}  # 0 is the background of label maps
        labelmap = str(dataset.SegmentationType) == "LABELMAP"
        labels = np.zeros(like.shape, dtype=_type(max(names, default=0)))
        for number, place, frame in _frames(dataset, like, part):
            # a view of one slice, [rows, columns] as frames are
            target = labels[:, :, place].T
            target[frame > 0] = frame[frame > 0] if labelmap else number
    return Volume(labels[None], like.affine, study_id), names


def _frames(dataset: Dataset, like: Volume, part: Part) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
    """(segment number, slice of the grid, pixels) of each frame."""
    from pydicom.pixels.utils import iter_pixels

    if (int(dataset.Columns), int(dataset.Rows)) != like.shape[:2]:
        raise InputError(
            "The SEG is not on the grid of the image.",
            where=part,
            got=(int(dataset.Columns), int(dataset.Rows)),
            expected=like.shape[:2],
        )
    to_index = np.linalg.inv(LPS_TO_RAS @ like.affine)
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [{}])[0]
    bits = int(dataset.Rows) * int(dataset.Columns)
    # frames of single bits that end within a byte are read wrongly one at a time (pydicom 3.0.2)
    whole_bytes = int(dataset.BitsAllocated) > 1 or bits % 8 == 0
    frames = (
        iter_pixels(dataset) if whole_bytes else iter(dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns))
    )
    for group, frame in zip(dataset.PerFrameFunctionalGroupsSequence, frames, strict=True):
        position = [float(value) for value in group.PlanePositionSequence[0].ImagePositionPatient]
        index = to_index @ np.array([*position, 1.0])
        place = round(float(index[2]))
        if np.abs(index[:3] - (0, 0, place)).max() > ON_GRID_TOLERANCE or not 0 <= place < like.shape[2]:
            raise InputError("A frame of the SEG lies on no slice of the image.", where=part, got=position)
        # said once for all frames where there is one segment
        identified = group.get("SegmentIdentificationSequence") or shared.get("SegmentIdentificationSequence")
        yield int(identified[0].ReferencedSegmentNumber) if identified else 0, place, frame


def derived_uid(series_uid: str, algorithm: Algorithm, what: str) -> str:
    """A UID that is the same each time the same model is used on the same series."""
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=[str(series_uid), algorithm.version, what]))


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn what highdicom says of headers that it can't take over into an `InputError` that quotes no value."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            what,
            got=type(error).__name__,
            next_step="predict without --dicom, or with --deidentify, which takes nothing over from the headers",
        ) from error


def _make_usable(header: Dataset, first: Dataset, stacked: Stack) -> None:
    """Mend what highdicom refuses to copy: values that the standard forbids or misses, and differences between slices
    that `stacked` has tolerated."""
    from pydicom.uid import generate_uid

    if str(header.get("PatientSex", "")) not in ("M", "F", "O", ""):
        header.PatientSex = ""
    for name in MAY_BE_EMPTY:
        if name not in header:
            setattr(header, name, "")
    if not header.get("FrameOfReferenceUID"):
        header.FrameOfReferenceUID = generate_uid(entropy_srcs=[str(header.SeriesInstanceUID), "frame of reference"])
    for name in ("ImageOrientationPatient", "PixelSpacing"):
        if name in header:
            setattr(header, name, first[name].value)
    shared = (header.get("SharedFunctionalGroupsSequence") or [{}])[0]
    places = shared.get("PixelMeasuresSequence", ()) if "PerFrameFunctionalGroupsSequence" in header else [header]
    for place in places:
        if not place.get("SliceThickness"):
            place.SliceThickness = f"{stacked.step_mm:.6g}"


def _description(number: int, segment: Segment, algorithm: Algorithm) -> Any:
    import highdicom as hd
    from pydicom.sr.coding import Code

    organ = organ_type(segment.structure) if segment.structure else None
    lesion = segment.lesion is not None
    made = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.label[:64],
        segmented_property_category=Code("49755003", "SCT", "Morphologically Altered Structure")
        if lesion
        else Code("123037004", "SCT", "Anatomical Structure"),
        segmented_property_type=lesion_type(str(segment.lesion)) if lesion else organ or organ_type(segment.label),
        algorithm_type="AUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=algorithm.name,
            family=Code("123109", "DCM", "Artificial Intelligence"),
            version=algorithm.version,
        ),
        tracking_uid=segment.tracking_uid,
        tracking_id=segment.label[:64] if segment.tracking_uid else None,
        anatomic_regions=[organ] if lesion and organ else None,
    )
    if segment.side is not None:
        side = hd.sr.CodedConcept.from_code(laterality(segment.side))
        if lesion and organ:
            made.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [side]
        elif not lesion:
            made.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [side]
    return made


def _type(count: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if count <= np.iinfo(np.uint8).max else np.uint16
