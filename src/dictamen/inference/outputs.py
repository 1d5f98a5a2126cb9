"""The output folder of a prediction: labels.json, studies.jsonl, lesions.csv, failed.jsonl, predict.json, and
statistics.csv where asked for.

studies.jsonl is the record of what is done: a study's line is appended once its label map is in place. Tables are made
from it, so that a killed process loses no study that was finished.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dictamen.errors import DictamenError, InputError, UsageError, resource_errors
from dictamen.files import write_json, write_text
from dictamen.inference.dicom_out import DICOM, REPORT, SEGMENTATION
from dictamen.inference.lesions import Lesion
from dictamen.inference.statistics import LabelStatistics
from dictamen.inference.study import Settings
from dictamen.models.card import RESEARCH_USE
from dictamen.models.package import CARD, WEIGHTS

LABELS, STUDIES, LESIONS, FAILED, RECORD = "labels.json", "studies.jsonl", "lesions.csv", "failed.jsonl", "predict.json"
STATISTICS = "statistics.csv"
HASH_CHUNK = 1 << 20
"""Bytes of the weights hashed at a time."""
NOT_THE_RESULT = frozenset({"device"})
"""Settings that may differ on resume: where, not what."""


@dataclass(frozen=True)
class Failure:
    """A study that could not be predicted, and why; the text holds no patient's identity."""

    study_id: str
    error: dict[str, str]

    @classmethod
    def of(cls, study_id: str, error: DictamenError | None) -> Failure:
        """From what `parallel.map_studies` gives."""
        return cls(study_id, error.to_dict() if error is not None else {"error": "Unknown"})

    def to_json(self) -> dict[str, str]:
        """A line of failed.jsonl."""
        return {"study_id": self.study_id, **self.error}


def label_map_path(folder: Path, study_id: str) -> Path:
    """Where a study's label map lies."""
    return folder / f"{study_id}.nii.gz"


class OutputFolder:
    """Writes the tables of one prediction."""

    def __init__(
        self,
        path: Path,
        labels: Mapping[int, str],
        model: Path,
        *,
        settings: Settings,
        prompts: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        self.labels = labels
        self.record = {
            "model": {"weights_sha256": file_sha256(model / WEIGHTS), "card_sha256": file_sha256(model / CARD)},
            "settings": {name: value for name, value in vars(settings).items() if name not in NOT_THE_RESULT}
            | ({"prompts": dict(prompts)} if prompts else {}),
            "versions": {"dictamen": version("dictamen")},
            "intended_use": RESEARCH_USE,
        }

    def begin(self, *, resume: bool) -> None:
        """Remove an earlier prediction, or check that this one goes on from it; write labels.json and predict.json.

        Raises:
            UsageError: the earlier prediction had another model or other settings.
        """
        if resume:
            self._check_same()
        else:
            self._remove_earlier()
        write_json(self.path / LABELS, {"labels": {str(value): name for value, name in self.labels.items()}})
        write_json(self.path / RECORD, self.record)
        self._rewrite(self._lines())  # a half-written last line is cut off before lines are added

    def done(self) -> frozenset[str]:
        """Ids with a line and a label map."""
        return frozenset(name for name in self._lines() if label_map_path(self.path, name).is_file())

    def add(self, line: Mapping[str, Any]) -> None:
        """Append a study's line."""
        with resource_errors(self.path / STUDIES), (self.path / STUDIES).open("a", encoding="utf-8") as file:
            file.write(_json(line) + "\n")

    def finish(self, order: Sequence[str], failed: Sequence[Failure]) -> int:
        """Sort studies.jsonl as the input is, write the tables and failed.jsonl; give the number of lesions."""
        lines = self._lines()
        place = {name: number for number, name in enumerate(order)}
        lines = {name: lines[name] for name in sorted(lines, key=lambda name: (place.get(name, len(place)), name))}
        self._rewrite(lines)
        rows = [row for line in lines.values() for row in line["lesions"]]
        points = [{**row, "centroid_mm": " ".join(str(value) for value in row["centroid_mm"])} for row in rows]
        write_text(self.path / LESIONS, _csv(points, Lesion.columns()))
        if statistics := [row for line in lines.values() for row in line.get("statistics", ())]:
            write_text(self.path / STATISTICS, _csv(statistics, LabelStatistics.columns()))
        if failed:
            write_text(self.path / FAILED, "".join(_json(failure.to_json()) + "\n" for failure in failed))
        else:
            (self.path / FAILED).unlink(missing_ok=True)
        return len(rows)

    def _lines(self) -> dict[str, dict[str, Any]]:
        """Lines by study id, the last of each; a line that is not whole is left out."""
        path = self.path / STUDIES
        lines = {}
        for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            try:
                line = json.loads(text)
                lines[line["study_id"]] = line
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
        return lines

    def _rewrite(self, lines: Mapping[str, Mapping[str, Any]]) -> None:
        write_text(self.path / STUDIES, "".join(_json(line) + "\n" for line in lines.values()))

    def _check_same(self) -> None:
        path = self.path / RECORD
        if not path.is_file():
            return
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise InputError(
                "The record of the earlier prediction can't be read.", where=path, next_step="use --overwrite"
            ) from error
        changed = [key for key in ("model", "settings") if earlier.get(key) != json.loads(json.dumps(self.record[key]))]
        if changed:
            raise UsageError(
                "The folder holds a prediction of another model or with other settings.",
                where=self.path,
                got=f"another {' and '.join(changed)}",
                next_step="resume with the same ones, choose another folder, or use --overwrite",
            )

    def _remove_earlier(self) -> None:
        """Our own files only."""
        with resource_errors(self.path):
            for name in self._lines():
                label_map_path(self.path, name).unlink(missing_ok=True)
                for made in (SEGMENTATION, REPORT):
                    (self.path / DICOM / name / made).unlink(missing_ok=True)
            for name in (STUDIES, LESIONS, STATISTICS, FAILED, LABELS, RECORD):
                (self.path / name).unlink(missing_ok=True)


def _csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
