"""The series below a path, and which of them is meant."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from dictamen.errors import InputError, UsageError
from dictamen.imaging.dicom.files import Part, fingerprint, indexed, parts
from dictamen.imaging.dicom.headers import Frame, Instance, read_instance
from dictamen.imaging.dicom.stack import COSINE_TOLERANCE, Stack, stack

ONLY, LARGEST, THINNEST, ALL = "only", "largest", "thinnest", "all"
RULES = {
    ONLY: "the one that can be a volume; refused where there are several",
    LARGEST: "the one of most slices",
    THINNEST: "the one of the smallest step from slice to slice, the largest of equals",
    ALL: "each one, as a study of its own",
}
MOST_LISTED = 12
"""Series named in an error message."""


@dataclass(frozen=True)
class Series:
    """The images of one series, each once, without scouts.

    Attributes:
        instances: by file.
        copies: files left out since they repeat an image of the series.
        localizers: scouts left out.
    """

    uid: str
    instances: tuple[Instance, ...]
    copies: int = 0
    localizers: int = 0
    problems: tuple[InputError, ...] = field(default=(), compare=False)

    @property
    def modality(self) -> str:
        """CT, MR or PT."""
        return self.instances[0].modality

    @property
    def study_uid(self) -> str:
        """Identifier of the study; never shown."""
        return self.instances[0].study_uid

    @property
    def number(self) -> int | None:
        """Series number."""
        return self.instances[0].series_number

    @property
    def source(self) -> Path:
        """What to give to `find_series` to find it again: its file, its archive, or the folder of all its files."""
        paths = {instance.part.path for instance in self.instances}
        return paths.pop() if len(paths) == 1 else Path(os.path.commonpath(paths))

    @property
    def frames(self) -> tuple[Frame, ...]:
        """All slices, in the order of the files."""
        return tuple(frame for instance in self.instances for frame in instance.frames)

    @property
    def slices(self) -> int:
        """How many slices there are, those that can't be placed included."""
        return sum(max(1, len(instance.frames)) for instance in self.instances)

    @property
    def is_scout(self) -> bool:
        """Whether it consists of localizers alone."""
        return all(instance.is_localizer for instance in self.instances)

    @property
    def is_in_one_direction(self) -> bool:
        """Whether at least two slices can be placed, all in parallel; not so screen captures and three-plane scouts."""
        directions = np.array([frame.orientation for frame in self.frames])
        return len(directions) > 1 and bool(np.abs(directions - directions[0]).max() <= COSINE_TOLERANCE)

    @property
    def step_mm(self) -> float:
        """The usual distance from slice to slice; infinite where there is none."""
        frames = self.frames
        if len(frames) < 2:
            return float("inf")
        row, column = np.array(frames[0].orientation).reshape(2, 3)
        places = np.sort([np.dot(frame.position_mm, np.cross(row, column)) for frame in frames])
        return float(np.median(np.diff(places)))

    def stacked(self, where: object) -> Stack:
        """The slices in order.

        Raises:
            InputError: the first reason for which they make no volume.
        """
        for instance in self.instances:
            if instance.problem is not None:
                raise instance.problem
        for what, values in (
            ("sizes", {(one.rows, one.columns) for one in self.instances}),
            ("frames of reference", {one.frame_of_reference for one in self.instances}),
            ("modalities", {one.modality for one in self.instances}),
        ):
            if len(values) > 1:
                shown = sorted(map(str, values)) if what != "frames of reference" else len(values)
                raise InputError(f"The slices of the series have different {what}.", where=where, got=shown)
        return stack(self.frames, where)

    def __str__(self) -> str:
        first = self.instances[0]
        kernel = f", kernel {first.kernel}" if first.kernel else ""
        number = f"number {self.number}" if self.number is not None else "no number"
        return (
            f"{number} ({self.modality}, {self.slices} slices of {first.rows} x {first.columns}, "
            f"step {self.step_mm:.3g} mm{kernel})"
        )


@dataclass(frozen=True)
class Found:
    """What lies below a path.

    Attributes:
        series: in the order of their first files, those that can't be volumes too.
        unreadable: damaged files and archives, each with a `Part` as its place.
    """

    series: tuple[Series, ...]
    unreadable: tuple[InputError, ...] = ()


def find_series(path: Path) -> Found:
    """Every series of images below a path.

    Args:
        path: a DICOM file, a folder at any depth (or the DICOMDIR in it), or a zip archive.

    Raises:
        InputError: nothing there.
    """
    if not path.exists():
        raise InputError("The input does not exist.", where=path)
    path = indexed(path)
    return _find(path, fingerprint(path))


def choose(found: Sequence[Series], rule: str = ONLY, *, where: object, modality: str | None = None) -> Series:
    """One series of several.

    Args:
        found: of one study.
        rule: one of `RULES` but "all"; or a SeriesInstanceUID, or a series number.
        modality: of the model; series of others are no candidates.

    Raises:
        InputError: none can be a volume, or several can and the rule doesn't say which.
        UsageError: the rule is unknown, or no series has this number or UID.
    """
    by_name = [one for one in found if rule in (one.uid, str(one.number))]
    if rule not in RULES:
        if len(by_name) != 1:
            raise UsageError(
                f"{len(by_name) or 'No'} series has this number or UID." if not by_name else "Several series have it.",
                where=where,
                got=rule,
                expected=f"{', '.join(RULES)}, or one of: {_listed(found)}",
            )
        return by_name[0]
    candidates = could_be_volumes(found, modality)
    if not candidates:
        for problem in (instance.problem for one in found for instance in one.instances if instance.problem):
            raise problem
        raise InputError(
            "No series can be a volume.",
            where=where,
            got=_listed(found) or "no images of CT, MR or PT",
            expected=f"{modality or 'CT, MR or PT'} with at least 2 slices",
        )
    if rule == THINNEST:
        return min(candidates, key=lambda one: (one.step_mm, -one.slices, one.uid))
    if rule == LARGEST:
        return min(candidates, key=lambda one: (-one.slices, one.step_mm, one.uid))
    if len(candidates) > 1:
        raise InputError(
            f"There are {len(candidates)} series, and nothing says which one is meant.",
            where=where,
            got=_listed(candidates),
            next_step="say --series largest, thinnest, all, a number or a UID, or give the folder of one series",
        )
    return candidates[0]


def could_be_volumes(found: Iterable[Series], modality: str | None = None) -> list[Series]:
    """The series of a study among which to choose: of several slices, no scouts; where there are others, no series
    whose slices can't be placed or lie in several directions (screen captures, scouts that don't say so)."""
    several = [one for one in found if one.slices > 1 and modality in (None, one.modality) and not one.is_scout]
    return [one for one in several if one.is_in_one_direction] or several


def by_study(found: Iterable[Series]) -> list[tuple[Series, ...]]:
    """The series of each study, in the order in which studies were found."""
    studies: dict[str, list[Series]] = defaultdict(list)
    for one in found:
        studies[one.study_uid].append(one)
    return [tuple(series) for series in studies.values()]


@lru_cache(maxsize=4)
def _find(path: Path, mark: str) -> Found:
    """Headers are read once for the spacing and the voxels of a study, and again where a file has changed (`mark`)."""
    del mark
    instances: dict[str, list[Instance]] = defaultdict(list)
    unreadable: list[InputError] = []
    for part in parts(path, unreadable):
        try:
            instance = read_instance(part)
        except InputError as error:
            unreadable.append(error)
            continue
        if instance is not None:
            instances[instance.series_uid].append(instance)
    series = tuple(_series(uid, found, unreadable) for uid, found in instances.items())
    return Found(series, tuple(unreadable))


def _series(uid: str, found: Sequence[Instance], unreadable: Sequence[InputError]) -> Series:
    once = {instance.sop_uid: instance for instance in reversed(found)}
    kept = [instance for instance in found if once[instance.sop_uid] is instance]
    images = [instance for instance in kept if not instance.is_localizer] or kept
    folders = {instance.part.folders for instance in images}
    beside = tuple(error for error in unreadable if isinstance(error.where, Part) and error.where.folders in folders)
    return Series(uid, tuple(images), len(found) - len(kept), len(kept) - len(images), beside)


def _listed(found: Sequence[Series]) -> str:
    more = f" ... and {len(found) - MOST_LISTED} more" if len(found) > MOST_LISTED else ""
    times = Counter(one.number for one in found)
    # a UID leads back to the patient in the archive: shown only where a number doesn't tell the series apart
    shown = [str(one) if times[one.number] == 1 else f"{one} {one.uid}" for one in found[:MOST_LISTED]]
    return "; ".join(shown) + more
