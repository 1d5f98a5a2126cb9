"""NRRD, as 3D Slicer writes images and segmentations: .nrrd, or .nhdr with its voxels in a file beside it.

Format: https://teem.sourceforge.net/nrrd/format.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError
from dictamen.imaging.header import SPATIAL_AXES, Header, place
from dictamen.imaging.voxel_block import Block, beside, header_of, read_lines, sizes, three

SUFFIXES = (".nrrd", ".nhdr")
MAGIC = b"NRRD000"
SPACES = {
    "left-posterior-superior": (1, 1),
    "lps": (1, 1),
    "right-anterior-superior": (-1, -1),
    "ras": (-1, -1),
    "left-anterior-superior": (1, -1),
    "las": (1, -1),
}
"""Name of a space -> the signs of its first two axes towards left and posterior."""
TYPES = {
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i1": ("signed char", "int8", "int8_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
"""numpy's name -> the format's."""
ENCODINGS = {"raw": False, "gzip": True, "gz": True}
VECTOR = re.compile(r"\(([^()]*)\)")
SEGMENT = re.compile(r"Segment(\d+)_(LabelValue|Name|Layer)")


def read_header(path: Path, study_id: str = "") -> tuple[Header, Block]:
    """The header, and where the voxels are.

    Raises:
        InputError: not one 3D image of plain numbers with a place in the patient, or a file too small for it.
    """
    where = place(path, study_id)
    lines, offset = read_lines(path, where, until=(b"",))
    if not lines or not lines[0].encode().startswith(MAGIC):
        raise InputError("The file is not an NRRD.", where=where, expected="NRRD0001 to NRRD0005")
    fields, pairs = _fields(lines)
    if fields.get("dimension") != str(SPATIAL_AXES):
        raise InputError(
            "The image must be 3D.",
            where=where,
            got=f"dimension {fields.get('dimension')}",
            next_step="save each time point, channel or overlapping segment as a file of its own",
        )
    encoding = fields.get("encoding", "").lower()
    if encoding not in ENCODINGS or fields.get("byte skip", "0") != "0" or fields.get("line skip", "0") != "0":
        raise InputError(
            "Voxels in this form can't be read.",
            where=where,
            got=f"encoding {encoding}, byte skip {fields.get('byte skip', 0)}, line skip {fields.get('line skip', 0)}",
            expected="raw or gzip, nothing skipped",
            next_step="save the image with 3D Slicer",
        )
    elsewhere = fields.get("data file", fields.get("datafile"))
    file, begin = (path, offset) if elsewhere is None else (beside(path, elsewhere, where), 0)
    block = Block(file, begin, sizes(fields.get("sizes", ""), where), _type(fields, where), ENCODINGS[encoding])
    return header_of(block, _affine(fields, where), _names(pairs), where), block


def _fields(lines: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Fields ("key: value") in lower case, and key/value pairs ("key:=value")."""
    fields, pairs = dict[str, str](), dict[str, str]()
    for line in lines[1:]:
        if line.startswith("#"):
            continue
        pair, field = line.find(":="), line.find(": ")
        if pair >= 0 and (field < 0 or pair < field):
            pairs[line[:pair]] = line[pair + 2 :]
        elif field >= 0:
            fields[line[:field].strip().lower()] = line[field + 2 :].strip()
    return fields, pairs


def _type(fields: Mapping[str, str], where: str) -> np.dtype[np.generic]:
    given, order = fields.get("type", "").lower(), fields.get("endian", "little").lower()
    found = next((name for name, called in TYPES.items() if given in called), None)
    if found is None or order not in ("little", "big"):
        raise InputError("The voxels must be plain numbers.", where=where, got=f"type {given}, endian {order}"[:100])
    return np.dtype(found).newbyteorder("<" if order == "little" else ">")


def _affine(fields: Mapping[str, str], where: str) -> npt.NDArray[np.float64]:
    """Voxel index -> mm, LPS."""
    space = fields.get("space", "").lower()
    directions = VECTOR.findall(fields.get("space directions", ""))
    origin = VECTOR.findall(fields.get("space origin", ""))
    if space not in SPACES or len(directions) != SPATIAL_AXES or len(origin) != 1:
        raise InputError(
            "The header does not say where the image lies in the patient.",
            where=where,
            got=f"space {space or 'not given'}, {len(directions)} directions",
            expected="a space like left-posterior-superior, three space directions, a space origin",
            next_step="save the image with 3D Slicer",
        )
    affine = np.eye(4)
    for axis, vector in enumerate([*directions, *origin]):
        affine[:3, axis] = three(vector.replace(",", " "), "space directions and origin", where)
    left, posterior = SPACES[space]
    turned: npt.NDArray[np.float64] = np.diag([left, posterior, 1.0, 1.0]) @ affine
    return turned


def _names(pairs: Mapping[str, str]) -> dict[int, str] | None:
    """Label value -> name of a segmentation of 3D Slicer."""
    segments: dict[str, dict[str, str]] = {}
    for key, value in pairs.items():
        if found := SEGMENT.fullmatch(key):
            segments.setdefault(found[1], {})[found[2]] = value.strip()
    names = {
        int(one["LabelValue"]): one["Name"]
        for one in segments.values()
        if one.get("LabelValue", "").isascii() and one.get("LabelValue", "").isdigit() and one.get("Name")
    }
    return names or None
