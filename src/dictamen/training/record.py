"""What a run leaves behind beside the model: metrics.jsonl and run.json. Facts and figures, never text of a report."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dictamen.errors import resource_errors
from dictamen.files import write_json
from dictamen.models.card import TrainingStudies

PACKAGES = ("dictamen", "torch", "monai", "lightning-fabric", "numpy", "tensorstore")


class MetricsLog:
    """metrics.jsonl: one JSON object a line, appended; lines at or beyond `from_step` are cut off on resume."""

    def __init__(self, path: Path, *, from_step: int = 0) -> None:
        self.path = path
        kept = [line for line in _complete_lines(path) if json.loads(line)["step"] <= from_step] if from_step else []
        with resource_errors(path):
            path.write_text("".join(kept), encoding="utf-8")

    def write(self, *, step: int, event: str, **values: object) -> None:
        """Append one line and flush it to the file."""
        line = json.dumps({"step": step, "event": event, **values}, allow_nan=False)
        with resource_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _complete_lines(path: Path) -> list[str]:
    """The lines of a file that may end in half a line, since the process that wrote it was killed."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]


def write_run(
    path: Path, *, device: str, seed: int, studies: Mapping[str, Sequence[str]], warnings: Sequence[str], **facts: Any
) -> None:
    """run.json: versions, device, seed, number and hashed ids of studies by role, warnings, and `facts`."""
    write_json(
        path,
        {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {name: version(name) for name in PACKAGES},
            "python": platform.python_version(),
            "device": device,
            "seed": seed,
            "studies": {
                role: {"count": len(ids), **TrainingStudies.of(ids).model_dump(mode="json")}
                for role, ids in studies.items()
            },
            "warnings": list(warnings),
            **facts,
        },
    )
