"""Where DICOM objects lie: plain files, folders at any depth, and zip archives, which are read in place."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dictamen.errors import InputError

PREAMBLE_BYTES = 128
MAGIC = b"DICM"
ZIP_SUFFIX = ".zip"
LARGEST_MEMBER_BYTES = 4 << 30
"""An enhanced multi-frame CT of 4000 slices; a larger member of an archive is refused before it is unpacked."""
MOST_ZIP_RATIO = 1032
"""Deflate can't shrink data by more (zlib's own documentation): a header that says so lies."""
DICOMDIR = "DICOMDIR"
"""An index of other files, on discs: has the magic, but no image."""
FIRST_GROUPS, LAST_FIRST_ELEMENT = (0x0002, 0x0008), 0x0018
"""With what an object begins that was stored without preamble and magic: groups, and the highest element of them."""
FIRST_TYPES = frozenset({b"UL", b"OB", b"CS", b"DA", b"TM", b"UI", b"SH"})
LONGEST_FIRST_VALUE = 256
"""Bytes of its first value."""


@dataclass(frozen=True, order=True)
class Part:
    """A file, or a member of a zip archive.

    Attributes:
        path: of the file or archive.
        member: name inside the archive; it is only ever read, never used as a path.
    """

    path: Path
    member: str = ""

    @property
    def folders(self) -> tuple[str, ...]:
        """Names of the folders that hold it, an archive and the folders inside it among them."""
        inside = (self.path.name, *_clean(self.member)[:-1]) if self.member else ()
        return (*self.path.parent.parts, *inside)

    def __str__(self) -> str:
        return f"{self.path}: {self.member}" if self.member else str(self.path)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The bytes, seekable.

        Raises:
            InputError: missing, not readable, a damaged or encrypted archive, or a member that announces too much.
        """
        try:
            if not self.member:
                with self.path.open("rb") as file:
                    yield file
                return
            with zipfile.ZipFile(self.path) as archive:
                content = _unpacked(archive, archive.getinfo(self.member), self)
            yield io.BytesIO(content)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError) as error:
            raise InputError("The file can't be read.", where=self, got=_reason(error)) from error


def parts(path: Path, unreadable: list[InputError]) -> Iterator[Part]:
    """DICOM objects of a file, a zip archive or a folder, by name; other files are passed over without a word.

    Links to folders are not followed, hidden files and folders are left out.

    Args:
        unreadable: gets an error for each archive that can't be read.
    """
    for file in _files(path):
        if file.suffix.lower() == ZIP_SUFFIX:
            try:
                yield from _members(file)
            except InputError as error:
                unreadable.append(error)
        elif not _is_index(file.name) and _is_dicom_file(file):
            yield Part(file)


def fingerprint(path: Path) -> str:
    """Changes when a file below `path` comes, goes or changes."""
    digest = hashlib.sha256()
    for file in _files(path):
        try:
            facts = file.stat()
        except OSError:  # gone, or a link to nothing
            continue
        digest.update(f"{file}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, below, names in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _is_dicom_file(path: Path) -> bool:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for ever
            return False
        with path.open("rb") as file:
            return _is_dicom(file.read(PREAMBLE_BYTES + len(MAGIC)))
    except OSError:
        return False


def indexed(path: Path) -> Path:
    """The folder that is meant by a DICOMDIR; any other path as it is."""
    return path.parent if _is_index(path.name) and path.is_file() else path


def _is_index(name: str) -> bool:
    return name.upper() == DICOMDIR


def _is_dicom(start: bytes) -> bool:
    return start[PREAMBLE_BYTES:] == MAGIC or has_no_preamble(start)


def has_no_preamble(start: bytes) -> bool:
    """Whether these first bytes are those of an object as old archives store it: its elements and nothing before."""
    if len(start) < PREAMBLE_BYTES or start[PREAMBLE_BYTES : PREAMBLE_BYTES + len(MAGIC)] == MAGIC:
        return False
    group, element = (int.from_bytes(start[at : at + 2], "little") for at in (0, 2))
    explicit, length = start[4:6] in FIRST_TYPES, int.from_bytes(start[4:8], "little")
    return group in FIRST_GROUPS and element <= LAST_FIRST_ELEMENT and (explicit or length <= LONGEST_FIRST_VALUE)


def _members(path: Path) -> Iterator[Part]:
    try:
        with zipfile.ZipFile(path) as archive:
            for info in sorted(archive.infolist(), key=lambda info: info.filename):
                if info.is_dir() or not (names := _clean(info.filename)) or _is_index(names[-1]):
                    continue
                if info.flag_bits & 1:
                    raise InputError(
                        "The archive is encrypted.", where=Part(path), next_step="unpack it, give the folder"
                    )
                with archive.open(info) as file:
                    if _is_dicom(file.read(PREAMBLE_BYTES + len(MAGIC))):
                        yield Part(path, info.filename)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(
            "The archive can't be read.", where=Part(path), got=_reason(error), next_step="copy or export it again"
        ) from error


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, part: Part) -> bytes:
    if info.file_size > min(LARGEST_MEMBER_BYTES, max(1, info.compress_size) * MOST_ZIP_RATIO):
        raise InputError(
            "A member of the archive announces more bytes than it can hold.", where=part, got=f"{info.file_size:,}"
        )
    return archive.read(info)


def _clean(member: str) -> list[str]:
    """The parts of a member's name that could be folders, without those that lead elsewhere."""
    return [part for part in member.replace("\\", "/").split("/") if part not in ("", ".", "..")]


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
