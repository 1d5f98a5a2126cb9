"""What dictamen raises, and the exit code that the command line gives for it.

DictamenError            1
├── UsageError           2   a wrong option, an unknown preset or key, a combination that makes no sense
├── InputError           3   a file, a column, a volume or a report that can't be used as it is
└── ResourceError        4   disk full, folder not writable, out of memory
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS
from pathlib import Path
from shutil import disk_usage

OUT_OF_MEMORY = "Out of memory."
FULL_DISK_WORDS = ("No space left", "Disk quota exceeded")
"""What libraries written in C++ and Rust quote of the operating system."""


class DictamenError(Exception):
    """Base of all errors that are meant for a user to read.

    Args:
        what: the fact, one sentence.
        where: study id and file, or the option; never report text, never a name of a patient.
        got: the offending value.
        expected: what would have been right (list the choices where there are few).
        next_step: what the user can do now.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        got: object = None,
        expected: object = None,
        next_step: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.got = got
        self.expected = expected
        self.next_step = next_step
        super().__init__(what)

    def __str__(self) -> str:
        details = {"Where": self.where, "Received": self.got, "Expected": self.expected, "Next": self.next_step}
        told = {name: str(value).rstrip(".") for name, value in details.items() if value is not None}
        return " ".join([self.what, *(f"{name}: {value}." for name, value in told.items())])

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the fields when an error crosses a process boundary (joblib, data loader workers)."""
        return _rebuild, (type(self), self.what, self.where, self.got, self.expected, self.next_step)

    def to_dict(self) -> dict[str, str]:
        """The same facts for `--json`."""
        fields = {
            "what": self.what,
            "where": self.where,
            "got": self.got,
            "expected": self.expected,
            "next": self.next_step,
        }
        return {
            "error": type(self).__name__,
            **{name: str(value) for name, value in fields.items() if value is not None},
        }


class UsageError(DictamenError):
    """A wrong option, an unknown preset or key."""

    exit_code = 2


class InputError(DictamenError):
    """An input that can't be used as it is."""

    exit_code = 3


class ResourceError(DictamenError):
    """The machine ran out of something, or forbids it."""

    exit_code = 4


def _rebuild(
    kind: type[DictamenError], what: str, where: object, got: object, expected: object, next_step: str | None
) -> DictamenError:
    return kind(what, where=where, got=got, expected=expected, next_step=next_step)


@contextmanager
def resource_errors(where: object) -> Iterator[None]:
    """Turn "disk full", "read-only" and "not permitted" of the block into a `ResourceError` that names `where`."""
    try:
        yield
    except Exception as error:  # polars, safetensors and torch have their own errors for a full disk
        known = resource_error(error, where)
        if known is None:
            raise
        raise known from error


def resource_error(error: BaseException, where: object = None) -> ResourceError | None:
    """What an error of Python, the operating system or torch says about disk, permissions and memory; else None.

    Args:
        where: study id or file; the file that an `OSError` names where None.
    """
    if isinstance(error, OSError):
        where = error.filename if where is None else where
        if error.errno in (ENOSPC, EDQUOT):
            return ResourceError(
                "The disk is full.",
                where=where,
                got=bytes_left(where),
                next_step="free space, then run the same command again: what is done is kept",
            )
        if error.errno in (EACCES, EPERM, EROFS):
            return ResourceError(
                "The folder is not writable.",
                where=where,
                next_step="choose another output folder or change its permissions",
            )
    if not isinstance(error, DictamenError) and any(words in str(error) for words in FULL_DISK_WORDS):
        return resource_error(OSError(ENOSPC, ""), where)
    if isinstance(error, MemoryError) or _is_torchs_out_of_memory(error):
        return ResourceError(
            OUT_OF_MEMORY, where=where, next_step="use a smaller patch or batch, or fewer processes (--jobs)"
        )
    return None


def bytes_left(where: object) -> str | None:
    """Bytes left on the disk of a path, or of the nearest folder above it that exists."""
    if not isinstance(where, Path) and not (isinstance(where, str) and os.sep in where):  # a study's id
        return None
    try:
        place = next(folder for folder in (Path(where), *Path(where).absolute().parents) if folder.exists())
        return f"{disk_usage(place).free:,} bytes left"
    except OSError:
        return None


def _is_torchs_out_of_memory(error: BaseException) -> bool:
    """By name and words: torch's allocator on the CPU raises a plain `RuntimeError`, and torch is not imported here."""
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and "allocate memory" in str(error)
    )
