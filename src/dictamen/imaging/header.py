"""NIfTI headers, checked before a single voxel is read or any memory is set aside for voxels.

Format: https://nifti.nimh.nih.gov/nifti-1 and nifti-2. The bytes are decoded by nibabel; the checks are ours.
"""

from __future__ import annotations

import gzip
import itertools
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError
from dictamen.imaging.label_names import EXTENDER_BYTES, read_label_names
from dictamen.imaging.volume import SINGULAR_BELOW, AffineArray

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

HEADER_BYTES = {1: 348, 2: 540}
"""Size of the fixed header by version of the format."""
UNSCALED = (1.0, 0.0)
"""Slope and intercept of voxels that are meant as stored."""
MOST_EXTENSION_BYTES = 1 << 18
"""Label tables of a hundred structures take 13 kB; more than 256 kB of extensions aren't looked at."""
MOST_GZIP_RATIO = 1032
"""Deflate can't shrink data by more than this (zlib's own documentation)."""
MAGIC_AT = {1: 344, 2: 4}
"""Where the magic word lies, by version."""
MAGICS = (b"n+1", b"n+2", b"ni1", b"ni2")
"""Of one file, and of files split into .hdr and .img, which are refused with a reason."""
GZIP_MAGIC = b"\x1f\x8b"
FEWEST_VOXELS_PER_AXIS = 2
"""One slice is a 2D image, whatever its header says."""
SPATIAL_AXES = 3
APART_FROM = 0.5
"""Part of a voxel by which sform and qform may differ: both are rounded."""
MILLIMETRES_PER_UNIT = {1: 1000.0, 3: 0.001}
"""NIfTI codes of metre and micrometre; millimetre (2) and unknown (0) are taken as millimetres."""
READABLE_TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
"""NIfTI datatype code -> numpy type, one number a voxel."""
OTHER_TYPES = {
    1: "binary",
    32: "complex64",
    128: "RGB",
    1536: "float128",
    1792: "complex128",
    2048: "complex256",
    2304: "RGBA",
}


@dataclass(frozen=True)
class Header:
    """What a NIfTI header says, after all checks.

    Args:
        shape: voxels along x, y, z.
        spacing_mm: distance between voxel centres along each array axis.
        affine: 4x4, voxel index to mm, RAS+; sform if its code is set, else qform, else the voxel sizes (as nibabel).
        dtype: of the voxels on disk, before slope and intercept.
        channels: always 1 for now; images with more are refused.
        label_names: label value -> name where the header's extension has a label table, else None.
        compressed: whether the file is a gzip stream, whatever its name.
        data_bytes: size of header and voxels when uncompressed.
        data_offset: where the voxels begin in the uncompressed file.
        scaling: slope and intercept to apply to the voxels.
        remarks: see `Volume`.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    affine: AffineArray
    dtype: np.dtype[Any]
    channels: int = 1
    label_names: Mapping[int, str] | None = None
    compressed: bool = field(default=False, compare=False)
    data_bytes: int = field(default=0, compare=False)
    data_offset: int = field(default=0, compare=False)
    scaling: tuple[float, float] = field(default=UNSCALED, compare=False)
    remarks: tuple[str, ...] = field(default=(), compare=False)


def read_header(path: Path, study_id: str = "") -> Header:
    """Read and check the header of a .nii or .nii.gz file; at most some kB are read.

    Raises:
        InputError: missing or unreadable file, not a NIfTI, not one 3D image of plain numbers, spacing not positive,
            singular affine, or a voxel count that the file can't hold.
    """
    where = place(path, study_id)
    with open_input(path, where) as file:
        size = path.stat().st_size
        compressed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        raw, extensions = _read_bytes(gzip.GzipFile(fileobj=file) if compressed else file, where)
    header = _decode(raw, where)
    shape = _shape(header, where)
    dtype = _dtype(header, where)
    offset = max(int(header["vox_offset"]), len(raw) + EXTENDER_BYTES)
    data_bytes = offset + math.prod(shape) * dtype.itemsize
    _check_size(size, data_bytes, compressed=compressed, shape=shape, where=where)
    affine = _affine(header, where)
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return Header(
        shape,
        (x, y, z),
        affine,
        dtype,
        label_names=read_label_names(extensions, _order(header)),
        compressed=compressed,
        data_bytes=data_bytes,
        data_offset=offset,
        scaling=_scaling(header, where),
        remarks=_remarks(header, shape, min(x, y, z)),
    )


def looks_like_nifti(path: Path) -> bool:
    """Whether a file, compressed or not, begins with the header of a NIfTI, whatever its name."""
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            start = (gzip.GzipFile(fileobj=file) if compressed else file).read(HEADER_BYTES[2])
    except (OSError, EOFError, zlib.error):
        return False
    sizes = {int.from_bytes(start[:4], order) for order in ("little", "big")}
    places = [MAGIC_AT[version] for version, size in HEADER_BYTES.items() if size in sizes]
    return any(start[at : at + len(magic)] == magic for at in places for magic in MAGICS)


def place(path: Path, study_id: str) -> str:
    """Where an error happened: study and file."""
    return f"study {study_id}, {path}" if study_id else str(path)


def open_input(path: Path, where: str) -> BinaryIO:
    """Open a file to read.

    Raises:
        InputError: it's missing, a folder, or not readable.
    """
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise InputError("The file does not exist.", where=where) from None
    except IsADirectoryError:
        raise InputError("The path is a folder.", where=where, expected="a .nii or .nii.gz file") from None
    except OSError as error:
        raise InputError("The file can't be read.", where=where, got=error.strerror) from error


def _read_bytes(stream: BinaryIO | gzip.GzipFile, where: str) -> tuple[bytes, bytes]:
    """The fixed header, and the bytes of its extensions up to a limit."""
    try:
        raw = stream.read(HEADER_BYTES[1])
        size = {int.from_bytes(raw[:4], "little"), int.from_bytes(raw[:4], "big")}
        if HEADER_BYTES[2] in size:
            raw += stream.read(HEADER_BYTES[2] - HEADER_BYTES[1])
        if not raw:
            raise InputError("The file is empty.", where=where, expected="a NIfTI file")
        if not size & set(HEADER_BYTES.values()) or len(raw) not in HEADER_BYTES.values():
            raise InputError(
                "The file is not a NIfTI.", where=where, expected=".nii or .nii.gz", next_step="convert it to NIfTI"
            )
        offset = int(_decode(raw, where)["vox_offset"])
        return raw, stream.read(min(max(offset - len(raw), 0), MOST_EXTENSION_BYTES))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            "The gzip stream is damaged or truncated.", where=where, next_step="copy or export the file again"
        ) from error


def _decode(raw: bytes, where: str) -> Nifti1Header:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    kind = Nifti2Header if len(raw) == HEADER_BYTES[2] else Nifti1Header
    little = int.from_bytes(raw[:4], "little") == len(raw)
    header = kind(raw, endianness="<" if little else ">", check=False)
    magic = bytes(header["magic"]).rstrip(b"\0")[:3]
    if magic in (b"ni1", b"ni2"):
        raise InputError(
            "The NIfTI is split into .hdr and .img.", where=where, next_step="convert it to one .nii.gz file"
        )
    if magic not in (b"n+1", b"n+2"):
        raise InputError("The file is not a NIfTI.", where=where, got=f"magic {magic!r}", expected="n+1 or n+2")
    offset = float(header["vox_offset"])
    if not (math.isfinite(offset) and offset >= 0):
        raise InputError(
            "The NIfTI header is damaged: its data offset is no place in the file.", where=where, got=offset
        )
    return header


def _order(header: Nifti1Header) -> str:
    return "little" if header.endianness == "<" else "big"


def _shape(header: Nifti1Header, where: str) -> tuple[int, int, int]:
    dim = [int(n) for n in header["dim"]]
    axes = dim[0]
    if not 1 <= axes < len(dim) or any(n < 1 for n in dim[1 : axes + 1]):
        raise InputError("The NIfTI header is damaged: dimensions must be positive.", where=where, got=dim)
    sizes = dim[1 : axes + 1]
    if any(n > 1 for n in sizes[SPATIAL_AXES:]):
        raise InputError(
            f"The image must be 3D; it has {sum(n > 1 for n in sizes)} dimensions.",
            where=where,
            got=tuple(sizes),
            expected="(x, y, z)",
            next_step="save each time point or channel as a file of its own",
        )
    if axes < SPATIAL_AXES or min(sizes[:SPATIAL_AXES]) < FEWEST_VOXELS_PER_AXIS:
        raise InputError(
            "The image must be 3D; it's a 2D image.",
            where=where,
            got=tuple(sizes),
            expected="(x, y, z), each at least 2",
        )
    x, y, z = sizes[:SPATIAL_AXES]
    return x, y, z


def _dtype(header: Nifti1Header, where: str) -> np.dtype[Any]:
    code = int(header["datatype"])
    if code not in READABLE_TYPES:
        raise InputError(
            "The voxels must be plain numbers.",
            where=where,
            got=OTHER_TYPES.get(code, f"datatype code {code}"),
            expected="integer or float voxels",
            next_step="convert the image",
        )
    dtype = np.dtype(READABLE_TYPES[code]).newbyteorder(header.endianness)
    if int(header["bitpix"]) != dtype.itemsize * 8:
        raise InputError(
            "The NIfTI header contradicts itself on the size of a voxel.",
            where=where,
            got=f"{int(header['bitpix'])} bits",
            expected=f"{dtype.itemsize * 8} bits",
        )
    return dtype


def _scaling(header: Nifti1Header, where: str) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 or NaN means none (NIfTI standard, and what nibabel writes)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or math.isnan(slope):
        return UNSCALED
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise InputError("Slope and intercept of the voxels must be finite.", where=where, got=(slope, intercept))
    return slope, intercept


def _check_size(size: int, data_bytes: int, *, compressed: bool, shape: tuple[int, ...], where: str) -> None:
    """Refuse a header that promises more voxels than the file can hold."""
    if size * (MOST_GZIP_RATIO if compressed else 1) >= data_bytes:
        return
    raise InputError(
        "The file is too small for the voxels that its header announces: truncated or damaged.",
        where=where,
        got=f"{size:,} bytes for {' x '.join(map(str, shape))} voxels",
        expected=f"{data_bytes:,} bytes{' before compression' if compressed else ''}",
        next_step="copy or export the file again",
    )


def _affine(header: Nifti1Header, where: str) -> AffineArray:
    pixdim = np.asarray(header["pixdim"][1:4], dtype=float)
    if not (np.isfinite(pixdim).all() and (pixdim > 0).all()):
        raise InputError(
            "The spacing must be three positive numbers.",
            where=where,
            got=tuple(pixdim.tolist()),
            expected="mm, each > 0",
        )
    affine = _best_affine(header, where)
    affine[:3] *= MILLIMETRES_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < SINGULAR_BELOW:
        raise InputError(
            "The affine is singular or not finite.",
            where=where,
            got=affine.tolist(),
            next_step="repair sform and qform of the header",
        )
    return affine


def _best_affine(header: Nifti1Header, where: str) -> npt.NDArray[np.float64]:
    try:
        return np.array(header.get_best_affine(), dtype=np.float64)
    except ValueError as error:
        raise InputError(
            "The quaternion of the qform is not a rotation.",
            where=where,
            next_step="repair sform and qform of the header",
        ) from error


def _remarks(header: Nifti1Header, shape: tuple[int, ...], voxel_mm: float) -> tuple[str, ...]:
    """Where sform and qform contradict each other, or both are missing, left and right may be wrong."""
    sform, qform = header.get_sform(coded=True), _qform(header)
    if sform[1] == 0 and qform[1] == 0:
        return ("The NIfTI header has neither sform nor qform: the directions of its axes are a guess",)
    if sform[0] is None or qform[0] is None:
        return ()
    corners = np.array(list(itertools.product(*((0, n - 1) for n in shape), (1,))), dtype=float)
    apart = float(np.linalg.norm((corners @ (sform[0] - qform[0]).T)[:, :3], axis=1).max())
    apart *= MILLIMETRES_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    if apart <= voxel_mm * APART_FROM:
        return ()
    return (f"sform and qform of the NIfTI header put the image up to {apart:.1f} mm apart: the sform is taken",)


def _qform(header: Nifti1Header) -> tuple[npt.NDArray[np.float64] | None, int]:
    try:
        found: tuple[npt.NDArray[np.float64] | None, int] = header.get_qform(coded=True)
    except ValueError:  # no rotation; the sform is what counts then
        return None, int(header["qform_code"])
    return found
