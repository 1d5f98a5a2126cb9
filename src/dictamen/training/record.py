"""What a run leaves behind beside the model: metrics.jsonl, timing.jsonl, run.json. Figures, never text of a report."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dictamen.errors import resource_errors
from dictamen.files import write_json, write_text
from dictamen.models.card import TrainingStudies

PACKAGES = ("dictamen", "torch", "monai", "lightning-fabric", "numpy", "tensorstore")


TIMES = ("seconds_per_step", "waiting_share")
"""Values that no seed makes the same."""


class MetricsLog:
    """metrics.jsonl: one JSON object a line, appended; lines beyond `from_step` are cut off on resume.

    What was measured with a clock goes to timing.jsonl beside it, so that the same seed gives the same metrics.jsonl.
    """

    def __init__(self, path: Path, *, from_step: int = 0) -> None:
        self.path, self.timing = path, path.with_name("timing.jsonl")
        for file in (self.path, self.timing):
            lines = _complete_lines(file) if from_step else []
            write_text(file, "".join(line for line in lines if json.loads(line)["step"] <= from_step))

    def write(self, *, step: int, event: str, **values: object) -> None:
        """Append one line and flush it to the file."""
        times = {name: values.pop(name) for name in TIMES if name in values}
        _append(self.path, {"step": step, "event": event, **values})
        if times:
            _append(self.timing, {"step": step, **times})


def _append(path: Path, values: Mapping[str, object]) -> None:
    with resource_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(values, allow_nan=False) + "\n")


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
