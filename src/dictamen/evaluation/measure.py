"""One study measured: each label against its mask, or against what its report says. Pure functions on arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dictamen.errors import UsageError
from dictamen.evaluation.against_reports import SIDES, ReportTruth, Side
from dictamen.evaluation.detection import IOU_AT_LEAST, Criterion, Detection, Lesion, check_rule, detect
from dictamen.evaluation.overlap import Mask, Overlap, Spacing, bounding_box, overlap
from dictamen.evaluation.study_level import State
from dictamen.evaluation.surface import TOLERANCE_MM, SurfaceMetrics, surface_metrics

Against = Literal["masks", "reports"]
DECIMALS = 4
"""Of values in tables: finer differences mean nothing in a study."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure. Kept in metrics.json.

    Attributes:
        tolerance_mm: of the surface Dice.
        criterion, iou_at_least: when a lesion counts as found, see `detection.detect`.
        minimum_mm3: predicted lesions below this volume don't count (0: all count).

    Raises:
        UsageError: a value out of range.
    """

    tolerance_mm: float = TOLERANCE_MM
    criterion: Criterion = "iou"
    iou_at_least: float = IOU_AT_LEAST
    minimum_mm3: float = 0.0

    def __post_init__(self) -> None:
        if not (self.tolerance_mm >= 0 and self.minimum_mm3 >= 0):
            raise UsageError(
                "Tolerance and smallest volume must be 0 or more.", got=(self.tolerance_mm, self.minimum_mm3)
            )
        check_rule(self.criterion, self.iou_at_least)


DEFAULTS = Settings()


@dataclass(frozen=True, slots=True)
class Measurement:
    """One label (and side) in one study.

    Attributes:
        truth: present, absent, or unknown (then nothing else of it counts).
        predicted: whether the prediction has a lesion.
        score: how suspicious; the model's, or the predicted volume in mm3 where the model gave none.
        healthy: 1 no finding at all, 0 disease elsewhere, nan unknown.
        overlap, surface, detection: against masks, whole studies only.
        diameter_truth_mm, diameter_predicted_mm: longest axial diameter of the largest lesion; nan where there is none.
        count_error: predicted minus true number of lesions (against a report: how far outside its interval).
        part_agreement: part of the predicted volume that lies in the reported part of the organ, 0-1.
    """

    study_id: str
    patient_id: str
    label: str
    against: Against
    truth: State
    predicted: bool
    side: Side | None = None
    score: float = math.nan
    healthy: float = math.nan
    overlap: Overlap | None = None
    surface: SurfaceMetrics | None = None
    detection: Detection | None = field(default=None, repr=False)
    diameter_truth_mm: float = math.nan
    diameter_predicted_mm: float = math.nan
    count_error: float = math.nan
    part_agreement: float = math.nan

    @property
    def diameter_error_mm(self) -> float:
        """Predicted minus true diameter; nan where either is unknown."""
        return self.diameter_predicted_mm - self.diameter_truth_mm

    def row(self) -> dict[str, Any]:
        """A flat row for tables; undefined values are None."""
        values: dict[str, Any] = {
            "study_id": self.study_id,
            "label": self.label,
            "side": self.side,
            "against": self.against,
            "truth": self.truth,
            "predicted": self.predicted,
            "score": self.score,
        }
        if self.overlap is not None:
            values |= {
                name: getattr(self.overlap, name) for name in ("truth_mm3", "prediction_mm3", "false_positive_mm3")
            }
        if (
            self.overlap is not None and self.truth == "present"
        ):  # without truth a Dice of 0 or nan says no more than "predicted"
            values |= {name: getattr(self.overlap, name) for name in ("dice", "iou", "volume_difference")}
        if self.surface is not None and self.truth == "present":
            values |= {"nsd": self.surface.nsd, "hd95_mm": self.surface.hd95_mm, "assd_mm": self.surface.assd_mm}
        if self.detection is not None:
            found = self.detection
            values |= {
                "lesions": len(found.truths),
                "lesions_found": found.true_positives,
                "lesions_predicted": len(found.predictions),
                "false_positives": found.false_positives,
                "fragments": found.fragments,
            }
        values |= {
            name: getattr(self, name)
            for name in (
                "diameter_truth_mm",
                "diameter_predicted_mm",
                "diameter_error_mm",
                "count_error",
                "part_agreement",
            )
        }
        return {name: _tidy(value) for name, value in values.items()}


def measure_mask(
    truth: Mask, prediction: Mask, *, spacing_mm: Spacing, settings: Settings = DEFAULTS
) -> tuple[Overlap, SurfaceMetrics, Detection]:
    """Overlap, surfaces and lesions of one label; both masks boolean [X, Y, Z] canonical, on one grid."""
    box = bounding_box(truth, prediction, margin=1)
    crop = slice(0, 0) if box is None else box
    true, predicted = truth[crop], prediction[crop]
    return (
        overlap(true, predicted, spacing_mm=spacing_mm),
        surface_metrics(true, predicted, spacing_mm=spacing_mm, tolerance_mm=settings.tolerance_mm),
        detect(
            true, predicted, spacing_mm=spacing_mm, criterion=settings.criterion, iou_at_least=settings.iou_at_least
        ),
    )


def against_mask(
    truth: Mask,
    prediction: Mask,
    make: Callable[..., Measurement],
    *,
    spacing_mm: Spacing,
    score: float = math.nan,
    settings: Settings = DEFAULTS,
) -> Measurement:
    """Measure one label of one study against its mask; `make` is `Measurement` with the identity filled in."""
    voxels, surface, detection = measure_mask(truth, prediction, spacing_mm=spacing_mm, settings=settings)
    return make(
        against="masks",
        truth="present" if voxels.truth else "absent",
        predicted=bool(voxels.prediction),
        score=voxels.prediction_mm3 if math.isnan(score) else score,
        overlap=voxels,
        surface=surface,
        detection=detection,
        diameter_truth_mm=_largest(detection.truths),
        diameter_predicted_mm=_largest(detection.predictions),
        count_error=float(detection.count_error),
    )


def against_report(
    truth: ReportTruth,
    prediction: Mask,
    make: Callable[..., Measurement],
    *,
    spacing_mm: Spacing,
    score: float = math.nan,
    part: Mask | None = None,
) -> Measurement:
    """Measure one label of one study against its report; `part` is the reported part of the organ, if known."""
    box = bounding_box(prediction, margin=1) or slice(0, 0)
    crop = prediction[box]
    lesions = detect(np.zeros_like(crop), crop, spacing_mm=spacing_mm).predictions
    voxels = int(np.count_nonzero(crop))
    inside = int(np.count_nonzero(crop & part[box])) / voxels if part is not None and voxels else math.nan
    present = truth.state == "present"
    return make(
        against="reports",
        truth=truth.state,
        predicted=voxels > 0,
        score=voxels * float(np.prod(spacing_mm)) if math.isnan(score) else score,
        diameter_truth_mm=truth.diameter_mm or math.nan,
        diameter_predicted_mm=_largest(lesions),
        count_error=truth.count_error(len(lesions)) if present else math.nan,
        part_agreement=inside if present else math.nan,
    )


def midplane(organs: npt.NDArray[np.integer], left: Sequence[int], right: Sequence[int]) -> float | None:
    """The x index between left and right organ of a canonical organ map [X, Y, Z]; None where either is missing."""
    counts = [np.isin(organs, values).sum(axis=(1, 2)) for values in (left, right)]
    if not all(count.any() for count in counts):
        return None
    centres = [float(np.average(np.arange(count.size), weights=count)) for count in counts]
    return sum(centres) / 2


def split_sides(mask: Mask, plane: float) -> dict[Side, int]:
    """Voxels of the lesions on each side of the midplane; a lesion belongs wholly to the side of its centre."""
    from scipy import ndimage

    from dictamen.inference.postprocess import components

    voxels: dict[Side, int] = dict.fromkeys(SIDES, 0)
    box = bounding_box(mask)
    if box is None:
        return voxels
    labels, number = components(mask[box])
    centres = ndimage.center_of_mass(labels > 0, labels, range(1, number + 1))
    sizes = np.bincount(labels.ravel(), minlength=number + 1)[1:]
    for centre, size in zip(centres, sizes, strict=True):
        voxels["left" if centre[0] + box[0].start < plane else "right"] += int(size)
    return voxels


def drop_small(mask: Mask, *, spacing_mm: Spacing, minimum_mm3: float) -> Mask:
    """The mask without components below a volume."""
    from dictamen.inference.postprocess import components

    box = bounding_box(mask)
    if minimum_mm3 <= 0 or box is None:
        return mask
    labels, number = components(mask[box])
    sizes = np.bincount(labels.ravel(), minlength=number + 1) * float(np.prod(spacing_mm))
    keep = sizes >= minimum_mm3
    keep[0] = False
    kept = np.zeros_like(mask)
    kept[box] = keep[labels]
    return kept


def _largest(lesions: Iterable[Lesion]) -> float:
    return max((lesion.diameter_mm for lesion in lesions), default=math.nan)


def _tidy(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, DECIMALS)
    return value
