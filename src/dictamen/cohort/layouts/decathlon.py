"""Medical Segmentation Decathlon: dataset.json lists images and label maps; labels are value -> name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dictamen.cohort.layouts.dataset_json import DATASET_JSON, LabelTable, label_table, reports_beside
from dictamen.cohort.manifest import Problem
from dictamen.cohort.source import Source, SourceStudy, gather, inside, volume_stem
from dictamen.cohort.tables import read_json_object
from dictamen.errors import InputError


def read(path: Path, *, allow_outside: bool = False) -> Source:
    """List the studies of `training` and `test`; those of `test` have no label map and are the test split.

    Raises:
        InputError: dataset.json can't be used.
    """
    file = path / DATASET_JSON
    dataset = read_json_object(file)
    table, reports = label_table(dataset, file), reports_beside(path)
    studies: list[SourceStudy] = []
    problems: list[Problem] = []
    for entry, is_test in _entries(dataset, file):
        try:
            studies.append(_study(entry, path, table, reports, is_test=is_test, allow_outside=allow_outside))
        except InputError as error:
            problems.append(Problem(None, "unusable_row", "error", str(error), DATASET_JSON))
    known = {study.study_id for study in studies}
    problems += [
        Problem(case, "report_without_study", "warning", "A report is given for a study that has no image.")
        for case in reports
        if case not in known
    ]
    return gather(path, "decathlon", studies, problems, file=DATASET_JSON)


def _entries(dataset: Mapping[str, Any], file: Path) -> Iterator[tuple[Mapping[str, str], bool]]:
    for key in ("training", "test"):
        entries = dataset.get(key, [])
        if not isinstance(entries, list):
            raise InputError(f"`{key}` is not a list.", where=file, got=type(entries).__name__)
        for entry in entries:
            yield ({"image": entry} if isinstance(entry, str) else entry), key == "test"


def _study(
    entry: Mapping[str, str],
    root: Path,
    table: LabelTable,
    reports: Mapping[str, str],
    *,
    is_test: bool,
    allow_outside: bool,
) -> SourceStudy:
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
        raise InputError(
            "An entry names no image.", expected='{"image": "./imagesTr/x.nii.gz", "label": "./labelsTr/x.nii.gz"}'
        )
    image = inside(root, entry["image"], allow_outside=allow_outside)
    label = inside(root, entry["label"], allow_outside=allow_outside) if entry.get("label") else None
    organs, lesions = table.sources(label) if label else (None, None)
    case = volume_stem(image)
    return SourceStudy(
        study_id=case,
        patient_id=case,
        image=image,
        report=reports.get(case),
        organs=organs,
        lesions=lesions,
        split="test" if is_test else None,
    )
