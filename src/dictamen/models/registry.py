"""Models by name: a folder in which each folder is a model, and packages (zip) to carry them from place to place."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from dictamen.errors import DictamenError, InputError, UsageError, resource_errors
from dictamen.files import atomic_path
from dictamen.models.card import ModelCard
from dictamen.models.package import CARD, README, WEIGHTS, load_card, load_model, model_folder, save_model

PLACE = "DICTAMEN_MODELS"
"""Environment variable with the registry's folder."""
DEFAULT = Path("~/.local/share/dictamen/models")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SUMS = "SHA256SUMS"
MEMBERS = (WEIGHTS, CARD, README)
MOST_TIMES = 20
"""Weights and text never shrink more than this when they are compressed; more is a bomb."""
CHUNK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A model of the registry; `problem` says why it can't be used, then there is no card."""

    name: str
    folder: Path
    card: ModelCard | None = None
    problem: str | None = None


def registry_folder(given: Path | None = None) -> Path:
    """The folder asked for, that of $DICTAMEN_MODELS, or the default."""
    return given or Path(os.environ.get(PLACE) or DEFAULT).expanduser()


def entries(registry: Path) -> list[Entry]:
    """All models of a registry, by name; a folder that is none is no entry."""
    found = []
    for folder in sorted(registry.iterdir()) if registry.is_dir() else []:
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        try:
            found.append(Entry(folder.name, folder, load_card(folder)))
        except DictamenError as error:
            if (folder / CARD).exists() or (folder / WEIGHTS).exists():
                found.append(Entry(folder.name, folder, problem=error.what))
    return found


def locate(model: str | Path, registry: Path | None = None) -> Path:
    """The model folder of a path or of a name in the registry; a path that exists comes first.

    Raises:
        InputError: neither.
    """
    path, folder = Path(model), registry_folder(registry)
    if path.exists() or not NAME.fullmatch(str(model)):
        return model_folder(path)
    if (folder / str(model)).is_dir():
        return model_folder(folder / str(model))
    raise InputError(
        "There is no such model.",
        got=model,
        expected="a run folder, a model folder, or one of: " + (", ".join(e.name for e in entries(folder)) or "none"),
        next_step="see `dictamen models list`",
    )


def add(source: Path, *, name: str | None = None, registry: Path, overwrite: bool = False) -> Entry:
    """Copy a run folder, a model folder or a package into the registry.

    The model is loaded before it is taken over: what can't be used is not taken.

    Raises:
        InputError: no model there, or a damaged one.
        UsageError: a name that can't be one, or is taken.
    """
    name = name or _name_of(source)
    if not NAME.fullmatch(name):
        raise UsageError(
            "The name can't be used.", got=name, expected="letters, digits, . _ -", next_step="choose one with --name"
        )
    target = registry / name
    if target.exists() and not overwrite:
        raise UsageError(
            "The registry has a model of this name.",
            got=name,
            where=registry,
            next_step="choose another --name, or add --overwrite",
        )
    with tempfile.TemporaryDirectory() as place:
        folder = unpack(source, Path(place)) if source.is_file() else model_folder(source)
        network, card = load_model(folder)
        save_model(target, network, card)
    return Entry(name, target, card)


def remove(name: str, *, registry: Path) -> Path:
    """Delete a model of the registry.

    Raises:
        InputError: there is none of that name.
    """
    known = {entry.name: entry.folder for entry in entries(registry)}
    if name not in known:
        raise InputError(
            "The registry has no such model.", got=name, expected=", ".join(known) or "none", where=registry
        )
    with resource_errors(known[name]):
        shutil.rmtree(known[name])
    return known[name]


def pack(folder: Path, output: Path) -> Path:
    """Write a package: a zip of the model's files with their SHA-256.

    Raises:
        ResourceError: disk full or folder not writable.
    """
    folder = model_folder(folder)
    load_card(folder)
    present = [folder / name for name in MEMBERS if (folder / name).is_file()]
    sums = "".join(f"{_sha256(path)}  {path.name}\n" for path in present)
    with atomic_path(output) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for path in present:
            archive.write(path, f"model/{path.name}")
        archive.writestr(f"model/{SUMS}", sums)
    return output


def unpack(package: Path, place: Path) -> Path:
    """The files of a package in the folder `place`. Known names only, whatever path the archive gives them.

    Raises:
        InputError: no package, a file missing or twice, a bomb, or sums that don't fit.
    """
    try:
        with zipfile.ZipFile(package) as archive:
            found: dict[str, zipfile.ZipInfo] = {}
            for info in archive.infolist():
                base = info.filename.rpartition("/")[2]
                if base not in (*MEMBERS, SUMS):
                    continue
                if base in found:
                    raise _broken(package, f"{base} twice")
                found[base] = info
            if missing := [name for name in (WEIGHTS, CARD, SUMS) if name not in found]:
                raise _broken(package, f"no {missing[0]}")
            room = MOST_TIMES * package.stat().st_size
            if sum(info.file_size for info in found.values()) > room:
                raise _broken(package, "it would unpack to more than it can hold")
            for base, info in found.items():
                _copy(archive, info, place / base, room)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
        raise _broken(package, type(error).__name__) from error
    _check_sums(package, place)
    return place


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, room: int) -> None:
    """One member; no more bytes than there is room for, whatever its header says."""
    with archive.open(info) as source, target.open("wb") as file:
        while chunk := source.read(CHUNK):
            room -= len(chunk)
            if room < 0:
                raise _broken(target, "it unpacks to more than it says")
            file.write(chunk)


def _check_sums(package: Path, folder: Path) -> None:
    lines = (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    stated = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in (WEIGHTS, CARD):
        if stated.get(name) != _sha256(folder / name):
            raise _broken(package, f"{name} is not what {SUMS} says")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _name_of(source: Path) -> str:
    """After the file, or the run folder and not its `model`."""
    if source.is_file():
        return source.name.removesuffix(".zip")
    path = source.resolve()
    return path.parent.name if path.name == "model" else path.name


def _broken(package: Path, got: str) -> InputError:
    return InputError(
        "The package can't be used.",
        where=package,
        got=got,
        expected="a zip made by `dictamen models export`",
        next_step="export it again, or copy it again",
    )
