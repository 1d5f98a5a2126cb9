"""Reading an image or a label map, whatever its format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dictamen.imaging import metaimage, nifti, nrrd
from dictamen.imaging.dicom.series import ONLY
from dictamen.imaging.header import Header, looks_like_nifti, place
from dictamen.imaging.nifti import label_volume, refuse_not_finite
from dictamen.imaging.volume import Volume
from dictamen.imaging.voxel_block import Block

NIFTI_SUFFIXES = (".nii.gz", ".nii")
VOLUME_SUFFIXES = (*NIFTI_SUFFIXES, *nrrd.SUFFIXES, *metaimage.SUFFIXES)
"""Files of one volume, known by their names."""
DICOM_SUFFIXES = (".dcm", ".zip")
"""Files that may hold a whole series: enhanced multi-frame images and archives."""

_HeaderOf = Callable[[Path, str], tuple[Header, Block]]


def is_volume_file(path: Path) -> bool:
    """Whether a file is one volume: by its name, or where that has no known ending, by its first bytes."""
    name = path.name.lower()
    if name.endswith(VOLUME_SUFFIXES):
        return True
    if name.endswith(DICOM_SUFFIXES) or not path.is_file():
        return False
    return _by_content(path) is not None or looks_like_nifti(path)


def is_dicom(path: Path) -> bool:
    """Whether `path` is to be read as DICOM: a folder, an archive, or a file that is nothing else."""
    return path.is_dir() or not is_volume_file(path)


def read_image(path: Path, study_id: str = "", *, series: str = ONLY, modality: str | None = None) -> Volume:
    """Read a NIfTI, NRRD or MetaImage file, or a DICOM series of a folder, a zip archive or a multi-frame file.

    Raises:
        InputError: as `read_image_header`; voxels that are damaged, NaN or infinite.
    """
    if not is_dicom(path):
        return _read_volume(path, study_id)
    from dictamen.imaging.dicom.volume import read_dicom

    return read_dicom(path, study_id, series=series, modality=modality)


def read_label_map(path: Path, study_id: str = "") -> Volume:
    """Read a label map: array [1, X, Y, Z] of the smallest of uint8, uint16 and int32 that holds its values.

    Raises:
        InputError: as `read_image`, or voxels that are no integers from 0 on.
    """
    return label_volume(_read_volume(path, study_id), place(path, study_id))


def read_image_header(path: Path, study_id: str = "", *, series: str = ONLY) -> Header:
    """Shape, spacing, affine and names of labels of what `read_image` would give.

    Raises:
        InputError: as `header.read_header`, `nrrd.read_header`, `metaimage.read_header` and `dicom.volume.read_dicom`.
    """
    if is_dicom(path):
        from dictamen.imaging.dicom.volume import read_dicom_header

        return read_dicom_header(path, study_id, series=series)
    read = _other_format(path)
    return read(path, study_id)[0] if read else nifti.read_header(path, study_id)


def _read_volume(path: Path, study_id: str) -> Volume:
    read = _other_format(path)
    if read is None:
        return nifti.read_volume(path, study_id)
    where = place(path, study_id)
    header, block = read(path, study_id)
    array = block.read(where)
    refuse_not_finite(array, where)
    return Volume(array[None], header.affine, study_id, remarks=header.remarks)


def _other_format(path: Path) -> _HeaderOf | None:
    """How the header of a file that is no NIfTI is read; None for a NIfTI."""
    name = path.name.lower()
    if name.endswith(nrrd.SUFFIXES):
        return nrrd.read_header
    if name.endswith(metaimage.SUFFIXES):
        return metaimage.read_header
    return None if name.endswith(NIFTI_SUFFIXES) else _by_content(path)


def _by_content(path: Path) -> _HeaderOf | None:
    try:
        with path.open("rb") as file:
            start = file.read(max(len(nrrd.MAGIC), len(metaimage.MAGIC)))
    except OSError:
        return None
    if start.startswith(nrrd.MAGIC):
        return nrrd.read_header
    return metaimage.read_header if start.startswith(metaimage.MAGIC) else None
