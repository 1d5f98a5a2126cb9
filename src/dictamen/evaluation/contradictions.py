"""Where a study's masks and its report contradict each other: a pure function of one study.

Every constraint that the report gives on a region is held against the lesion mask in that region. What the report
leaves open is no contradiction, nor is what the masks can't show (no organ mask, a label that nobody annotated).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dictamen.anatomy.lesion_labels import LesionLabel
from dictamen.anatomy.regions import region_mask
from dictamen.cohort.store import StudyArrays
from dictamen.evaluation.pictures import focus_of
from dictamen.inference.postprocess import components
from dictamen.reports.schema import ReportFindings
from dictamen.supervision.constraint import Constraint
from dictamen.supervision.from_findings import constraints
from dictamen.supervision.picture import describe
from dictamen.supervision.region_geometry import Dilation, OrganMap, label_regions
from dictamen.supervision.sizes import ball_volume
from dictamen.supervision.study_regions import kind_of

Kind = Literal["not in the mask", "not in the report", "another number", "another volume", "removed organ"]

LEAST_MM3 = ball_volume(5.0)
"""A smaller difference is a matter of taste: readers disagree about a border by a voxel."""
HALF_MM3 = ball_volume(12.0)
"""A missing or additional lesion of this size is half as severe as a contradiction can be."""


@dataclass(frozen=True)
class Contradiction:
    """One statement of a report that the masks of the study don't bear out.

    Attributes:
        study_id: of the study.
        label: of the lesion mask; of the organ mask for a removed organ.
        kind: what contradicts what.
        severity: 0 to 1, by how much and how sure the report is; for ranking.
        said: the constraint in words, no text of the report.
        found: what the mask holds there.
        spans: where the report says it.
        focus: voxel (canonical, native grid) at which to look.
    """

    study_id: str
    label: str
    kind: Kind
    severity: float
    said: str
    found: str
    spans: tuple[tuple[int, int], ...]
    focus: tuple[int, int, int]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "severity": round(self.severity, 3)}


@dataclass(frozen=True)
class AuditTask:
    """One study to audit: its arrays, its report, names of its maps, the lesion labels that are checked."""

    study_id: str
    arrays: StudyArrays
    report: ReportFindings
    organ_names: dict[int, str]
    lesion_values: dict[str, int]
    targets: tuple[LesionLabel, ...]


def audit_study(task: AuditTask) -> list[Contradiction]:
    """All contradictions of one study, at training resolution."""
    organs, lesions = task.arrays.level("organs"), task.arrays.level("lesions")
    organ_map = OrganMap(organs, task.organ_names, task.arrays.affine)
    found = list(_removed(task, organs))
    targets = [target for target in task.targets if target.name in task.arrays.lesion_names_annotated]
    known, _ = constraints(task.report, targets)
    for target in targets:
        mask = np.asarray(lesions == task.lesion_values[target.name])
        own = [constraint for constraint in known if constraint.label == target.name]
        for constraint, region in label_regions(organ_map, own, Dilation()).placed:
            found += _contradictions(task, constraint, mask & region, region)
    return found


def _contradictions(
    task: AuditTask, constraint: Constraint, mask: npt.NDArray[np.bool_], region: npt.NDArray[np.bool_]
) -> Iterator[Contradiction]:
    """At most one of a region: the gravest thing that is wrong with it."""
    state = kind_of(constraint)
    if state == "unknown":
        return
    volume = float(mask.sum() * math.prod(task.arrays.spacing_mm))
    number = components(mask)[1] if volume else 0
    allowed = constraint.volume_mm3
    kind: Kind
    if state == "absent":
        if volume < LEAST_MM3:
            return
        kind, severity = "not in the report", _by_volume(volume)
    elif state == "positive" and not volume:
        kind, severity = "not in the mask", _by_volume(max(allowed.lo, LEAST_MM3))
    elif volume + LEAST_MM3 < allowed.lo or volume - LEAST_MM3 > allowed.hi:
        nearest = allowed.lo if volume < allowed.lo else allowed.hi
        kind, severity = "another volume", 1 - math.exp(-abs(math.log(max(volume, LEAST_MM3) / nearest)))
    elif number > constraint.count.hi or 0 < number < constraint.count.lo:
        nearest = constraint.count.hi if number > constraint.count.hi else constraint.count.lo
        kind, severity = "another number", 0.5 * (1 - min(number, nearest) / max(number, nearest))
    else:
        return
    words = f"{number} lesion{'s' * (number != 1)}, {volume / 1000:.1f} ml" if number else "no lesion"
    yield Contradiction(
        task.study_id, constraint.label, kind, severity * constraint.weight, describe(constraint), words,
        constraint.spans, _native(task, mask, region),
    )  # fmt: skip


def _removed(task: AuditTask, organs: npt.NDArray[np.integer[Any]]) -> Iterator[Contradiction]:
    """Organs that the report calls removed and that the organ mask holds."""
    spans = {(state.structure, state.side): state.span for state in task.report.organ_states}
    for name in task.report.removed_structures:
        structure, _, side = name.partition(":")
        sides: dict[str, Literal["left", "right"]] = {"left": "left", "right": "right"}
        place = region_mask(organs, task.organ_names, task.arrays.affine, structure=structure, side=sides.get(side))
        if place is None or (side and place.precision == "organ"):
            continue
        volume = float(place.mask.sum() * math.prod(task.arrays.spacing_mm))
        span = spans.get((structure, sides.get(side)))
        words = " ".join(part for part in (side, structure.replace("_", " ")) if part)
        if volume >= LEAST_MM3:
            yield Contradiction(
                task.study_id, structure, "removed organ", _by_volume(volume), f"{words}: removed",
                f"{volume / 1000:.1f} ml", (span,) if span else (), _native(task, place.mask),
            )  # fmt: skip


def _by_volume(volume_mm3: float) -> float:
    return volume_mm3 / (volume_mm3 + HALF_MM3)


def _native(task: AuditTask, *masks: npt.NDArray[np.bool_]) -> tuple[int, int, int]:
    """The middle of the first mask that is not empty, as a voxel of the native grid."""
    voxel = focus_of(*masks, shape=task.arrays.shape)
    native = np.linalg.inv(task.arrays.native_affine) @ task.arrays.affine @ (*voxel, 1.0)
    x, y, z = np.clip(np.rint(native[:3]).astype(int), 0, np.subtract(task.arrays.native_shape, 1)).tolist()
    return x, y, z


def ranked(found: Sequence[Contradiction]) -> list[Contradiction]:
    """The most severe first; studies in order among equals."""
    return sorted(found, key=lambda contradiction: (-contradiction.severity, contradiction.study_id))
