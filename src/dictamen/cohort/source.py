"""What is to be imported: studies as somebody keeps them, before anything of them was read."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from dictamen.cohort.manifest import Problem
from dictamen.cohort.splits import Split
from dictamen.errors import InputError
from dictamen.imaging.dicom.series import ONLY
from dictamen.imaging.read import VOLUME_SUFFIXES

UNSAFE_IN_IDS = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]|^\.|[. ]$|^ ')
LONGEST_ID = 150
"""Bytes of a study id: with suffixes it must stay below the 255 bytes that file systems allow for a name."""


@dataclass(frozen=True)
class MaskSource:
    """Where labels come from: one label map, or one mask for each structure.

    Args:
        label_map: one volume whose values are labels; None where there are single masks.
        names: value -> name of the label map's values, without 0; None where its own header should say.
        masks: name -> volume that is not 0 inside the structure.
    """

    label_map: Path | None = None
    names: Mapping[int, str] | None = None
    masks: Mapping[str, Path] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """All volumes of it."""
        return (*([self.label_map] if self.label_map else []), *self.masks.values())


@dataclass(frozen=True)
class SourceStudy:
    """One study to import. Paths may not exist: building and checking say so.

    Args:
        report: the text; None where there is none, or where `report_file` names it.
        split: None where the cohort should decide.
        series: UID of the DICOM series, or the rule to choose it; means nothing for NIfTI files.
        report_if_no_lesion: a lesion map without a lesion was not drawn where there is a report: the report speaks.
    """

    study_id: str
    patient_id: str = field(repr=False)
    image: Path
    report: str | None = field(default=None, repr=False)
    report_file: Path | None = None
    organs: MaskSource | None = None
    lesions: MaskSource | None = None
    split: Split | None = None
    series: str = ONLY
    report_if_no_lesion: bool = False

    @property
    def has_report(self) -> bool:
        """Whether a report is given, as text or as a file."""
        return self.report is not None or self.report_file is not None

    @property
    def files(self) -> tuple[Path, ...]:
        """Image and masks."""
        return (self.image, *(path for masks in (self.organs, self.lesions) if masks for path in masks.files))


@dataclass(frozen=True)
class Source:
    """All studies of a folder, and what is wrong with them as far as names and tables tell."""

    root: Path
    layout: str
    studies: tuple[SourceStudy, ...]
    problems: tuple[Problem, ...] = ()

    def relative(self, path: Path) -> str:
        """`path` as problems name it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def shown(self, problem: Problem) -> Problem:
        """The problem with its file relative to the source."""
        return replace(problem, file=self.relative(Path(problem.file))) if problem.file else problem


def gather(
    root: Path, layout: str, studies: Iterable[SourceStudy], problems: Iterable[Problem] = (), file: str | None = None
) -> Source:
    """A `Source` without studies whose id can't be used: unsafe as a file name, or given twice."""
    kept, found = [], list(problems)
    studies = list(studies)
    # ids that differ in case alone would be one folder on macOS and Windows
    times = Counter(study.study_id.casefold() for study in studies)
    told: set[str] = set()
    for study in studies:
        if message := unsafe_id(study.study_id):
            found.append(Problem(study.study_id, "unsafe_study_id", "error", message, file))
        elif times[study.study_id.casefold()] > 1:
            if study.study_id.casefold() not in told:
                told.add(study.study_id.casefold())
                found.append(_duplicate(study, times[study.study_id.casefold()], file))
        else:
            kept.append(study)
    return Source(root, layout, tuple(kept), tuple(found))


def unsafe_id(study_id: str) -> str | None:
    """Why the id can't name a file, or None."""
    if not study_id:
        return "`study_id` is empty. Next: give each study an id."
    if UNSAFE_IN_IDS.search(study_id) or len(study_id.encode()) > LONGEST_ID:
        return (
            f"`study_id` becomes a file name and can't be used as one. Received: {study_id[:LONGEST_ID]!r}. "
            f'Expected: at most {LONGEST_ID} bytes, without / \\ : * ? " < > | and control characters, '
            "no dot or space at either end."
        )
    return None


def inside(root: Path, given: str, *, allow_outside: bool) -> Path:
    """The path `given` in a table, relative to `root`.

    Raises:
        InputError: it leaves `root` and `allow_outside` is not set.
    """
    path = Path(os.path.normpath(root / given))
    if not allow_outside and not path.is_relative_to(os.path.normpath(root)):
        raise InputError(
            "The path leaves the folder of the table.",
            got=given,
            expected="a path below it",
            next_step="move the file, or add --allow-outside",
        )
    return path


def masks_at(path: Path, names: Mapping[int, str] | None) -> MaskSource:
    """A label map, or where `path` is a folder one mask a structure, named by the files."""
    if files := volumes_in(path):
        return MaskSource(masks={volume_stem(file): file for file in files})
    return MaskSource(label_map=path, names=names)


def volumes_in(folder: Path) -> list[Path]:
    """Files of volumes in a folder, by name, without hidden ones (macOS leaves `._*` beside files)."""
    if not folder.is_dir():
        return []
    return sorted(
        p for p in folder.iterdir() if p.name.lower().endswith(VOLUME_SUFFIXES) and not p.name.startswith(".")
    )


def volume_stem(path: PurePath) -> str:
    """The file name without .nii.gz, .nrrd or whatever ending a volume has."""
    name = path.name
    stem = path.stem if has_ending(path) else name
    return next((name[: -len(suffix)] for suffix in VOLUME_SUFFIXES if name.lower().endswith(suffix)), stem)


def has_ending(path: PurePath) -> bool:
    """Whether the name ends in a kind of file; "study.17" does not."""
    return any(letter.isalpha() for letter in path.suffix)


def _duplicate(study: SourceStudy, times: int, file: str | None) -> Problem:
    return Problem(
        study.study_id,
        "duplicate_study_id",
        "error",
        f"The study id is given {times} times (capitals aside); none of them is used. Next: give each study its own "
        "id, and the same patient_id where the patient is the same.",
        file,
    )
