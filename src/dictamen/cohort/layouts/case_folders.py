"""case/ct.nii.gz, case/segmentations/*.nii.gz (one mask a structure), case/report.txt."""

from __future__ import annotations

from pathlib import Path

from dictamen.anatomy.lesion_labels import is_lesion
from dictamen.cohort.source import MaskSource, Source, SourceStudy, gather, volume_stem, volumes_in

IMAGES = ("ct.nii.gz", "ct.nii")
SEGMENTATIONS = "segmentations"
REPORT = "report.txt"


def looks_like(path: Path) -> bool:
    """Whether a folder of `path` holds a ct.nii.gz, or at least segmentations."""
    return any(_is_case(folder) for folder in path.iterdir() if folder.is_dir())


def read(path: Path, *, allow_outside: bool = False) -> Source:
    """List the studies, one a folder; masks named like lesions (liver_lesion, kidney_tumour) are lesion labels."""
    del allow_outside  # no table of paths
    folders = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".") and _is_case(p))
    return gather(path, "case_folders", [_study(folder) for folder in folders])


def _is_case(folder: Path) -> bool:
    return any((folder / name).is_file() for name in IMAGES) or (folder / SEGMENTATIONS).is_dir()


def _study(folder: Path) -> SourceStudy:
    masks = {volume_stem(file): file for file in volumes_in(folder / SEGMENTATIONS)}
    lesions = {name: file for name, file in masks.items() if is_lesion(name)}
    organs = {name: file for name, file in masks.items() if name not in lesions}
    report = folder / REPORT
    return SourceStudy(
        study_id=folder.name,
        patient_id=folder.name,
        image=next((folder / name for name in IMAGES if (folder / name).is_file()), folder / IMAGES[0]),
        report_file=report if report.is_file() else None,
        organs=MaskSource(masks=organs) if organs else None,
        lesions=MaskSource(masks=lesions) if lesions else None,
    )
