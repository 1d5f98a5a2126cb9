"""cohort.json: what holds for all studies, and every problem met while building. Names of the files of a cohort."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dictamen.errors import InputError
from dictamen.files import write_text

COHORT_JSON = "cohort.json"
STUDIES_PARQUET = "studies.parquet"
FINDINGS_PARQUET = "findings.parquet"
REPORTS_PARQUET = "reports.parquet"
ARRAYS = "arrays"
FORMAT_VERSION = 1

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a study, or with the source as a whole (`study_id` None).

    Args:
        code: stable word for programs, e.g. "geometry_mismatch".
        severity: "error" must be corrected, "warning" should be looked at.
        message: what, got, expected, next step; never report text, never a patient's identity.
        file: relative to the source where it lies inside.
    """

    study_id: str | None
    code: str
    severity: Severity
    message: str
    file: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """For `--json` and cohort.json."""
        return dict(vars(self))


class ProblemRecord(BaseModel):
    """A `Problem` in cohort.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study_id: str | None
    code: str
    severity: Severity
    message: str
    file: str | None


class Manifest(BaseModel):
    """The content of cohort.json; `status` is "building" until all studies were tried."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["dictamen cohort"] = "dictamen cohort"
    format_version: int = FORMAT_VERSION
    dictamen_version: str
    status: Literal["building", "complete"]
    layout: str
    spacing_mm: tuple[float, float, float]
    split_seed: int
    organ_labels: dict[int, str]
    lesion_labels: dict[int, str]
    studies: int = 0
    failed: tuple[str, ...] = ()
    problems: tuple[ProblemRecord, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read cohort.json.

        Raises:
            InputError: the folder is no cohort, the file is damaged or of a later version.
        """
        try:
            manifest = cls.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InputError(
                "The folder is no cohort.",
                where=path.parent,
                expected=f"a folder that holds {path.name}",
                next_step="make one with `dictamen cohort build SRC -o COHORT`",
            ) from error
        except (OSError, ValueError, ValidationError) as error:
            raise InputError(
                "The file can't be read as a cohort's description.",
                where=path,
                next_step="build the cohort again with --overwrite",
            ) from error
        if manifest.format_version > FORMAT_VERSION:
            raise InputError(
                "The cohort was written by a later version of dictamen.",
                where=path,
                got=manifest.format_version,
                expected=f"at most {FORMAT_VERSION}",
                next_step="update dictamen, or build the cohort again",
            )
        return manifest

    def write(self, path: Path) -> None:
        """Write cohort.json atomically."""
        write_text(path, self.model_dump_json(indent=2) + "\n")
