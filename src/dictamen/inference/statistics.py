"""What `--statistics` tells of each label in each study: how much of it, how dense, whether the scan cuts it off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.imaging.volume import Volume


@dataclass(frozen=True)
class LabelStatistics:
    """One row.

    Attributes:
        study_id: study.
        label: of the model.
        voxels: in the label map.
        volume_mm3: of them.
        mean_hu, sd_hu: of the image in them; None where there is none.
        cut_off: whether it reaches the first or last voxel of an axis, so that the scan may not hold all of it.
        lesions: rows of the lesion table that are of this label.
    """

    study_id: str
    label: str
    voxels: int
    volume_mm3: float
    mean_hu: float | None
    sd_hu: float | None
    cut_off: bool
    lesions: int

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Names of the columns of statistics.csv."""
        return tuple(one.name for one in fields(cls))


def measure_labels(
    labels: npt.NDArray[Any], image: Volume, names: Mapping[int, str], lesions: Iterable[str]
) -> list[LabelStatistics]:
    """Rows of one study, in the order of the labels; those without a voxel, too.

    Args:
        labels: [X, Y, Z] label map.
        image: [C, X, Y, Z] on the same grid, HU; the first channel counts.
        names: value -> label.
        lesions: the label of each lesion.
    """
    size = max(names, default=0) + 1
    counts, sums, squares = (np.zeros(size) for _ in range(3))
    for part in range(labels.shape[2]):  # slice by slice: no copies of the volume
        values = labels[:, :, part].ravel()
        found = values > 0
        values, hu = values[found], image.array[0, :, :, part].ravel()[found].astype(np.float64)
        counts += np.bincount(values, minlength=size)
        sums += np.bincount(values, weights=hu, minlength=size)
        squares += np.bincount(values, weights=hu**2, minlength=size)
    edges = {int(v) for axis in range(3) for end in (0, -1) for v in np.unique(np.take(labels, end, axis=axis))}
    per_label = Counter(lesions)
    voxel_mm3 = abs(float(np.linalg.det(image.affine[:3, :3])))
    rows = []
    for value, name in names.items():
        count = int(counts[value])
        mean = sums[value] / count if count else None
        sd = max(0.0, squares[value] / count - mean**2) ** 0.5 if mean is not None else None
        rows.append(
            LabelStatistics(
                study_id=image.study_id,
                label=name,
                voxels=count,
                volume_mm3=round(count * voxel_mm3, 2),
                mean_hu=None if mean is None else round(float(mean), 2),
                sd_hu=None if sd is None else round(float(sd), 2),
                cut_off=value in edges,
                lesions=per_label[name],
            )
        )
    return rows
