"""From which end a cohort's slices are numbered: as configured, or as the run's own masks and reports show."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dictamen.cohort.store import Cohort, StudyArrays
from dictamen.supervision.image_planes import (
    ORDERS,
    TOLERANCE_MM,
    ImageOrder,
    ImagePlanes,
    measured_order,
    planes_of,
)
from dictamen.training.config import TrainConfig
from dictamen.training.plan import Plan


def choose_order(cohort: Cohort, plan: Plan, config: TrainConfig) -> ImageOrder | None:
    """`image_order` of the configuration; where it is "measured", what the studies of `plan.masks` show."""
    if config.image_order != "measured":
        return config.image_order if config.image_order != "unknown" else None
    if not plan.reports:
        return None
    return measured_order(shown for study_id in plan.masks for shown in _named(cohort, plan, study_id))


def image_planes(study: StudyArrays, order: ImageOrder | None) -> ImagePlanes | None:
    """Where the numbered slices of a study lie; None where their order is not known."""
    return order and planes_of(study.native_shape[2], study.native_affine, study.affine, order)


def _named(cohort: Cohort, plan: Plan, study_id: str) -> Iterator[tuple[bool, bool]]:
    """Of each image that the study's report names for a target, whether it shows one (from the head, from the feet)."""
    report, study = cohort.findings(study_id), cohort.study(study_id)
    values = {name: value for value, name in cohort.info.lesion_labels.items()}
    for target in plan.targets:
        images = {
            reference.image
            for finding in (report.findings if report else ())
            if finding.structure == target.structure and finding.kind in target.kinds and finding.temporal == "current"
            for reference in finding.slices
        }
        if not images or target.name not in values:
            continue
        shown = np.flatnonzero((study.level("lesions") == values[target.name]).any(axis=(0, 1)))
        for image in images:
            head, feet = (_shows(image_planes(study, order), image, shown) for order in ORDERS)
            yield head, feet


def _shows(planes: ImagePlanes | None, image: int, shown: np.ndarray) -> bool:
    place = planes.index(image) if planes else None
    if planes is None or place is None or not len(shown):
        return False
    return bool(np.abs(shown - place).min() * planes.spacing_mm <= TOLERANCE_MM)
