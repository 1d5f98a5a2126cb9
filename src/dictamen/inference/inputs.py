"""What to predict: the studies of a file, a folder, a table or a cohort, each with an id that can name its output."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dictamen.cohort.layouts import read_source, studies_csv
from dictamen.cohort.layouts.case_folders import IMAGES
from dictamen.cohort.layouts.dataset_json import DATASET_JSON
from dictamen.cohort.layouts.dicom import dicom_studies
from dictamen.cohort.layouts.nnunet import FIRST_CHANNEL
from dictamen.cohort.manifest import COHORT_JSON
from dictamen.cohort.source import Source, has_ending, volume_stem, volumes_in
from dictamen.cohort.splits import SPLITS
from dictamen.cohort.store import Cohort
from dictamen.cohort.study_ids import safe_id, unique_ids
from dictamen.errors import InputError, UsageError
from dictamen.imaging.dicom.series import ONLY
from dictamen.imaging.read import is_volume_file

NOT_IMAGES = frozenset({"segmentations", "labels", "labelsTr", "labelsTs", "masks", "organs", "lesions", "truth"})
"""Folders beside images that hold label maps."""
SLICER_SEGMENTATION = ".seg.nrrd"
"""With what 3D Slicer ends the names of segmentations, which it saves beside the images."""
LATER_CHANNEL = re.compile(r"_000[1-9]$")
"""nnU-Net's second and further channels: no studies of their own where the first one lies beside them."""


@dataclass(frozen=True)
class InputStudy:
    """One study to predict.

    Attributes:
        study_id: unique among the inputs, usable as a file name.
        image: its file, or the file, folder or archive of its DICOM series; None where only a cohort has it.
        series: UID of the DICOM series, or the rule to choose it.
        cohort: the cohort folder that has it; None for plain files.
        error: why it can't be predicted, known before it was opened; it is listed among the failures.
    """

    study_id: str
    image: Path | None = None
    series: str = ONLY
    cohort: Path | None = None
    error: InputError | None = None


def find_inputs(
    path: Path,
    *,
    split: str | None = None,
    leave_out: Path | None = None,
    series: str = ONLY,
    modality: str | None = None,
) -> list[InputStudy]:
    """List the studies of `path`, in the order of their names or of their table.

    Args:
        path: a NIfTI, NRRD or MetaImage file; a folder of them, of case folders (case/ct.nii.gz) or of both, at any
            depth; a folder like nnU-Net's imagesTs (`_0000` is no part of the id); a studies.csv, or the folder with
            it; an nnU-Net or Decathlon folder with dataset.json; a cohort folder; DICOM series in folders at any depth,
            in zip archives or in enhanced multi-frame files.
        split: only studies of this split, where the input has splits.
        series: which of several DICOM series of a study, see `imaging.dicom.series.RULES`.
        modality: DICOM series of other modalities are left out.
        leave_out: a folder not to look into: the output, which may lie inside the input.

    Raises:
        InputError: nothing there, or nothing in it.
        UsageError: an unknown split, a split of an input that has none, or no series of that number or UID.
    """
    if not path.exists():
        raise InputError("The input does not exist.", where=path)
    if split is not None and split not in SPLITS:
        raise UsageError("There is no such split.", got=split, expected=f"one of {', '.join(SPLITS)}")
    if (path / COHORT_JSON).is_file():
        studies = [InputStudy(study_id, cohort=path) for study_id in Cohort.open(path).ids(split)]
    elif _is_table(path):
        studies = _of_source(read_source(path, allow_outside=True, series=series), split)
    elif split is not None:
        raise UsageError(
            "The input has no splits.",
            got=f"--split {split}",
            expected="a cohort, or a studies.csv",
            next_step="leave --split out",
        )
    else:
        studies = _of_files(path, leave_out, series, modality)
    if not studies:
        raise InputError(
            "The input holds no study.",
            where=path,
            expected="NIfTI, NRRD or MetaImage files, DICOM series, a studies.csv or a cohort",
        )
    return studies


def _is_table(path: Path) -> bool:
    return path.suffix.lower() == ".csv" or (path / studies_csv.FILE).is_file() or (path / DATASET_JSON).is_file()


def _of_source(source: Source, split: str | None) -> list[InputStudy]:
    wrong = {p.study_id: p for p in source.problems if p.study_id and p.severity == "error"}
    studies = [InputStudy(one.study_id, one.image, one.series) for one in source.studies if split in (None, one.split)]
    ids = {one.study_id for one in studies}
    return studies + [
        InputStudy(safe_id(name), error=InputError(problem.message, where=name))
        for name, problem in wrong.items()
        if name not in ids
    ]


def _of_files(path: Path, leave_out: Path | None, series: str, modality: str | None) -> list[InputStudy]:
    root = path if path.is_dir() else path.parent
    left_out = leave_out.resolve() if leave_out else None
    files = [file for file in (_images(path, left_out) if path.is_dir() else [path]) if is_volume_file(file)]
    scans = dicom_studies(path, series=series, modality=modality) if path.is_dir() or not files else []
    scans = [scan for scan in scans if left_out is None or not scan.image.resolve().is_relative_to(left_out)]
    if path.is_file() and not files and not scans:
        raise InputError(
            "The input is no image of a known format.",
            where=path,
            got=path.suffix or "no suffix",
            expected=".nii, .nii.gz, .nrrd, .mha, .mhd, .dcm, .zip, or a folder",
        )
    ids = unique_ids([*(_names(file, root) for file in files), *(scan.names for scan in scans)])
    plain = [InputStudy(study_id, file) for study_id, file in zip(ids, files, strict=False)]
    return plain + [
        InputStudy(study_id, scan.image, scan.series, error=scan.error)
        for study_id, scan in zip(ids[len(files) :], scans, strict=True)
    ]


def _images(folder: Path, leave_out: Path | None) -> Iterator[Path]:
    """Images below `folder` by name; a folder with ct.nii.gz is one case, folders of label maps are left out."""
    if folder.resolve() == leave_out:
        return
    case = next((folder / name for name in IMAGES if (folder / name).is_file()), None)
    if case is not None:
        yield case
        return
    files = sorted([*volumes_in(folder), *_unnamed(folder)])
    files = [file for file in files if not file.name.lower().endswith(SLICER_SEGMENTATION)]
    stems = {volume_stem(file) for file in files}
    yield from (file for file in files if not _is_later_channel(volume_stem(file), stems))
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.name.startswith(".") and child.name not in NOT_IMAGES:
            yield from _images(child, leave_out)


def _unnamed(folder: Path) -> list[Path]:
    """Files without an ending that are volumes by their content: "scan", "study.17"."""
    found = [file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")]
    return [file for file in found if not has_ending(file) and is_volume_file(file)]


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
