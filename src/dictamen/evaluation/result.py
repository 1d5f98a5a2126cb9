"""The result of an evaluation, and its files: metrics.json, metrics.csv, lesions.csv, report.html."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dictamen.evaluation.measure import DECIMALS, DEFAULTS, Measurement, Settings
from dictamen.evaluation.summary import LabelSummary
from dictamen.files import output_folder, write_json, write_text

FORMAT_VERSION = 1
METRICS_JSON, METRICS_CSV, LESIONS_CSV, REPORT_HTML = "metrics.json", "metrics.csv", "lesions.csv", "report.html"


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured.

    Attributes:
        split: which studies; None for all.
        against: "masks", "reports" or "auto" (masks where a study has them, else its report).
        labels: label name -> summary.
        measurements: one a study, label and side.
        missing: studies of the split without prediction; they are left out, or count as "nothing found" (`missing_as`).
        without_truth: studies with neither mask nor report to judge them.
        failed: study id -> why it could not be measured.
        warnings: what else should be known.
        settings, resamples, seed: how it was measured.
        html: the page, where it was made.
    """

    split: str | None
    against: str
    labels: Mapping[str, LabelSummary]
    measurements: tuple[Measurement, ...]
    missing: tuple[str, ...] = ()
    missing_as: str = "exclude"
    without_truth: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    settings: Settings = DEFAULTS
    resamples: int = 0
    seed: int = 0
    html: str | None = field(default=None, repr=False)

    def values(self, label: str, metric: str) -> dict[str, float]:
        """Study id -> value of a column of `Measurement.row` ("dice", "nsd", ...), nan where undefined."""
        rows = (m.row() for m in self.measurements if m.label == label and m.side is None and m.truth != "unknown")
        return {row["study_id"]: math.nan if row.get(metric) is None else float(row[metric]) for row in rows}

    def to_json(self) -> dict[str, Any]:
        """The content of metrics.json."""
        return {
            "format": "dictamen evaluation",
            "format_version": FORMAT_VERSION,
            "research_use_only": True,
            "split": self.split,
            "against": self.against,
            "settings": asdict(self.settings),
            "bootstrap": {"resamples": self.resamples, "seed": self.seed, "level": 0.95, "unit": "patient"},
            "missing": list(self.missing),
            "missing_as": self.missing_as,
            "without_truth": list(self.without_truth),
            "failed": dict(self.failed),
            "warnings": list(self.warnings),
            "labels": {name: summary.to_json() for name, summary in self.labels.items()},
            "studies": [m.row() for m in self.measurements],
        }

    def save(self, folder: Path, *, overwrite: bool = False) -> None:
        """Write all files to `folder`.

        Raises:
            UsageError: it holds files and `overwrite` is not set.
            ResourceError: disk full or not writable.
        """
        output_folder(folder, overwrite=overwrite)
        write_text(folder / METRICS_CSV, _csv([m.row() for m in self.measurements]))
        write_text(folder / LESIONS_CSV, _csv(list(self._lesion_rows())))
        if self.html is not None:
            write_text(folder / REPORT_HTML, self.html)
        write_json(folder / METRICS_JSON, self.to_json())  # last: its presence says that all is there

    def _lesion_rows(self) -> Iterator[dict[str, Any]]:
        for m in self.measurements:
            for role, lesions in (
                (("truth", m.detection.truths), ("prediction", m.detection.predictions)) if m.detection else ()
            ):
                for number, lesion in enumerate(lesions, start=1):
                    yield {
                        "study_id": m.study_id,
                        "label": m.label,
                        "role": role,
                        "lesion": number,
                        "volume_mm3": round(lesion.volume_mm3, 1),
                        "diameter_mm": round(lesion.diameter_mm, 1),
                        "matched": lesion.matched,
                        "iou": round(lesion.iou, DECIMALS),
                    }


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV with the union of all columns, in order of appearance."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
