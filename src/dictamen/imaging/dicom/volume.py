"""From a series of DICOM images to a volume in the units of its modality (CT: Hounsfield units)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError
from dictamen.imaging.dicom.headers import Frame, dicom_errors, read_dataset
from dictamen.imaging.dicom.series import ONLY, Series, choose, find_series
from dictamen.imaging.dicom.stack import Stack
from dictamen.imaging.header import Header
from dictamen.imaging.volume import Volume

TILTED_FROM_DEGREES = 0.1
"""A smaller angle between slices and table is rounding of positions."""


def read_dicom(path: Path, study_id: str = "", *, series: str = ONLY, modality: str | None = None) -> Volume:
    """Read one series: array [1, X, Y, Z] (columns, rows, slices along their normal), affine in RAS+ mm.

    Args:
        path: a file (enhanced multi-frame), a folder or a zip archive.
        series: see `series.choose`.
        modality: only series of this one.

    Returns:
        int16 (else int32) where slope and intercept are whole numbers, else float32. `metadata` says modality, number
        of slices, tilt of the gantry, kernel, and how many scouts and copies were left out; nothing of the patient.

    Raises:
        InputError: whatever `series.choose` and `stack.stack` refuse; pixels that can't be decoded.
        UsageError: no series of that number or UID.
    """
    where = _where(path, study_id)
    return read_series(_chosen(path, series, where, modality), study_id, where=where)


def read_dicom_header(path: Path, study_id: str = "", *, series: str = ONLY) -> Header:
    """Shape, spacing and affine of the volume that `read_dicom` would give, from headers alone.

    Raises:
        InputError, UsageError: as `read_dicom`, but for the pixels.
    """
    where = _where(path, study_id)
    chosen = _chosen(path, series, where, None)
    stacked = chosen.stacked(where)
    x, y, z = np.linalg.norm(stacked.affine[:3, :3], axis=0).tolist()
    return Header(_shape(chosen, stacked), (x, y, z), stacked.affine, np.dtype(np.int16))


def _chosen(path: Path, rule: str, where: str, modality: str | None) -> Series:
    found = find_series(path)
    if not found.series and found.unreadable:
        raise found.unreadable[0]
    return choose(found.series, rule, where=where, modality=modality)


def read_series(series: Series, study_id: str = "", *, where: object = None) -> Volume:
    """Read the pixels of one series; see `read_dicom`."""
    where = where or study_id or series.source
    if series.problems:
        raise InputError(
            f"{len(series.problems)} DICOM files beside the series can't be read, and may be slices of it.",
            where=where,
            got=series.problems[0],
            next_step="send the series again, or remove the files",
        )
    stacked = series.stacked(where)
    shape = _shape(series, stacked)
    array = np.empty(shape, dtype=_type(stacked), order="F")  # slices are contiguous, as they are decoded
    for place, pixels in _slices(stacked):
        frame = stacked.frames[place]
        if pixels.shape != (shape[1], shape[0]):
            raise InputError("The pixels have another size than the header says.", where=frame.part, got=pixels.shape)
        array[:, :, place] = _in_units(pixels, frame, array.dtype).T
    return Volume(_smallest(array)[None], stacked.affine, study_id, _facts(series, stacked))


def _slices(stacked: Stack) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """(number of the slice, stored pixels [rows, columns]), each file opened once."""
    from pydicom.pixels.utils import iter_pixels

    wanted: dict[Any, list[tuple[int, int]]] = {}
    for place, frame in enumerate(stacked.frames):
        wanted.setdefault(frame.part, []).append((frame.index, place))
    for part, places in wanted.items():
        places.sort()
        dataset = read_dataset(part, pixels=True)  # pydicom can't iterate over the pixels of a deflated file
        with dicom_errors(part, "The pixels can't be decoded."):
            decoded = iter_pixels(dataset, indices=[index for index, _ in places], raw=True)
            for (_, place), pixels in zip(places, decoded, strict=True):
                yield place, pixels


def _shape(series: Series, stacked: Stack) -> tuple[int, int, int]:
    first = series.instances[0]
    return first.columns, first.rows, len(stacked.frames)


def _type(stacked: Stack) -> np.dtype[Any]:
    whole = all(frame.slope.is_integer() and frame.intercept.is_integer() for frame in stacked.frames)
    return np.dtype(np.int32 if whole else np.float32)


def _in_units(pixels: npt.NDArray[Any], frame: Frame, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    scaled: npt.NDArray[Any] = pixels.astype(dtype) * dtype.type(frame.slope) + dtype.type(frame.intercept)
    return scaled


def _smallest(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    limits = np.iinfo(np.int16)
    if array.dtype.kind == "i" and limits.min <= array.min() and array.max() <= limits.max:
        return array.astype(np.int16)
    return array


def _facts(series: Series, stacked: Stack) -> Mapping[str, str]:
    facts = {"modality": series.modality, "slices": str(len(stacked.frames))}
    if stacked.tilt_degrees > TILTED_FROM_DEGREES:
        facts["tilt_degrees"] = f"{stacked.tilt_degrees:.1f}"
    for name, count in (("localizers_left_out", series.localizers), ("copies_left_out", series.copies)):
        if count:
            facts[name] = str(count)
    return facts


def _where(path: Path, study_id: str) -> str:
    return f"study {study_id}, {path}" if study_id else str(path)
