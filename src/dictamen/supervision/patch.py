"""The tensors that losses consume: what is known, voxel by voxel and region by region, in one patch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int, Int8, UInt8
from torch import Tensor

NEGATIVE, POSITIVE, UNKNOWN = 0, 1, 2
"""Values of `PatchSupervision.state`."""
HYPO, HYPER, ISO, NOT_SAID = -1, 1, 2, 0
"""Values of `PatchSupervision.attenuation`."""
MAPS, TABLES = ("state", "region"), ("volume_lo", "volume_hi", "weight", "absent", "rest_negative", "attenuation")
"""Fields with an axis of studies and one of labels."""


@dataclass(frozen=True)
class PatchSupervision:
    """Supervision of a batch of patches. B studies, L output labels, K region constraints a label, M lesions.

    Regions of one label are disjoint (overlapping ones were joined, their intervals added), so one byte a voxel and a
    label holds them all. Unused rows of the tables have weight 0.

    Attributes:
        state: per voxel 0 negative, 1 positive, 2 unknown.
        region: per voxel 0 none, k + 1 the row k of the tables below.
        volume_lo, volume_hi: allowed volume of the label in the region, mm3; hi may be inf.
        weight: weight of the constraint; 0 for padding.
        absent: the report says that nothing is there (volume_hi is 0).
        rest_negative: voxels of the region outside the lesions are negative.
        attenuation: of the region's lesions beside their organ: -1 hypo, 1 hyper, 2 iso, 0 not said or not alike.
        lesion_index: (b, l, k) of each lesion; lesions of one region are adjacent, largest first.
        lesion_diameters_mm: three axes, largest first; a seed ball's where the size is unknown.
        lesion_volume_mm3: target volume of the lesion's voxels.
        lesion_known: whether the size was stated.
        spacing_mm: per study.
    """

    state: UInt8[Tensor, "B L X Y Z"]
    region: UInt8[Tensor, "B L X Y Z"]
    volume_lo: Float[Tensor, "B L K"]
    volume_hi: Float[Tensor, "B L K"]
    weight: Float[Tensor, "B L K"]
    absent: Bool[Tensor, "B L K"]
    rest_negative: Bool[Tensor, "B L K"]
    attenuation: Int8[Tensor, "B L K"]
    lesion_index: Int[Tensor, "M 3"]
    lesion_diameters_mm: Float[Tensor, "M 3"]
    lesion_volume_mm3: Float[Tensor, M]
    lesion_known: Bool[Tensor, M]
    spacing_mm: Float[Tensor, "B 3"]

    def narrow(self, first: int, labels: int) -> PatchSupervision:
        """Views of the studies from `first` on and of the first `labels` labels, which must hold all lesions."""
        parts = {name: getattr(self, name)[first:, :labels] for name in (*MAPS, *TABLES)}
        index = self.lesion_index - torch.tensor([first, 0, 0], device=self.lesion_index.device)
        return replace(self, **parts, lesion_index=index, spacing_mm=self.spacing_mm[first:])

    def to(self, device: torch.device) -> PatchSupervision:
        """All tensors on `device`, without waiting for the copies."""
        return PatchSupervision(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})
