"""How far the regions of a run reach beyond their organ masks: as configured, or as its own masks show."""

from __future__ import annotations

import numpy as np

from dictamen.anatomy.regions import region_mask
from dictamen.cohort.store import Cohort
from dictamen.supervision.reach import Reach, lesion_reaches, measured_dilation
from dictamen.supervision.region_geometry import Dilation
from dictamen.training.config import TrainConfig
from dictamen.training.plan import Plan

MOST_STUDIES = 16
"""More would say the same, and cost minutes at full resolution."""


def choose_dilation(cohort: Cohort, plan: Plan, config: TrainConfig) -> Dilation:
    """`organ_dilation_mm` of the configuration; where it is None, what the studies of `plan.masks` show."""
    if config.organ_dilation_mm is not None:
        return Dilation(part_mm=config.part_dilation_mm, organ_mm=config.organ_dilation_mm)
    default = Dilation(part_mm=config.part_dilation_mm)
    if not plan.reports:
        return default
    studies = [i for i in plan.masks if i in plan.positive and cohort.study(i).has("organs")]
    return measured_dilation((r for i in studies[:MOST_STUDIES] for r in _reaches(cohort, plan, i)), default)


def _reaches(cohort: Cohort, plan: Plan, study_id: str) -> list[Reach]:
    study = cohort.study(study_id)
    organs, lesions = study.level("organs"), study.level("lesions")
    values = {name: value for value, name in cohort.info.lesion_labels.items()}
    found: list[Reach] = []
    for target in plan.targets:
        if target.structure is None or target.name not in values:
            continue
        organ = region_mask(organs, cohort.info.organ_labels, study.affine, structure=target.structure)
        if organ is not None:
            found += lesion_reaches(organ.mask, np.asarray(lesions == values[target.name]), study.spacing_mm)
    return found
