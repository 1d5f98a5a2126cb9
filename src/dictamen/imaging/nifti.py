"""Reading and writing NIfTI volumes. SimpleITK reads the voxels (several times faster than nibabel); the affine
always comes from our own reading of the header, in RAS+."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError
from dictamen.files import atomic_path
from dictamen.imaging.header import UNSCALED, Header, open_input, place, read_header
from dictamen.imaging.label_names import label_table
from dictamen.imaging.volume import Volume

__all__ = ["Header", "label_volume", "read_header", "read_volume", "refuse_not_finite", "write_volume"]

GZIP_LEVEL = 1
"""Level 1 writes CT four times faster than the usual 6 for files 5-10 % larger."""
CHUNK_BYTES = 1 << 20
"""So much is decompressed at a time when only the length matters."""
GZIP_SIZE_MODULUS = 1 << 32
"""The trailer of a gzip stream holds the uncompressed size modulo this."""
LARGEST_AXIS = 32767
"""NIfTI-1 counts voxels along an axis in int16."""
WRITTEN_AS = {"b1": "u1", "f2": "f4"}
"""numpy kinds that NIfTI hasn't -> what they are written as, without loss."""
ORTHOGONAL_TOLERANCE = 1e-4
"""Cosine between axes up to which a qform (rotation and spacing) can hold the affine; float32 headers round by 1e-7."""


def read_volume(path: Path, study_id: str = "") -> Volume:
    """Read an image with slope and intercept applied: array [1, X, Y, Z] in the file's own orientation, native
    byte order; integers stay integers where there is no slope.

    Raises:
        InputError: whatever `read_header` refuses; a truncated file; NaN or infinite voxels.
    """
    path = Path(path)
    header = read_header(path, study_id)
    array = _read_voxels(path, header, place(path, study_id))
    refuse_not_finite(array, place(path, study_id))
    return Volume(array[None], header.affine, study_id, remarks=header.remarks)


def refuse_not_finite(array: npt.NDArray[Any], where: str) -> None:
    """Refuse an image of which parts mean nothing.

    Raises:
        InputError: NaN or infinite voxels.
    """
    if array.dtype.kind == "f" and (bad := int(array.size - np.count_nonzero(np.isfinite(array)))):
        raise InputError(
            f"The image has {bad:,} voxels that are NaN or infinite.",
            where=where,
            got=f"{bad:,} of {array.size:,} voxels",
            expected="finite numbers",
            next_step="repair or leave out the study",
        )


def label_volume(volume: Volume, where: str) -> Volume:
    """A volume of labels in the smallest of uint8, uint16 and int32 that holds its values.

    Raises:
        InputError: voxels that are no integers from 0 on.
    """
    array: npt.NDArray[Any] = volume.array
    if array.dtype.kind == "f":
        whole = np.rint(array)
        if bad := int(np.count_nonzero(whole != array)):
            raise InputError(
                "The label map has voxels that are not integers.",
                where=where,
                got=f"{bad:,} voxels",
                expected="integer labels",
            )
        array = whole
    lo, hi = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if lo < 0 or hi > np.iinfo(np.int32).max:
        raise InputError(
            "The label map has values out of range.", where=where, got=f"{lo} to {hi}", expected="0 and above"
        )
    dtype = next(kind for kind in (np.uint8, np.uint16, np.int32) if hi <= np.iinfo(kind).max)
    return replace(volume, array=array.astype(dtype, copy=False))


def write_volume(volume: Volume, path: Path, *, label_names: Mapping[int, str] | None = None) -> None:
    """Write one channel as .nii or .nii.gz, atomically, with sform and qform, in the array's own type.

    Args:
        volume: array [1, X, Y, Z].
        path: ends in .nii or .nii.gz.
        label_names: written as a label table into the header, for viewers and for `read_header`.

    Raises:
        InputError: more than one channel, an axis or a type that NIfTI can't hold.
        ResourceError: disk full or folder not writable; an older file stays as it was.
    """
    from nibabel.nifti1 import Nifti1Extension

    path = Path(path)
    image = _image(volume, place(path, volume.study_id))
    if label_names:
        image.header.extensions.append(Nifti1Extension(0, label_table(label_names)))
    data = image.to_bytes()
    with atomic_path(path) as temporary:
        if path.name.endswith(".gz"):
            # no time and no (temporary) name in the header: the same volume gives the same bytes
            temporary.write_bytes(gzip.compress(data, compresslevel=GZIP_LEVEL, mtime=0))
        else:
            temporary.write_bytes(data)


def _image(volume: Volume, where: str) -> Any:
    from nibabel.nifti1 import Nifti1Image

    if volume.array.shape[0] != 1:
        raise InputError("A NIfTI is written with one channel.", where=where, got=volume.array.shape)
    if max(volume.shape) > LARGEST_AXIS:
        raise InputError(
            "An axis is too long for NIfTI.", where=where, got=volume.shape, expected=f"at most {LARGEST_AXIS}"
        )
    array = _writable(volume.array[0], where)
    image = Nifti1Image(array, volume.affine, dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.affine, code=1)
    image.set_qform(volume.affine, code=1 if _is_orthogonal(volume.affine) else 0)
    return image


def _writable(array: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    kind = array.dtype.str[1:]
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > np.dtype("f8").itemsize:
        raise InputError(
            "NIfTI can't hold this type of voxel.", where=where, got=array.dtype, expected="integers or floats"
        )
    return array.astype(WRITTEN_AS.get(kind, kind), copy=False)


def _is_orthogonal(affine: npt.NDArray[np.float64]) -> bool:
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() < ORTHOGONAL_TOLERANCE)


def _read_voxels(path: Path, header: Header, where: str) -> npt.NDArray[Any]:
    """Voxels [X, Y, Z], slope and intercept applied, native byte order."""
    if header.compressed:
        _check_gzip_length(path, header, where)
    # ITK turns NaN and infinite voxels into 0 without a word, and it trusts the ending of the name
    by_simpleitk = header.dtype.kind != "f" and _is_named_right(path, header)
    array = _read_with_simpleitk(path, header) if by_simpleitk else None
    return array if array is not None else _read_with_nibabel(path, header, where)


def _is_named_right(path: Path, header: Header) -> bool:
    return header.compressed == path.name.lower().endswith(".gz")


def _check_gzip_length(path: Path, header: Header, where: str) -> None:
    """Make sure that all voxels are in the gzip stream, before memory for them is set aside.

    The size in the trailer proves it in the usual case; a stream of several members, or one that goes on behind the
    voxels, is read through once.
    """
    with open_input(path, where) as file:
        file.seek(-4, io.SEEK_END)
        if int.from_bytes(file.read(4), "little") == header.data_bytes % GZIP_SIZE_MODULUS:
            return
        file.seek(0)
        length = _gzip_length(gzip.GzipFile(fileobj=file), limit=header.data_bytes)
    if length < header.data_bytes:
        raise InputError(
            "The gzip stream is damaged or truncated.",
            where=where,
            got=f"{length:,} bytes",
            expected=f"{header.data_bytes:,} bytes",
            next_step="copy or export the file again",
        )


def _gzip_length(stream: gzip.GzipFile, limit: int) -> int:
    length = 0
    try:
        while length < limit and (chunk := stream.read(min(CHUNK_BYTES, limit - length))):
            length += len(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        pass  # what could be read is what counts
    return length


def _read_with_simpleitk(path: Path, header: Header) -> npt.NDArray[Any] | None:
    """Voxels [X, Y, Z], or None where ITK refuses the file (sheared axes, for one)."""
    import SimpleITK

    shown = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)  # ITK warns on stderr of sforms that we read ourselves
    try:
        image = SimpleITK.ReadImage(str(path), imageIO="NiftiImageIO")
    except RuntimeError:
        return None
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(shown)
    return np.asarray(SimpleITK.GetArrayFromImage(image)).T.reshape(header.shape, order="A")


def _read_with_nibabel(path: Path, header: Header, where: str) -> npt.NDArray[Any]:
    from nibabel.arrayproxy import ArrayProxy

    try:
        with open_input(path, where) as file, gzip.GzipFile(fileobj=file) if header.compressed else file as stream:
            layout = (header.shape, header.dtype, header.data_offset, *header.scaling)
            proxy = ArrayProxy(stream, layout, mmap=False)
            array = np.asanyarray(proxy) if header.scaling == UNSCALED else np.asarray(proxy, dtype=np.float32)
    except (EOFError, zlib.error, OSError, ValueError) as error:
        raise InputError(
            "The voxels can't be read.",
            where=where,
            got=type(error).__name__,
            next_step="convert or export the file again",
        ) from error
    return np.asarray(array, dtype=array.dtype.newbyteorder("="))
