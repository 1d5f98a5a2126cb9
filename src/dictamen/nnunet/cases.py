"""The cases of a training: which have lesion masks, which have a report instead, and the regions that it speaks of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.nnunet.dataset import Labels
from dictamen.nnunet.grid import affine_of, from_canonical, to_canonical
from dictamen.reports.schema import ReportFindings
from dictamen.supervision.from_findings import constraints
from dictamen.supervision.rasterise import StudySupervisor
from dictamen.supervision.study_regions import StudyRegions


def has_lesion(class_locations: Mapping[Any, Sequence[Any]], labels: Labels) -> bool:
    """Whether a lesion is drawn, from the voxels that nnU-Net's preprocessing noted of each label or region."""
    lesions = set(labels.lesions)
    return any(len(found) > 0 and _values(key) <= lesions for key, found in class_locations.items())


def _values(key: Any) -> set[int]:
    return {int(value) for value in key} if isinstance(key, (tuple, list)) else {int(key)}


@dataclass(frozen=True)
class ReportCase:
    """A case whose report speaks of its lesions, on the grid of nnU-Net's array."""

    case: str
    regions: StudyRegions

    @property
    def is_positive(self) -> bool:
        """Whether there is, or may be, a lesion."""
        return bool(self.regions.positive_boxes)


def report_case(
    label_map: npt.NDArray[np.integer],
    properties: Mapping[str, Any],
    *,
    report: ReportFindings,
    labels: Labels,
    spacing_mm: Sequence[float],
    transpose: Sequence[int],
) -> ReportCase:
    """The regions that a report speaks of in a preprocessed case.

    Args:
        label_map: [a, b, c], nnU-Net's preprocessed label map, organs only.
        properties: of the case, as nnU-Net's preprocessing left them.
        spacing_mm, transpose: of the configuration and of the plans.

    Raises:
        InputError: the files of the data set tell no directions.
    """
    case = report.study_id
    affine = affine_of(properties, spacing_mm, transpose, case)
    organs = to_canonical(np.maximum(label_map, 0), affine)
    supervisor = StudySupervisor(labels.targets, [], labels.organs, labels.lesions)
    known, deferred = constraints(report, labels.targets)
    regions = supervisor.regions(organs.array[0], organs.affine, known, deferred, study_id=case)
    return ReportCase(case, from_canonical(regions, affine))
