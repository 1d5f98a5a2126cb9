"""Maps of regions on their way through nnU-Net's augmentation: moved as the label map is, with the spacing noted.

nnU-Net's loader hands the transforms a label map with the region maps as further channels, and takes from them one
tensor or a list of tensors. So the maps travel as channels as far as the label map is moved, are then set aside, and
end as the last two entries of the list: the maps with the untouched label map, and the spacing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.nnunet_masking import MaskImageTransform
from batchgeneratorsv2.transforms.utils.remove_label import RemoveLabelTansform

from dictamen.errors import UsageError

MAPS, STEPS = "region_maps", "steps"


def with_regions(transforms: ComposeTransforms) -> ComposeTransforms:
    """nnU-Net's training transforms, which now carry region maps beside the label map.

    Raises:
        UsageError: they move the label map in a way that is not known to keep sizes true.
    """
    steps = list(transforms.transforms)
    spatial = [index for index, step in enumerate(steps) if isinstance(step, SpatialTransform)]
    first = next(
        (i for i, step in enumerate(steps) if isinstance(step, (MaskImageTransform, RemoveLabelTansform))), None
    )
    if len(spatial) != 1 or first is None or steps[spatial[0]].p_elastic_deform:
        raise UsageError(
            "The training transforms are not those of nnU-Net's default trainer.",
            got=", ".join(type(step).__name__ for step in steps),
            expected="one SpatialTransform without elastic deformation, and RemoveLabelTransform after it",
        )
    steps[spatial[0]] = _Measured(steps[spatial[0]])
    return ComposeTransforms([*steps[:first], _SetAside(), *steps[first:], _Append()])


class _Measured(BasicTransform):  # type: ignore[misc]
    """A spatial transform that notes how far one voxel of its result reaches in voxels of what it was given."""

    def __init__(self, spatial: SpatialTransform) -> None:
        super().__init__()
        self.spatial = spatial

    def __call__(self, **data: Any) -> dict[str, Any]:
        parameters = self.spatial.get_parameters(**data)
        moved: dict[str, Any] = self.spatial.apply(data, **parameters)
        affine = parameters["affine"]
        dimensions = moved["image"].ndim - 1
        moved[STEPS] = np.eye(dimensions) if affine is None else np.asarray(affine)[:dimensions, :dimensions]
        return moved


class _SetAside(BasicTransform):  # type: ignore[misc]
    """Takes label map and region maps out of the way of what changes label maps alone."""

    def __call__(self, **data: Any) -> dict[str, Any]:
        maps = data["segmentation"]
        return {**data, MAPS: maps.clone(), "segmentation": maps[:1]}


class _Append(BasicTransform):  # type: ignore[misc]
    """Puts the maps and the steps behind the targets of all resolutions."""

    def __call__(self, **data: Any) -> dict[str, Any]:
        targets = data["segmentation"]
        targets = targets if isinstance(targets, list) else [targets]
        steps = torch.from_numpy(_in_space(data.pop(STEPS)))
        return {**data, "segmentation": [*targets, data.pop(MAPS), steps]}


def _in_space(steps: Any) -> Any:
    """[3, 3]; where only slices were turned and scaled (anisotropic patches), the first axis stays."""
    whole = np.eye(3)
    whole[-len(steps) :, -len(steps) :] = steps
    return whole


def spacing_after(steps: Any, spacing_mm: Sequence[float]) -> tuple[float, ...]:
    """Spacing of a patch whose voxels reach as far as the columns of `steps` say, in voxels of `spacing_mm`.

    The product is the exact volume of a voxel: where the axes are no longer orthogonal in mm, their lengths are
    scaled alike.
    """
    columns = np.diag(np.asarray(spacing_mm, float)) @ np.asarray(steps, float)
    lengths = np.linalg.norm(columns, axis=0)
    exact = lengths * (abs(np.linalg.det(columns)) / lengths.prod()) ** (1 / 3)
    return tuple(exact.tolist())
