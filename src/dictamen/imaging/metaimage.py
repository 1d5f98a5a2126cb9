"""MetaImage, as ITK, elastix and many challenges write images: .mha, or .mhd with its voxels in a file beside it.

Format: https://itk.org/Wiki/ITK/MetaIO/Documentation
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError
from dictamen.imaging.header import SPATIAL_AXES, Header, place
from dictamen.imaging.voxel_block import Block, beside, header_of, read_lines, sizes, three

SUFFIXES = (".mha", ".mhd")
MAGIC = b"ObjectType"
"""With what ITK begins such a file; the format has no magic word."""
TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
SYNONYMS = {
    "Offset": ("Offset", "Position", "Origin"),
    "TransformMatrix": ("TransformMatrix", "Rotation", "Orientation"),
    "BinaryDataByteOrderMSB": ("BinaryDataByteOrderMSB", "ElementByteOrderMSB"),
}
LAST, LOCAL = "ElementDataFile", "LOCAL"


def read_header(path: Path, study_id: str = "") -> tuple[Header, Block]:
    """The header, and where the voxels are.

    Raises:
        InputError: not one 3D image of plain numbers, or a file too small for it.
    """
    where = place(path, study_id)
    lines, offset = read_lines(path, where, until=(LAST.encode(),))
    fields = {key.strip(): value.strip() for key, sign, value in (line.partition("=") for line in lines) if sign}
    if fields.get("ObjectType", "Image") != "Image" or fields.get("NDims") != str(SPATIAL_AXES):
        raise InputError(
            "The image must be 3D.",
            where=where,
            got=f"{fields.get('ObjectType', 'Image')} of {fields.get('NDims')} dimensions",
            next_step="save each time point as a file of its own",
        )
    channels, kind = fields.get("ElementNumberOfChannels", "1"), fields.get("ElementType", "")
    if channels != "1" or kind not in TYPES:
        raise InputError(
            "The voxels must be plain numbers.", where=where, got=f"{channels} channels of {kind or 'no type'}"
        )
    if fields.get("HeaderSize", "0") != "0" or not _is(fields, "BinaryData", default=True):
        raise InputError(
            "Voxels in this form can't be read.",
            where=where,
            got=f"HeaderSize {fields.get('HeaderSize', 0)}, BinaryData {fields.get('BinaryData', True)}",
            next_step="save the image again as .mha or .nii.gz",
        )
    elsewhere = fields.get(LAST, "")
    file, begin = (path, offset) if elsewhere.upper() == LOCAL else (beside(path, elsewhere, where), 0)
    block = Block(
        file,
        begin,
        sizes(fields.get("DimSize", ""), where),
        np.dtype(TYPES[kind]).newbyteorder(">" if _is(fields, "BinaryDataByteOrderMSB") else "<"),
        _is(fields, "CompressedData"),
    )
    return header_of(block, _affine(fields, where), None, where), block


def _is(fields: Mapping[str, str], key: str, *, default: bool = False) -> bool:
    given = _value(fields, key)
    return default if given is None else given[:1].upper() in ("T", "1")


def _value(fields: Mapping[str, str], key: str) -> str | None:
    return next((fields[name] for name in SYNONYMS.get(key, (key,)) if name in fields), None)


def _affine(fields: Mapping[str, str], where: str) -> npt.NDArray[np.float64]:
    """Voxel index -> mm, LPS; without a matrix the axes are those of the patient, as ITK takes them."""
    spacing = three(fields.get("ElementSpacing", fields.get("ElementSize")), "ElementSpacing", where)
    numbers = (_value(fields, "TransformMatrix") or "1 0 0 0 1 0 0 0 1").split()
    if len(numbers) != SPATIAL_AXES**2:
        raise InputError("The header's TransformMatrix must be nine numbers.", where=where, got=len(numbers))
    affine = np.eye(4)
    for axis in range(SPATIAL_AXES):
        direction = three(" ".join(numbers[3 * axis : 3 * axis + 3]), "TransformMatrix", where)
        affine[:3, axis] = direction * spacing[axis]
    affine[:3, 3] = three(_value(fields, "Offset") or "0 0 0", "Offset", where)
    return affine
