"""Read one study's prediction and truth, and measure all labels. The function that runs in worker processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError
from dictamen.evaluation.against_reports import SIDES, ReportTruth, Side, is_healthy, report_truth
from dictamen.evaluation.label_pairs import LabelPair
from dictamen.evaluation.measure import (
    Measurement,
    Settings,
    against_mask,
    against_report,
    drop_small,
    midplane,
    split_sides,
)
from dictamen.evaluation.overlap import Mask, Spacing, bounding_box

if TYPE_CHECKING:
    from dictamen.cohort.store import StudyArrays
    from dictamen.reports.schema import ReportFindings

LabelArray = npt.NDArray[np.integer]
Mode = Literal["masks", "reports", "auto"]

PART_MARGIN_MM = 15.0
"""Borders of organ parts are imprecise: a lesion so near to the reported part agrees with it (R-Super's margin)."""


@dataclass(frozen=True)
class StudyTask:
    """What one study needs to be measured; can be sent to a worker.

    Attributes:
        prediction: its label map; None counts as "nothing predicted".
        scores: predicted label name, or "<name>:<side>" -> score; what is missing is ranked by predicted volume.
    """

    study_id: str
    patient_id: str
    arrays: StudyArrays
    report: ReportFindings | None
    prediction: Path | None
    scores: dict[str, float]
    organs: dict[int, str]


@dataclass(frozen=True)
class StudyResult:
    """Measurements of one study (none where it has no truth), and what should be known about it."""

    measurements: tuple[Measurement, ...]
    warnings: tuple[str, ...] = ()


def measure_study(task: StudyTask, *, pairs: tuple[LabelPair, ...], against: Mode, settings: Settings) -> StudyResult:
    """Measure every label of one study, against its mask or its report.

    Raises:
        InputError: the prediction can't be read.
    """
    modes = {pair.name: _mode(task, pair, against) for pair in pairs}
    if not any(modes.values()):
        return StudyResult(())
    affine = task.arrays.native_affine
    shape: tuple[int, ...] | None = None
    truth: LabelArray | None = None
    if task.arrays.has("lesions"):
        truth = task.arrays.level("lesions", 0)
        shape = truth.shape
    prediction, warning = read_prediction(task, shape)
    spacing = _spacing(affine)
    healthy = _healthy(task, truth)
    plane = _Sides(task)
    measurements: list[Measurement] = []
    for pair in pairs:
        make = partial(Measurement, task.study_id, task.patient_id, pair.name, healthy=healthy)
        mask = drop_small(prediction == pair.predicted_value, spacing_mm=spacing, minimum_mm3=settings.minimum_mm3)
        score = task.scores.get(pair.predicted_name, math.nan)
        if modes[pair.name] == "masks" and truth is not None:
            true = truth == pair.truth_value
            measurements.append(against_mask(true, mask, make, spacing_mm=spacing, score=score, settings=settings))
            measurements += _sides_of_masks(task, pair, true, mask, make, plane.of(pair))
        elif modes[pair.name] == "reports" and task.report is not None:
            measurements += _measure_report(task, pair, mask, make, plane.of(pair), score)
    return StudyResult(tuple(measurements), (warning,) if warning else ())


def read_prediction(task: StudyTask, shape: tuple[int, ...] | None = None) -> tuple[LabelArray, str | None]:
    """The predicted label map on the study's canonical native grid, and a warning where it had to be resampled."""
    from dictamen.imaging import geometry
    from dictamen.imaging.read import read_label_map
    from dictamen.imaging.volume import Volume

    shape = shape or task.arrays.level("image", 0).shape
    if task.prediction is None:
        return np.zeros(shape, dtype=np.uint8), None
    volume = geometry.to_canonical(read_label_map(task.prediction, task.study_id))
    like = Volume(np.broadcast_to(np.uint8(0), (1, *shape)), task.arrays.native_affine, task.study_id)
    if geometry.same_grid(volume, like):
        return volume.array[0], None
    moved = geometry.resample(volume, like=like, labels=True)
    return moved.array[
        0
    ], f"{task.study_id}: the prediction lies on another grid than the image and was resampled (nearest)"


def _mode(task: StudyTask, pair: LabelPair, against: Mode) -> Literal["masks", "reports"] | None:
    annotated = pair.truth_value is not None and pair.name in task.arrays.lesion_names_annotated
    if against != "reports" and annotated:
        return "masks"
    reportable = task.report is not None and pair.target.structure is not None  # no organ: nothing says what is absent
    return "reports" if against != "masks" and reportable else None


def _measure_report(
    task: StudyTask, pair: LabelPair, mask: Mask, make: Callable[..., Measurement], plane: float | None, score: float
) -> list[Measurement]:
    from dictamen.supervision.from_findings import constraints

    if task.report is None:
        raise InputError("The study has no report.", where=task.study_id)
    made, _ = constraints(task.report, [pair.target])
    truth = report_truth(made, pair.name)
    spacing = _spacing(task.arrays.native_affine)
    whole = against_report(truth, mask, make, spacing_mm=spacing, score=score, part=_part(task, pair, truth, mask))
    if plane is None:
        return [whole]
    voxels = split_sides(mask, plane)
    return [whole] + [
        make(
            against="reports",
            truth=report_truth(made, pair.name, side=side).state,
            predicted=voxels[side] > 0,
            side=side,
            score=_side_score(task, pair, side, voxels[side]),
        )
        for side in SIDES
    ]


def _sides_of_masks(
    task: StudyTask,
    pair: LabelPair,
    truth: Mask,
    mask: Mask,
    make: Callable[..., Measurement],
    plane: float | None,
) -> list[Measurement]:
    if plane is None:
        return []
    true, predicted = split_sides(truth, plane), split_sides(mask, plane)
    return [
        make(
            against="masks",
            truth="present" if true[side] else "absent",
            predicted=predicted[side] > 0,
            side=side,
            score=_side_score(task, pair, side, predicted[side]),
        )
        for side in SIDES
    ]


def _side_score(task: StudyTask, pair: LabelPair, side: Side, voxels: int) -> float:
    """The model's score of the side, or the predicted volume in mm3."""
    volume = voxels * float(np.prod(_spacing(task.arrays.native_affine)))
    return task.scores.get(f"{pair.predicted_name}:{side}", volume)


class _Sides:
    """Planes between left and right organs of one study; the organ map is read at most once, at training spacing."""

    def __init__(self, task: StudyTask) -> None:
        self._task = task
        self._organs: LabelArray | None = None

    def of(self, pair: LabelPair) -> float | None:
        """The x index at native spacing between the label's organs; None for unpaired or missing ones."""
        from dictamen.anatomy.vocabulary import load

        if pair.target.structure is None or pair.target.side is not None or not self._task.arrays.has("organs"):
            return None
        values: dict[Side, list[int]] = {"left": [], "right": []}
        for value, name in self._task.organs.items():
            structure, side = load().whole(name) if name in load() else (name, None)
            if structure == pair.target.structure and side is not None:
                values[side].append(value)
        if not all(values.values()):
            return None
        if self._organs is None:
            self._organs = self._task.arrays.level("organs", 1)
        plane = midplane(self._organs, values["left"], values["right"])
        if plane is None:
            return None
        point = self._task.arrays.affine @ np.array([plane, 0, 0, 1])  # canonical grids: x alone moves along x
        return float((np.linalg.inv(self._task.arrays.native_affine) @ point)[0])


def _part(task: StudyTask, pair: LabelPair, truth: ReportTruth, mask: Mask) -> Mask | None:
    """The reported part of the organ with its margin, near the prediction; None where it can't be told."""
    from dictamen.anatomy import regions

    if not truth.parts or pair.target.structure is None or not task.arrays.has("organs"):
        return None
    organs = task.arrays.level("organs", 0)
    region = regions.region_mask(
        organs,
        task.organs,
        task.arrays.native_affine,
        structure=pair.target.structure,
        side=truth.side,
        parts=truth.parts,
    )
    spacing = _spacing(task.arrays.native_affine)
    box = bounding_box(mask, margin=math.ceil(PART_MARGIN_MM / min(spacing)))
    if region is None or region.precision != "part" or box is None:
        return None
    part = np.zeros_like(mask)
    part[box] = regions.dilate(region.mask[box], spacing, PART_MARGIN_MM)
    return part


def _healthy(task: StudyTask, truth: LabelArray | None) -> float:
    """1 no finding at all, 0 some, nan where nobody said."""
    if truth is not None and truth.any():
        return 0.0
    return float(is_healthy(task.report)) if task.report is not None else math.nan


def _spacing(affine: npt.NDArray[np.float64]) -> Spacing:
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return x, y, z
