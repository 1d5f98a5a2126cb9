"""Writing that never leaves half a file behind, and output folders that never hide older results."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dictamen.errors import ResourceError, UsageError, resource_errors


@contextmanager
def atomic_path(path: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary path beside `path` (same suffixes); on success fsync it and rename it to `path`.

    Args:
        mode: who may read and write it.

    Raises:
        UsageError: `path` is a folder, or lies below a file.
        ResourceError: disk full or folder not writable; the old file, if any, is untouched.
    """
    if path.is_dir():
        raise UsageError("The output path is a folder.", got=path, expected="a file", next_step="choose another name")
    with placing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-", suffix="".join(path.suffixes[-2:]))
        os.close(handle)
    temporary = Path(name)
    with resource_errors(path):
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(mode)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write UTF-8 text atomically; `private` for what quotes reports: its owner alone can read it."""
    with atomic_path(path, mode=0o600 if private else 0o644) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, indented, keys in the given order; NaN is an error."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def output_folder(path: Path, *, overwrite: bool = False, resume: bool = False) -> Path:
    """Create the folder `path` for results.

    Raises:
        UsageError: it holds files already, and neither `overwrite` nor `resume` is set, or it is a file.
        ResourceError: it can't be created or written to.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(
            "The output path is a file.", got=path, expected="a folder", next_step="choose another output folder"
        )
    if path.is_dir() and any(path.iterdir()) and not (overwrite or resume):
        raise UsageError(
            "The output folder is not empty.",
            got=path,
            next_step="choose another folder, or add --resume or --overwrite",
        )
    with placing(path):
        path.mkdir(parents=True, exist_ok=True)
        # asking for permission is not enough: root is granted it even where no file can be created
        with tempfile.TemporaryFile(dir=path):
            pass
    return path


@contextmanager
def placing(path: Path) -> Iterator[None]:
    """Turn what the file system says about folders that can't be made or written to into errors that name `path`."""
    try:
        with resource_errors(path):
            yield
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(
            "A part of the output path is a file.", got=path, expected="folders", next_step="choose another output"
        ) from error
    except FileNotFoundError as error:  # after mkdir: a file system such as /proc, where nothing can be created
        raise ResourceError("The folder is not writable.", where=path, next_step="choose another output") from error
