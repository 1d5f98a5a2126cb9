"""Images of a header in lines of text and a block of voxels, behind it or in a file beside it: NRRD and MetaImage.

The header is read and checked before memory is set aside for voxels; nothing is run, and no file is opened that doesn't
lie in the header's own folder.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError
from dictamen.imaging.header import FEWEST_VOXELS_PER_AXIS, MOST_GZIP_RATIO, SPATIAL_AXES, Header, open_input
from dictamen.imaging.volume import SINGULAR_BELOW

LONGEST_HEADER = 1 << 18
"""Bytes; a segmentation of a hundred structures has 40 kB."""
CHUNK_BYTES = 1 << 20
ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS
"""zlib looks itself which of the two a stream is."""
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Block:
    """Where the voxels of an image lie.

    Attributes:
        path: the file that holds them.
        offset: bytes before them.
        shape: along x, y, z; the first varies fastest.
        dtype: with its byte order.
        packed: whether they are a stream of zlib or gzip.
    """

    path: Path
    offset: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    packed: bool

    @property
    def bytes(self) -> int:
        """Size of the voxels when unpacked."""
        return math.prod(self.shape) * self.dtype.itemsize

    def check_size(self, where: str) -> None:
        """Refuse a header that promises more voxels than the file can hold.

        Raises:
            InputError: it does, or the file is missing.
        """
        with open_input(self.path, where) as file:
            there = file.seek(0, 2) - self.offset
        if there * (MOST_GZIP_RATIO if self.packed else 1) < self.bytes:
            raise _too_short(where, f"{there:,}", self.bytes, packed=self.packed)

    def read(self, where: str) -> npt.NDArray[Any]:
        """Voxels [X, Y, Z], native byte order.

        Raises:
            InputError: damaged or truncated.
        """
        self.check_size(where)
        with open_input(self.path, where) as file:
            file.seek(self.offset)
            content = _unpacked(file, self.bytes, where) if self.packed else bytearray(file.read(self.bytes))
        if len(content) < self.bytes:
            raise _too_short(where, f"{len(content):,}", self.bytes, packed=self.packed)
        array = np.frombuffer(content, dtype=self.dtype).reshape(self.shape, order="F")
        return array.astype(self.dtype.newbyteorder("="), copy=False)


def read_lines(path: Path, where: str, *, until: tuple[bytes, ...]) -> tuple[list[str], int]:
    """The lines of a header, and where the voxels behind it begin.

    Args:
        until: the beginnings of the last line; an empty one: an empty line, or the end of the file.

    Raises:
        InputError: the file is missing, or no header ends within `LONGEST_HEADER`.
    """
    with open_input(path, where) as file:
        start = file.read(LONGEST_HEADER)
    lines, place = list[str](), 0
    while place < len(start):
        end = start.find(b"\n", place)
        end = len(start) if end < 0 else end
        line, place = start[place:end].rstrip(b"\r"), end + 1
        lines.append(line.decode("utf-8", errors="replace"))
        if any(line.startswith(last) if last else not line for last in until):
            return lines, place
    if b"" in until and len(start) < LONGEST_HEADER:
        return lines, place
    raise InputError("The header of the image has no end.", where=where, next_step="export the image again")


def beside(header: Path, name: str, where: str) -> Path:
    """The file of voxels that a header names, in the header's own folder.

    Raises:
        InputError: it names one elsewhere, or several.
    """
    unfit = any(sign in name for sign in "\\%\0")
    if not name or name != Path(name).name or unfit or name.upper().startswith("LIST"):
        raise InputError(
            "The header must name one file of voxels in its own folder.",
            where=where,
            got=name,
            next_step="save the image as one file: .nii.gz, .nrrd or .mha",
        )
    return header.parent / name


def header_of(block: Block, affine_lps: npt.NDArray[np.float64], names: Mapping[int, str] | None, where: str) -> Header:
    """The header of a block with its place in the patient, checked as that of a NIfTI.

    Raises:
        InputError: a 2D image, a singular or infinite affine, or a file too small for its voxels.
    """
    if min(block.shape) < FEWEST_VOXELS_PER_AXIS:
        raise InputError(
            "The image must be 3D; it's a 2D image.",
            where=where,
            got=block.shape,
            expected="(x, y, z), each at least 2",
        )
    affine = LPS_TO_RAS @ affine_lps
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < SINGULAR_BELOW:
        raise InputError("The affine is singular or not finite.", where=where, got=affine.tolist())
    block.check_size(where)
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return Header(block.shape, (x, y, z), affine, block.dtype, label_names=names, compressed=block.packed)


def three(values: object, what: str, where: str) -> npt.NDArray[np.float64]:
    """Three finite numbers.

    Raises:
        InputError: it's anything else.
    """
    try:
        found = np.array([float(value) for value in str(values).split()])
    except ValueError:
        found = np.zeros(0)
    if found.shape != (SPATIAL_AXES,) or not np.isfinite(found).all():
        raise InputError(f"The header's {what} must be three numbers.", where=where, got=str(values)[:100])
    return found


def sizes(text: str, where: str) -> tuple[int, int, int]:
    """Voxels along three axes.

    Raises:
        InputError: not three positive numbers.
    """
    found = three(text, "sizes", where)
    if (found < 1).any() or (found != np.rint(found)).any():
        raise InputError("The header's sizes must be positive.", where=where, got=text[:100])
    x, y, z = (int(size) for size in found)
    return x, y, z


def _unpacked(file: Any, wanted: int, where: str) -> bytearray:
    """At most so many bytes of a stream, whatever it would hold."""
    stream, content = zlib.decompressobj(ZLIB_OR_GZIP), bytearray()
    try:
        while len(content) < wanted and not stream.eof:
            chunk = stream.unconsumed_tail or file.read(CHUNK_BYTES)
            if not chunk:
                break
            content += stream.decompress(chunk, wanted - len(content))
    except zlib.error as error:
        raise InputError(
            "The compressed voxels are damaged.", where=where, next_step="copy or export the file again"
        ) from error
    return content


def _too_short(where: str, got: str, wanted: int, *, packed: bool) -> InputError:
    return InputError(
        "The file is too small for the voxels that its header announces: truncated or damaged.",
        where=where,
        got=f"{got} bytes",
        expected=f"{wanted:,} bytes{' before compression' if packed else ''}",
        next_step="copy or export the file again",
    )
