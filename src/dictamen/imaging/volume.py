"""A volume: voxels and where they are in the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError

AffineArray = npt.NDArray[np.float64]

SINGULAR_BELOW = 1e-6
"""A grid whose voxel volume in mm3 is below this can't be inverted with confidence."""


@dataclass(frozen=True)
class Volume:
    """Voxels [C, X, Y, Z] as read, and the affine that maps voxel indices (x, y, z, 1) to millimetres, RAS+.

    Args:
        array: any numeric dtype; CT in Hounsfield units.
        affine: 4x4; column norms are the spacing in mm.
        study_id: for error messages.
        metadata: study facts without patient identity (modality, phase, original file name of the series...).
        remarks: what a user should know of where the voxels are, each a sentence without its dot.
    """

    array: npt.NDArray[np.generic]
    affine: AffineArray
    study_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.array.ndim != 4:
            raise InputError("`array` must be [C, X, Y, Z].", where=self.study_id or None, got=self.array.shape)
        if self.affine.shape != (4, 4) or not np.isfinite(self.affine).all():
            raise InputError(
                "`affine` must be a finite 4x4 matrix.", where=self.study_id or None, got=self.affine.tolist()
            )
        if abs(np.linalg.det(self.affine[:3, :3])) < SINGULAR_BELOW:
            raise InputError(
                "`affine` is singular: the spacing must be positive.",
                where=self.study_id or None,
                got=self.affine.tolist(),
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        x, y, z = self.array.shape[1:]
        return x, y, z

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each array axis, mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return x, y, z
