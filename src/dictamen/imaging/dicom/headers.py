"""What the header of a DICOM image says of its frames: where each lies, and how its numbers become units."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dictamen.errors import InputError
from dictamen.imaging.dicom.files import MAGIC, PREAMBLE_BYTES, Part, has_no_preamble

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

MODALITIES = frozenset({"CT", "MR", "PT"})
"""Modalities whose series are volumes of numbers."""
LOCALIZER = "LOCALIZER"
"""Value of Image Type (0008,0008) that marks scouts."""
LARGEST_SIDE = 4096
"""Pixels; the largest matrix of a CT is 2048. More is a projection image, or a damaged header."""
MOST_FRAMES = 20_000
"""A whole body at .1 mm has fewer."""
PIXEL_TAGS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True)
class Frame:
    """One slice.

    Attributes:
        part: its file.
        index: number of the frame in the file, from 0.
        position_mm: of the centre of the first pixel, LPS.
        orientation: direction cosines along a row, then along a column, LPS.
        spacing_mm: between rows, then between columns.
        slope, intercept: stored number -> unit.
    """

    part: Part
    index: int
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing_mm: tuple[float, ...]
    slope: float
    intercept: float


@dataclass(frozen=True)
class Instance:
    """One DICOM image without its pixels, and without anything that names a patient.

    Attributes:
        patient: the same for images of one patient; a hash that is kept in memory only.
        problem: why its frames can't be placed; None where they can.
    """

    part: Part
    sop_uid: str
    series_uid: str
    study_uid: str
    frame_of_reference: str
    modality: str
    series_number: int | None
    image_type: tuple[str, ...]
    rows: int
    columns: int
    kernel: str
    patient: str = field(repr=False)
    frames: tuple[Frame, ...] = ()
    problem: InputError | None = None

    @property
    def is_localizer(self) -> bool:
        """Whether it is a scout."""
        return LOCALIZER in self.image_type


def read_instance(part: Part) -> Instance | None:
    """Read one header; None for objects that are no cross-sectional image (reports, segmentations, doses, raw data...).

    Raises:
        InputError: the file can't be read, or ends before it has said what it is.
    """
    header = read_dataset(part, pixels=False)
    modality = _text(header, "Modality")
    if (modality and modality not in MODALITIES) or _is_no_image(header):
        return None
    image, series, study = (_text(header, f"{level}InstanceUID") for level in ("SOP", "Series", "Study"))
    if not (modality and image and series and study and "Rows" in header):
        raise InputError(
            "The DICOM header is damaged.",
            where=part,
            expected="modality, rows and identifiers of image, series and study",
            next_step="export the series again, or remove the file",
        )
    frames: tuple[Frame, ...] = ()
    problem = None
    try:
        _check_pixels(header, part)
        frames = tuple(_frames(header, part, modality))
    except InputError as error:
        problem = error
    number = _number(header, "SeriesNumber")
    return Instance(
        part=part,
        sop_uid=image,
        series_uid=series,
        study_uid=study,
        frame_of_reference=_text(header, "FrameOfReferenceUID"),
        modality=modality,
        series_number=None if number is None else int(number),
        image_type=tuple(str(value) for value in _values(header, "ImageType")),
        rows=int(_number(header, "Rows") or 0),
        columns=int(_number(header, "Columns") or 0),
        kernel=_text(header, "ConvolutionKernel"),
        patient=_patient(header) or study,
        frames=frames,
        problem=problem,
    )


def read_dataset(part: Part, *, pixels: bool) -> Dataset:
    """The pydicom dataset of a file.

    Raises:
        InputError: it isn't DICOM, or is damaged.
    """
    from pydicom import dcmread

    try:
        with part.open() as file, dicom_errors(part, "The DICOM header is damaged."):
            bare = has_no_preamble(file.read(PREAMBLE_BYTES + len(MAGIC)))
            file.seek(0)
            dataset = dcmread(file, stop_before_pixels=not pixels, force=bare)
            if bare and "TransferSyntaxUID" not in dataset.file_meta:
                dataset.file_meta.TransferSyntaxUID = _syntax(dataset)
            return dataset
    except MemoryError as error:  # a damaged length asks for gigabytes at once
        raise InputError(
            "The DICOM file announces more than memory holds.",
            where=part,
            next_step="export the series again, or leave it out; or use a machine with more memory",
        ) from error


@contextmanager
def dicom_errors(part: Part, what: str) -> Iterator[None]:
    """Turn whatever a DICOM library raises of a damaged file into an `InputError`; its warnings are left out, since
    they quote values of the header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # pydicom raises some twenty kinds of errors on damaged files
        raise InputError(
            what, where=part, got=type(error).__name__, next_step="export the series again, or leave it out"
        ) from error


def _syntax(dataset: Dataset) -> UID:
    """How an object without a file header was found to be written; what is compressed says so itself."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    implicit, little = dataset.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _is_no_image(header: Dataset) -> bool:
    """Whether the object says that it is an index, raw data, spectra or notes of the scanner's maker."""
    from pydicom.uid import UID

    if "DirectoryRecordSequence" in header:
        return True
    is_whole = "SeriesInstanceUID" in header  # comes long after the class, before rows
    return is_whole and "Rows" not in header and "Image Storage" not in UID(_text(header, "SOPClassUID")).name


def _patient(header: Dataset) -> str:
    """Empty where nobody says who it is."""
    words = [_text(header, name) for name in ("PatientID", "IssuerOfPatientID")]
    return hashlib.sha256("\0".join(words).encode()).hexdigest() if words[0] else ""


def _check_pixels(header: Dataset, part: Part) -> None:
    colour = _text(header, "PhotometricInterpretation")
    if _number(header, "SamplesPerPixel") not in (None, 1) or colour not in ("MONOCHROME2", "MONOCHROME1", ""):
        # MONOCHROME1 is shown dark for bright, but its numbers mean the same (PS3.3 C.7.6.3.1.2)
        raise InputError("The image is in colour.", where=part, got=colour, expected="MONOCHROME2")
    sides = _number(header, "Rows") or 0, _number(header, "Columns") or 0
    if not all(1 < side <= LARGEST_SIDE for side in sides):
        raise InputError("The slices have an impossible size.", where=part, got=sides, expected=f"2 to {LARGEST_SIDE}")


def _frames(header: Dataset, part: Part, modality: str) -> Iterator[Frame]:
    if "PerFrameFunctionalGroupsSequence" not in header:
        if (_number(header, "NumberOfFrames") or 1) != 1:
            raise InputError("The multi-frame image has no place for each frame.", where=part)
        yield _frame(part, 0, [header], modality)
        return
    with dicom_errors(part, "The functional groups of the multi-frame image are damaged."):
        shared = list(header.get("SharedFunctionalGroupsSequence") or [])[:1]
        groups = list(header.PerFrameFunctionalGroupsSequence)
        if not 1 <= len(groups) <= MOST_FRAMES or len(groups) != (_number(header, "NumberOfFrames") or 1):
            raise InputError("The number of frames contradicts itself.", where=part, got=f"{len(groups)} groups")
        for index, group in enumerate(groups):
            yield _frame(part, index, _groups([group, *shared]), modality)


def _groups(functional: Sequence[Dataset]) -> list[Dataset]:
    """The items of all functional groups, those of the frame before the shared ones."""
    return [item.value[0] for group in functional for item in group if item.VR == "SQ" and len(item.value)]


def _frame(part: Part, index: int, places: Sequence[Dataset], modality: str) -> Frame:
    position = _vector(places, "ImagePositionPatient", 3, part)
    orientation = _vector(places, "ImageOrientationPatient", 6, part)
    spacing = _vector(places, "PixelSpacing", 2, part)
    slope, intercept = (_first(places, name) for name in ("RescaleSlope", "RescaleIntercept"))
    if modality == "CT" and (slope is None or intercept is None):
        raise InputError(
            "The CT has no rescale slope and intercept, so its numbers are not Hounsfield units.",
            where=part,
            next_step="export the series as acquired",
        )
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0:
        raise InputError("Rescale slope and intercept must be finite.", where=part, got=(slope, intercept))
    return Frame(part, index, position, orientation, spacing, slope, intercept)


def _vector(places: Sequence[Dataset], name: str, size: int, part: Part) -> tuple[float, ...]:
    from pydicom.datadict import dictionary_description

    values = next((_values(place, name) for place in places if name in place), [])
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != size or not all(map(math.isfinite, numbers)):
        raise InputError(
            f"The image has no usable {dictionary_description(name)}, so nobody can say where its voxels are.",
            where=part,
            expected=f"{size} numbers",
            next_step="export the series as acquired",
        )
    return numbers


def _first(places: Sequence[Dataset], name: str) -> float | None:
    return next((_number(place, name) for place in places if name in place), None)


def _values(dataset: Dataset, name: str) -> list[Any]:
    try:
        value = dataset.get(name)
    except Exception:  # a value that its own type can't hold; the field is as good as missing
        return []
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]


def _text(dataset: Dataset, name: str) -> str:
    values = _values(dataset, name)
    return str(values[0]) if values else ""


def _number(dataset: Dataset, name: str) -> float | None:
    values = _values(dataset, name)
    try:
        number = float(values[0]) if values else math.nan
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
