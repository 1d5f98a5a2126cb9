"""A tiny cohort on disk with predictions beside it: files in LPS orientation, anisotropic, as scanners write them."""

import json
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from dictamen.cohort.build import build_cohort
from dictamen.reports.schema import Finding, OrganState, ReportFindings

SHAPE = (40, 32, 20)
SPACING_MM = (2.0, 2.0, 3.0)
AFFINE = np.diag([-2.0, -2.0, 3.0, 1.0])  # LPS: index x grows to the patient's left
LEFT, RIGHT = (30, 16, 10), (10, 16, 10)  # voxels in the file
STUDIES = ("S1", "S2", "S3", "S4", "S5", "S6")
LESIONS = {"S1": [LEFT], "S2": [LEFT, RIGHT], "S3": [], "S4": [RIGHT]}
"""Studies with lesion masks; S5 and S6 have findings only."""
PREDICTED = {"S1": [LEFT], "S2": [LEFT], "S3": [RIGHT], "S4": [], "S5": [LEFT], "S6": []}


@dataclass(frozen=True)
class Tiny:
    cohort: Path
    predictions: Path


def ball(centre: tuple[int, int, int], radius_mm: float = 6.0) -> np.ndarray:
    grid = np.indices(SHAPE).reshape(3, -1).T
    distance = np.linalg.norm((grid - centre) * np.array(SPACING_MM), axis=1)
    return (distance <= radius_mm).reshape(SHAPE)


def lesion_map(centres: list[tuple[int, int, int]], radius_mm: float = 6.0) -> np.ndarray:
    return np.any([np.zeros(SHAPE, bool), *(ball(c, radius_mm) for c in centres)], axis=0).astype(np.uint8)


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, AFFINE), path)


def findings(study_id: str) -> ReportFindings:
    """S5: a tumour of 12 mm in the left kidney; S6: kidneys free, a liver cyst; the others: their masks in words."""
    sides = {LEFT: "left", RIGHT: "right"}
    where = {"S5": [LEFT], "S6": []} | LESIONS
    made = [
        Finding(
            study_id=study_id,
            kind="tumour",
            structure="kidney",
            side=sides[centre],
            parts=("upper pole",) if study_id == "S5" else (),
            diameters_mm=(12.0,),
            span=(0, 1),
        )
        for centre in where[study_id]
    ]
    found = {f.side for f in made}
    states = [
        OrganState(structure="kidney", side=side, status="lesions_complete" if side in found else "lesion_free")
        for side in ("left", "right")
    ]
    if study_id == "S6":
        made.append(Finding(study_id=study_id, kind="cyst", structure="liver", span=(2, 3)))
    return ReportFindings(study_id=study_id, findings=tuple(made), organ_states=tuple(states))


def build_tiny(root: Path) -> Tiny:
    """Write source, cohort and predictions below `root`."""
    source, predictions = root / "source", root / "predictions"
    organs = np.zeros(SHAPE, np.uint8)
    organs[ball(LEFT, 14)], organs[ball(RIGHT, 14)] = 1, 2
    rng = np.random.default_rng(0)
    lines = ["study_id,patient_id,image,organs,lesions,split"]
    for study in STUDIES:
        image = np.where(organs > 0, 100, 20) + rng.normal(0, 5, SHAPE)
        write(source / f"images/{study}.nii.gz", image.astype(np.int16))
        write(source / f"organs/{study}.nii.gz", organs)
        mask = ""
        if study in LESIONS:
            mask = f"lesions/{study}.nii.gz"
            write(source / mask, lesion_map(LESIONS[study]))
        lines.append(f"{study},PATIENT_{study},images/{study}.nii.gz,organs/{study}.nii.gz,{mask},test")
        write(predictions / f"{study}.nii.gz", lesion_map(PREDICTED[study], 5.0))
    (source / "studies.csv").write_text("\n".join(lines) + "\n")
    names = {"organs": {"1": "kidney_left", "2": "kidney_right"}, "lesions": {"1": "kidney_tumour"}}
    (source / "labels.json").write_text(json.dumps(names))
    (predictions / "labels.json").write_text(json.dumps({"labels": {"1": "kidney_tumour"}}))
    build_cohort(source / "studies.csv", root / "cohort", spacing_mm=4.0, findings={s: findings(s) for s in STUDIES})
    return Tiny(root / "cohort", predictions)
