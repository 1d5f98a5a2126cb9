"""Reading an image or a label map, whatever its format."""

from __future__ import annotations

from pathlib import Path

from dictamen.imaging import nifti
from dictamen.imaging.dicom.series import ONLY
from dictamen.imaging.header import Header
from dictamen.imaging.volume import Volume

NIFTI_SUFFIXES = (".nii", ".nii.gz")
DICOM_SUFFIXES = (".dcm", ".zip")
"""Files that may hold a whole series: enhanced multi-frame images and archives."""


def is_dicom(path: Path) -> bool:
    """Whether `path` is to be read as DICOM: a folder, an archive, or a file that is no NIfTI by name."""
    return path.is_dir() or not path.name.lower().endswith(NIFTI_SUFFIXES)


def read_image(path: Path, study_id: str = "", *, series: str = ONLY, modality: str | None = None) -> Volume:
    """Read a NIfTI file, or a DICOM series of a folder, a zip archive or a multi-frame file.

    Raises:
        InputError: as `nifti.read_volume` and `dicom.volume.read_dicom`.
    """
    if not is_dicom(path):
        return nifti.read_volume(path, study_id)
    from dictamen.imaging.dicom.volume import read_dicom

    return read_dicom(path, study_id, series=series, modality=modality)


def read_image_header(path: Path, study_id: str = "", *, series: str = ONLY) -> Header:
    """Shape, spacing and affine of what `read_image` would give.

    Raises:
        InputError: as there, but for the voxels.
    """
    if not is_dicom(path):
        return nifti.read_header(path, study_id)
    from dictamen.imaging.dicom.volume import read_dicom_header

    return read_dicom_header(path, study_id, series=series)
