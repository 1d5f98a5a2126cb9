"""Small studies written in code."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume

SHAPE = (30, 28, 20)
SPACING = (1.5, 1.5, 3.0)
ORGAN = (slice(4, 24), slice(4, 24), slice(3, 17))
LESION = (slice(8, 12), slice(8, 12), slice(6, 9))
REPORT = "FINDINGS: Liver: There is a 2.3 cm cyst in the liver. Spleen is normal."


def affine(spacing: tuple[float, ...] = SPACING, flip: tuple[int, ...] = (-1, -1, 1)) -> np.ndarray:
    matrix = np.diag([*(s * f for s, f in zip(spacing, flip, strict=True)), 1.0])
    matrix[:3, 3] = (12.0, -7.0, 30.0)
    return matrix


def image(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(-50, 250, shape), -1000, 1200).astype(np.int16)


def blank(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.zeros(shape, dtype=np.uint8)


def organ_map() -> np.ndarray:
    labels = blank()
    labels[ORGAN] = 1
    return labels


def lesion_map() -> np.ndarray:
    labels = blank()
    labels[LESION] = 1
    return labels


def write(path: Path, array: np.ndarray, matrix: np.ndarray | None = None, names: dict[int, str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(Volume(array[np.newaxis], affine() if matrix is None else matrix), path, label_names=names)
    return path


class StudiesCsv:
    """A folder with studies.csv, filled study by study."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: list[dict[str, str]] = []
        root.mkdir(parents=True, exist_ok=True)
        self.labels({"organs": {"1": "liver"}, "lesions": {"1": "liver_lesion"}})

    def labels(self, table: dict[str, Any]) -> None:
        (self.root / "labels.json").write_text(json.dumps(table), encoding="utf-8")

    def add(self, study_id: str, **cells: str) -> None:
        """A good study, with the given cells changed; "" leaves one out."""
        number = len(self.rows)
        paths = {
            "image": f"images/{study_id}.nii.gz",
            "organs": f"organs/{study_id}.nii.gz",
            "lesions": f"lesions/{study_id}.nii.gz",
        }
        row = {"study_id": study_id, "patient_id": "", **paths, "report": REPORT, "split": "", **cells}
        for kind, array in (("image", image(number)), ("organs", organ_map()), ("lesions", lesion_map())):
            if row[kind] == paths[kind]:
                write(self.root / row[kind], array)
        self.rows.append(row)
        self.save()

    def save(self) -> None:
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)

    @property
    def path(self) -> Path:
        return self.root / "studies.csv"
