"""nnU-Net raw: imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz, imagesTs, dataset.json, reports.csv."""

from __future__ import annotations

from pathlib import Path

from dictamen.cohort.layouts.dataset_json import DATASET_JSON, LabelTable, label_table, reports_beside
from dictamen.cohort.manifest import Problem
from dictamen.cohort.source import Source, SourceStudy, gather, volume_stem, volumes_in
from dictamen.cohort.splits import Split
from dictamen.cohort.tables import read_json_object
from dictamen.errors import InputError

FIRST_CHANNEL = "_0000"


def looks_like(path: Path) -> bool:
    """Whether images carry a channel number."""
    return any(volume_stem(file).endswith(FIRST_CHANNEL) for file in volumes_in(path / "imagesTr"))


def read(path: Path, *, allow_outside: bool = False) -> Source:
    """List the studies; those of imagesTs are the test split, the others are assigned by seed.

    Raises:
        InputError: dataset.json can't be used, or the images have several channels.
    """
    del allow_outside  # no table of paths
    dataset = read_json_object(path / DATASET_JSON)
    channels = dataset.get("channel_names") or dataset.get("modality") or {"0": "CT"}
    if len(channels) != 1:
        raise InputError(
            "The images have several channels.", where=path / DATASET_JSON, got=channels, expected="one, CT"
        )
    table, reports = label_table(dataset, path / DATASET_JSON), reports_beside(path)
    studies: list[SourceStudy] = []
    problems: list[Problem] = []
    for folder, split in (("Tr", None), ("Ts", "test")):
        images = {volume_stem(file).removesuffix(FIRST_CHANNEL): file for file in volumes_in(path / f"images{folder}")}
        labels = {volume_stem(file): file for file in volumes_in(path / f"labels{folder}")}
        studies += [_study(case, images, labels, table, reports, "test" if split else None) for case in images]
        problems += [
            _without_image(case, f"labels{folder}/{labels[case].name}") for case in labels if case not in images
        ]
    known = {study.study_id for study in studies}
    problems += [_report_alone(case) for case in reports if case not in known]
    return gather(path, "nnunet", studies, problems)


def _study(
    case: str,
    images: dict[str, Path],
    labels: dict[str, Path],
    table: LabelTable,
    reports: dict[str, str],
    split: Split | None,
) -> SourceStudy:
    organs, lesions = table.sources(labels[case]) if case in labels else (None, None)
    return SourceStudy(
        study_id=case,
        patient_id=case,
        image=images[case],
        report=reports.get(case),
        organs=organs,
        lesions=lesions,
        split=split,
        report_if_no_lesion=True,  # every case has a label map, nnU-Net trains on no other
    )


def _without_image(case: str, file: str) -> Problem:
    return Problem(case, "missing_file", "error", "A label map has no image of the same name.", file)


def _report_alone(case: str) -> Problem:
    return Problem(case, "report_without_study", "warning", "A report is given for a study that has no image.")
