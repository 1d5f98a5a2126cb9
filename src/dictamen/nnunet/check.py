"""What a training with reports would use of each case of a data set, without nnU-Net."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK

from dictamen.cohort.layouts.dataset_json import DATASET_JSON
from dictamen.cohort.tables import read_json_object
from dictamen.errors import InputError
from dictamen.nnunet.dataset import read_findings, read_labels
from dictamen.supervision.from_findings import constraints


@dataclass(frozen=True)
class DatasetCheck:
    """Cases by what speaks of their lesions, and what was said but can't be used.

    Attributes:
        lesions: labels that reports can speak of.
        others: labels that mean neither an organ nor a lesion.
        masks, reports, neither: cases that show a lesion; that show none and have a report; that have neither.
        with_lesion: of `reports`, how many say that there is a lesion.
        deferred: reason -> how often.
    """

    lesions: tuple[str, ...]
    others: tuple[str, ...]
    masks: tuple[str, ...]
    reports: tuple[str, ...]
    neither: tuple[str, ...]
    with_lesion: int
    deferred: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def check_dataset(folder: Path) -> DatasetCheck:
    """Read all label maps and reports of a data set in nnU-Net's raw layout.

    Raises:
        InputError: dataset.json, the label maps or the reports can't be used.
    """
    dataset = read_json_object(folder / DATASET_JSON)
    labels = read_labels(dataset, folder / DATASET_JSON)
    ending = str(dataset.get("file_ending", ".nii.gz"))
    maps = {file.name.removesuffix(ending): file for file in sorted((folder / "labelsTr").glob(f"*{ending}"))}
    if not maps:
        raise InputError("The data set has no label maps.", where=folder / "labelsTr", expected=f"files *{ending}")
    findings = read_findings(folder, maps)
    masks = tuple(case for case, file in maps.items() if _values(file) & set(labels.lesions))
    reports = tuple(case for case in maps if case in findings and case not in masks)
    said = {case: constraints(findings[case], labels.targets) for case in reports}
    return DatasetCheck(
        lesions=tuple(target.name for target in labels.targets),
        others=labels.others,
        masks=masks,
        reports=reports,
        neither=tuple(case for case in maps if case not in masks and case not in reports),
        with_lesion=sum(any(constraint.count.lo > 0 for constraint in known) for known, _ in said.values()),
        deferred=dict(Counter(item.reason for _, deferred in said.values() for item in deferred).most_common()),
    )


def _values(file: Path) -> set[int]:
    try:
        array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file)))  # a view would outlive its image
    except RuntimeError:
        raise InputError("The label map can't be read.", where=file) from None
    return {int(value) for value in np.unique(array)}
