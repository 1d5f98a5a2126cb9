"""Label tables in NIfTI header extensions, as TotalSegmentator and Connectome Workbench write them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

EXTENDER_BYTES = 4
EXTENSION_HEAD_BYTES = 8
"""Size and code of each extension, two int32."""
FORBIDDEN = (b"<!DOCTYPE", b"<!ENTITY")
"""A label table needs neither; entities can make a small file huge."""


def read_label_names(extensions: bytes, order: str = "little") -> dict[int, str] | None:
    """Label value -> name from the bytes between NIfTI header and voxels; None without a readable table.

    Args:
        extensions: starting with the 4 bytes that say whether there is any.
        order: "little" or "big" endian.
    """
    for content in _contents(extensions, order):
        names = _parse(content)
        if names:
            return names
    return None


def label_table(names: Mapping[int, str]) -> bytes:
    """The table as an XML extension, in the form that TotalSegmentator writes."""
    root = ElementTree.Element("CaretExtension")
    volume = ElementTree.SubElement(root, "VolumeInformation", Index="0")
    table = ElementTree.SubElement(volume, "LabelTable")
    for value, name in sorted(names.items()):
        ElementTree.SubElement(table, "Label", Key=str(value), Red="1", Green="1", Blue="1", Alpha="1").text = name
    return bytes(ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True))


def _contents(extensions: bytes, order: str) -> Iterator[bytes]:
    if len(extensions) < EXTENDER_BYTES or extensions[0] == 0:
        return
    start, form = EXTENDER_BYTES, "<ii" if order == "little" else ">ii"
    while start + EXTENSION_HEAD_BYTES <= len(extensions):
        size, _code = struct.unpack_from(form, extensions, start)
        if size <= EXTENSION_HEAD_BYTES:
            return
        yield extensions[start + EXTENSION_HEAD_BYTES : start + size]
        start += size


def _parse(content: bytes) -> dict[int, str] | None:
    if b"<Label" not in content or any(word in content for word in FORBIDDEN):
        return None
    try:
        root = ElementTree.fromstring(content.rstrip(b"\0 \r\n"))
        pairs = [(int(label.attrib["Key"]), (label.text or "").strip()) for label in root.iter("Label")]
    except (ElementTree.ParseError, KeyError, ValueError):
        return None
    return {value: name for value, name in pairs if value > 0 and name}
