"""DICOM as archives and scanners export it: files, folders at any depth and zip archives, one study or many.

A study is named after the topmost folder that holds no other study. Names and numbers of patients are used in memory
only, to keep the studies of one patient together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from dictamen.cohort.manifest import Problem
from dictamen.cohort.source import Source, SourceStudy, gather
from dictamen.cohort.study_ids import unique_ids
from dictamen.errors import InputError
from dictamen.imaging.dicom.files import ZIP_SUFFIX, Part, indexed, parts
from dictamen.imaging.dicom.series import ALL, ONLY, Found, Series, by_study, choose, could_be_volumes, find_series


@dataclass(frozen=True)
class DicomStudy:
    """One volume to read.

    Attributes:
        names: a short and a long name, to make ids of.
        image: what to read: a file, a folder or an archive.
        series: UID of the series in it.
        patient: the same for studies of one patient.
        error: why nothing can be read.
    """

    names: tuple[str, str]
    image: Path
    series: str = ONLY
    patient: str = field(default="", repr=False)
    error: InputError | None = None


def looks_like(path: Path) -> bool:
    """Whether there is a DICOM object at or below `path`."""
    return next(iter(parts(path, [])), None) is not None


def dicom_studies(path: Path, *, series: str = ONLY, modality: str | None = None) -> list[DicomStudy]:
    """The studies below `path`, by folder.

    Args:
        series: which one of a study's series, see `imaging.dicom.series.RULES`; "all": each one that can be a volume.
        modality: series of others are left out.

    Raises:
        InputError: an archive or file that can't be read.
        UsageError: no series has the number or UID `series`.
    """
    path = indexed(path)
    found_there = find_series(path)
    studies = by_study(found_there.series)
    trails = [_trail(found) for found in studies]
    root = len(path.resolve().parts) - 1
    listed = []
    for number, (found, trail) in enumerate(zip(studies, trails, strict=True)):
        own = _own_folder(trail, [other for place, other in enumerate(trails) if place != number], root)
        listed += list(_of_study(found, _names(own, root), series, modality))
    listed += _unreadable(found_there, trails, root)
    return sorted(listed, key=lambda study: study.names)


def read(path: Path, *, allow_outside: bool = False, series: str = ONLY) -> Source:
    """List the studies; one that has no volume, or too many, becomes a problem."""
    del allow_outside  # no table of paths
    found = dicom_studies(path, series=series)
    ids = unique_ids([study.names for study in found])
    first: dict[str, str] = {}
    studies, problems = [], []
    for study_id, study in zip(ids, found, strict=True):
        if study.error is not None:
            problems.append(Problem(study_id, "unreadable", "error", str(study.error), str(study.image)))
            continue
        patient = first.setdefault(study.patient, study_id)
        studies.append(SourceStudy(study_id, patient, study.image, series=study.series))
    return gather(path, "dicom", studies, problems)


def _of_study(found: Sequence[Series], names: tuple[str, str], rule: str, modality: str | None) -> Iterable[DicomStudy]:
    where = names[1]
    try:
        if rule != ALL:
            chosen = choose(found, rule, where=where, modality=modality)
            yield _one(names, chosen)
            return
        for one in could_be_volumes(found, modality):
            yield _one((f"{names[0]}_{one.number}", f"{names[1]}_{one.number}"), one)
    except InputError as error:
        yield DicomStudy(names, found[0].source, error=error)


def _unreadable(found: Found, trails: Sequence[tuple[str, ...]], root: int) -> list[DicomStudy]:
    """One failure for each archive, and for each folder without any series, that can't be read."""
    failed: dict[tuple[str, ...], DicomStudy] = {}
    for error in found.unreadable:
        part = error.where
        if not isinstance(part, Part):
            continue
        place = (*part.folders, part.path.name) if part.path.suffix.lower() == ZIP_SUFFIX else part.folders
        if not any(trail[: len(place)] == place for trail in trails):
            failed.setdefault(place, DicomStudy(_names(place, root), part.path, error=error))
    return list(failed.values())


def _one(names: tuple[str, str], series: Series) -> DicomStudy:
    return DicomStudy(names, series.source, series.uid, series.instances[0].patient)


def _trail(found: Sequence[Series]) -> tuple[str, ...]:
    """The folders that all files of a study share."""
    folders = [instance.part.folders for instance in chain.from_iterable(one.instances for one in found)]
    lowest, highest = min(folders), max(folders)
    shared = next((i for i, (a, b) in enumerate(zip(lowest, highest, strict=False)) if a != b), len(lowest))
    return lowest[: min(shared, len(highest))]


def _own_folder(trail: tuple[str, ...], others: Sequence[tuple[str, ...]], root: int) -> tuple[str, ...]:
    """The topmost folder from `root` on that holds no other study; else the lowest that holds this one."""
    for depth in range(root + 1, len(trail) + 1):
        if not any(other[:depth] == trail[:depth] for other in others):
            return trail[:depth]
    return trail


def _names(folder: tuple[str, ...], root: int) -> tuple[str, str]:
    below = [name.removesuffix(".zip") for name in folder[root:]]
    return below[-1] if below else folder[-1], "_".join(below[1:] or below or folder[-1:])
