"""The predictions to be measured: a folder of label maps, one file a study, and what their numbers mean."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from dictamen.errors import InputError

LABELS_JSON, STUDIES_JSONL = "labels.json", "studies.jsonl"
SUFFIXES = (".nii.gz", ".nii")
HOW_TO_NAME = (
    'write labels.json beside the label maps, {"labels": {"1": "kidney_tumour"}}, or name such a file with --labels'
)


class _LabelsFile(BaseModel):
    """labels.json; other keys of the writer are allowed."""

    model_config = ConfigDict(frozen=True)

    labels: dict[int, str]


class _StudyLine(BaseModel):
    """One line of studies.jsonl; only what is needed here."""

    model_config = ConfigDict(frozen=True)

    study_id: str
    scores: dict[str, float] = {}
    scores_by_side: dict[str, dict[str, float]] = {}


@dataclass(frozen=True)
class Predictions:
    """A folder of predictions.

    Attributes:
        folder: where <study_id>.nii.gz lie, each on its source image's own grid.
        labels: value in the maps -> label name.
        scores: study id -> label name, or "<label name>:<side>" -> how suspicious it is, where the model said so.
    """

    folder: Path
    labels: Mapping[int, str]
    scores: Mapping[str, Mapping[str, float]]

    @classmethod
    def open(cls, folder: Path, *, labels_file: Path | None = None) -> Predictions:
        """Find label maps, labels and scores.

        Args:
            folder: output of `dictamen predict`, or label maps of another tool.
            labels_file: names of the labels, where they are not in the folder's labels.json.

        Raises:
            InputError: no folder, no label map, labels.json missing or wrong, studies.jsonl wrong.
        """
        if not folder.is_dir():
            raise InputError(
                "There is no folder of predictions.", where=folder, next_step="run `dictamen predict` first"
            )
        labels = read_labels(labels_file or folder / LABELS_JSON)
        predictions = cls(folder, labels, _read_scores(folder / STUDIES_JSONL))
        if not predictions.files:
            raise InputError("The folder holds no label map.", where=folder, expected="<study_id>.nii.gz")
        return predictions

    @cached_property
    def files(self) -> dict[str, Path]:
        """Study id -> label map."""
        found = {}
        for path in sorted(self.folder.iterdir()):
            suffix = next((s for s in SUFFIXES if path.name.endswith(s)), None)
            if suffix and path.is_file() and not path.name.startswith("."):
                found[path.name.removesuffix(suffix)] = path
        return found

    def score(self, study_id: str, label: str) -> float:
        """The model's score; nan where it gave none."""
        return self.scores.get(study_id, {}).get(label, math.nan)


def read_labels(path: Path) -> dict[int, str]:
    """Value in the maps -> label name, of a labels.json.

    Raises:
        InputError: it is missing or wrong.
    """
    try:
        labels = _LabelsFile.model_validate_json(path.read_text(encoding="utf-8")).labels
    except FileNotFoundError as error:
        raise InputError(
            "Nothing says what the numbers in the label maps mean.", where=path, next_step=HOW_TO_NAME
        ) from error
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise InputError(
            "The file of label names can't be read.",
            where=path,
            expected='{"labels": {"1": "kidney_tumour"}}',
            next_step=HOW_TO_NAME,
        ) from error
    if not labels or min(labels) < 1 or len(set(labels.values())) < len(labels):
        raise InputError(
            "Label names must belong to distinct numbers from 1 up.", where=path, got=labels, next_step=HOW_TO_NAME
        )
    return labels


def _read_scores(path: Path) -> dict[str, dict[str, float]]:
    if not path.exists():
        return {}
    try:
        lines = [
            _StudyLine.model_validate(json.loads(line))
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.strip()
        ]
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            "The file of study scores can't be read.",
            where=path,
            expected='lines {"study_id": "...", "scores": {"kidney_tumour": 0.93}}',
        ) from error
    return {line.study_id: line.scores | _sides(line) for line in lines}


def _sides(line: _StudyLine) -> dict[str, float]:
    return {f"{name}:{side}": score for name, sides in line.scores_by_side.items() for side, score in sides.items()}
