"""What to predict: the studies of a file, a folder, a table or a cohort, each with an id that can name its output."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dictamen.cohort.layouts import read_source, studies_csv
from dictamen.cohort.layouts.case_folders import IMAGES
from dictamen.cohort.layouts.dataset_json import DATASET_JSON
from dictamen.cohort.layouts.nnunet import FIRST_CHANNEL
from dictamen.cohort.manifest import COHORT_JSON
from dictamen.cohort.source import UNSAFE_IN_IDS, VOLUME_SUFFIXES, Source, volume_stem, volumes_in
from dictamen.cohort.splits import SPLITS
from dictamen.cohort.store import Cohort
from dictamen.errors import InputError, UsageError

NOT_IMAGES = frozenset({"segmentations", "labels", "labelsTr", "labelsTs", "masks", "organs", "lesions", "truth"})
"""Folders beside images that hold label maps."""
LATER_CHANNEL = re.compile(r"_000[1-9]$")
"""nnU-Net's second and further channels: no studies of their own where the first one lies beside them."""


@dataclass(frozen=True)
class InputStudy:
    """One study to predict.

    Attributes:
        study_id: unique among the inputs, usable as a file name.
        image: its NIfTI file; None where only a cohort has it.
        cohort: the cohort folder that has it; None for plain files.
        error: why it can't be predicted, known before it was opened; it is listed among the failures.
    """

    study_id: str
    image: Path | None = None
    cohort: Path | None = None
    error: InputError | None = None


def find_inputs(path: Path, *, split: str | None = None, leave_out: Path | None = None) -> list[InputStudy]:
    """List the studies of `path`, in the order of their names or of their table.

    Args:
        path: a NIfTI file; a folder of them, of case folders (case/ct.nii.gz) or of both, at any depth; a folder like
            nnU-Net's imagesTs (`_0000` is no part of the id); a studies.csv, or the folder with it; an nnU-Net or
            Decathlon folder with dataset.json; a cohort folder.
        split: only studies of this split, where the input has splits.
        leave_out: a folder not to look into: the output, which may lie inside the input.

    Raises:
        InputError: nothing there, or nothing in it.
        UsageError: an unknown split, or a split of an input that has none.
    """
    if not path.exists():
        raise InputError("The input does not exist.", where=path)
    if split is not None and split not in SPLITS:
        raise UsageError("There is no such split.", got=split, expected=f"one of {', '.join(SPLITS)}")
    if (path / COHORT_JSON).is_file():
        studies = [InputStudy(study_id, cohort=path) for study_id in Cohort.open(path).ids(split)]
    elif _is_table(path):
        studies = _of_source(read_source(path, allow_outside=True), split)
    elif split is not None:
        raise UsageError(
            "The input has no splits.",
            got=f"--split {split}",
            expected="a cohort, or a studies.csv",
            next_step="leave --split out",
        )
    else:
        studies = _of_files(path, leave_out)
    if not studies:
        raise InputError(
            "The input holds no study.", where=path, expected="NIfTI files (.nii, .nii.gz), a studies.csv or a cohort"
        )
    return studies


def _is_table(path: Path) -> bool:
    return path.suffix.lower() == ".csv" or (path / studies_csv.FILE).is_file() or (path / DATASET_JSON).is_file()


def _of_source(source: Source, split: str | None) -> list[InputStudy]:
    wrong = {p.study_id: p for p in source.problems if p.study_id and p.severity == "error"}
    studies = [InputStudy(one.study_id, one.image) for one in source.studies if split in (None, one.split)]
    ids = {one.study_id for one in studies}
    return studies + [
        InputStudy(safe_id(name), error=InputError(problem.message, where=name))
        for name, problem in wrong.items()
        if name not in ids
    ]


def _of_files(path: Path, leave_out: Path | None) -> list[InputStudy]:
    root = path if path.is_dir() else path.parent
    left_out = leave_out.resolve() if leave_out else None
    files = list(_images(path, left_out)) if path.is_dir() else [_only_nifti(path)]
    ids = unique_ids([_names(file, root) for file in files])
    return [InputStudy(study_id, image) for study_id, image in zip(ids, files, strict=True)]


def _only_nifti(path: Path) -> Path:
    if not path.name.lower().endswith(VOLUME_SUFFIXES):
        raise InputError(
            "The input is no NIfTI file.",
            where=path,
            got=path.suffix or "no suffix",
            expected=".nii or .nii.gz, or a folder",
        )
    return path


def _images(folder: Path, leave_out: Path | None) -> Iterator[Path]:
    """Images below `folder` by name; a folder with ct.nii.gz is one case, folders of label maps are left out."""
    if folder.resolve() == leave_out:
        return
    case = next((folder / name for name in IMAGES if (folder / name).is_file()), None)
    if case is not None:
        yield case
        return
    files = volumes_in(folder)
    stems = {volume_stem(file) for file in files}
    yield from (file for file in files if not _is_later_channel(volume_stem(file), stems))
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.name.startswith(".") and child.name not in NOT_IMAGES:
            yield from _images(child, leave_out)


def _is_later_channel(stem: str, stems: set[str]) -> bool:
    """Whether the first channel lies beside it; else the number is a part of the name, as in patient_0001."""
    return LATER_CHANNEL.search(stem) is not None and LATER_CHANNEL.sub(FIRST_CHANNEL, stem) in stems


def _names(file: Path, root: Path) -> tuple[str, str]:
    """The short id of an image, and the long one that its place below `root` gives."""
    own = volume_stem(file).removesuffix(FIRST_CHANNEL)
    folders = file.parent.relative_to(root).parts
    if file.name in IMAGES:  # a case folder: the folder is the study
        folders, own = folders[:-1], folders[-1] if folders else file.parent.resolve().name
    return own, "_".join((*folders, own))


def unique_ids(names: Sequence[tuple[str, str]]) -> list[str]:
    """An id for each (short, long) name: the short one where nobody else has it, else the long one, else numbered.

    Names that differ only in case count as the same, since some file systems can't tell them apart.
    """
    times = Counter(safe_id(short).casefold() for short, _ in names)
    ids: list[str] = []
    taken = {name for name, count in times.items() if count == 1}
    for short, long in names:
        study_id = safe_id(short)
        if times[study_id.casefold()] > 1:
            study_id = _free(safe_id(long), taken)
        taken.add(study_id.casefold())
        ids.append(study_id)
    return ids


def _free(name: str, taken: set[str]) -> str:
    candidates = (name if number == 1 else f"{name}_{number}" for number in range(1, len(taken) + 2))
    return next(candidate for candidate in candidates if candidate.casefold() not in taken)


def safe_id(name: str) -> str:
    """The name with what a file name can't hold replaced by an underscore."""
    return UNSAFE_IN_IDS.sub("_", name) or "_"
