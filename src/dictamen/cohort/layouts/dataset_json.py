"""What nnU-Net's and the Decathlon's dataset.json have in common: one label map that holds organs and lesions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dictamen.anatomy.lesion_labels import is_lesion
from dictamen.cohort.source import MaskSource
from dictamen.cohort.tables import read_reports
from dictamen.errors import InputError

DATASET_JSON = "dataset.json"
REPORT_FILES = ("reports.csv", "reports.jsonl")
BACKGROUND = "background"
IGNORE = "ignore"
"""nnU-Net's label of unknown voxels. No label map of ours can say "unknown", so studies that use it are refused."""


@dataclass(frozen=True)
class LabelTable:
    """Names of the values of a label map, apart for organs and lesions."""

    organs: Mapping[int, str]
    lesions: Mapping[int, str]

    def sources(self, path: Path) -> tuple[MaskSource | None, MaskSource | None]:
        """(organs, lesions) of the label map at `path`."""
        organs = MaskSource(label_map=path, names=self.organs) if self.organs else None
        lesions = MaskSource(label_map=path, names=self.lesions) if self.lesions else None
        return organs, lesions


def label_table(dataset: Mapping[str, Any], path: Path) -> LabelTable:
    """Read `labels`: name -> value, name -> values of a region (nnU-Net), or value -> name (Decathlon).

    A value that belongs to several regions takes the smallest: of "kidney": [1, 2, 3] and "tumor": 2, voxels of 2 are
    tumour in the lesion map and kidney in the organ map.

    Raises:
        InputError: `labels` is missing or of another form.
    """
    regions = label_regions(dataset.get("labels"), path)
    lesions = {name: values for name, values in regions.items() if is_lesion(name)}
    organs = {name: values for name, values in regions.items() if name not in lesions}
    return LabelTable(_smallest(organs), _smallest(lesions))


def reports_beside(root: Path) -> dict[str, str]:
    """study_id -> text of a reports.csv or reports.jsonl beside dataset.json."""
    found = next((root / name for name in REPORT_FILES if (root / name).is_file()), None)
    return read_reports(found) if found else {}


def label_regions(labels: object, path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> values of `labels`, background and ignored voxels left out.

    Raises:
        InputError: it is missing or of another form.
    """
    if not isinstance(labels, dict) or not labels:
        raise InputError("`labels` is missing.", where=path, expected='{"background": 0, "liver": 1, ...}')
    regions = {}
    for key, value in labels.items():
        name, values = (value, key) if isinstance(value, str) and str(key).isdigit() else (key, value)
        try:
            numbers = tuple(int(v) for v in (values if isinstance(values, list) else [values]))
        except (TypeError, ValueError):
            raise InputError(
                "A label is neither a value nor a list of values.", where=path, got=f"{key}: {value}"
            ) from None
        if name.lower() not in (BACKGROUND, IGNORE) and numbers != (0,):
            regions[name] = tuple(n for n in numbers if n != 0)
    return regions


def _smallest(regions: Mapping[str, Sequence[int]]) -> dict[int, str]:
    table: dict[int, str] = {}
    for name, values in sorted(regions.items(), key=lambda item: -len(item[1])):
        table.update(dict.fromkeys(values, name))
    return dict(sorted(table.items()))
