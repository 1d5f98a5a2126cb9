"""Attenuation loss: a lesion that a report calls hypodense must be darker than the organ around it.

Source: the extension of R-Super (arXiv 2510.14803), from its description.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int8, UInt8
from torch import Tensor

from dictamen.losses.regions import row_of_voxel, sum_by_region, weighted_mean, working_precision
from dictamen.supervision.patch import HYPER, HYPO, ISO

STEP_HU = 20.0
"""Radiologists call a lesion hypodense from about this difference on; closer ones are isodense."""
LEAST_ORGAN_MM3 = 1000.0
"""An organ of which less is to be seen in the region is no reference."""


def attenuation_loss(
    logits: Float[Tensor, "B L X Y Z"],
    image: Float[Tensor, "B 1 X Y Z"],
    organ: Bool[Tensor, "B L X Y Z"],
    region: UInt8[Tensor, "B L X Y Z"],
    attenuation: Int8[Tensor, "B L K"],
    weight: Float[Tensor, "B L K"],
    spacing_mm: Float[Tensor, "B 3"],
    *,
    step: float = STEP_HU,
) -> Float[Tensor, ""]:
    """How far the predicted lesion's mean is on the wrong side of its organ's; the weighted mean over regions.

    With p = sigmoid(logits), x the image, and sums over one region:
      lesion = sum(p x) / sum(p)      surroundings = mean of x over the organ, weighted by 1 - p (no gradient)
      d = (lesion - surroundings) / step
      wrong = relu(d) for hypo, relu(-d) for hyper, relu(|d| - 1) for iso;   loss = wrong / (1 + wrong)
    Zero where the sign agrees. Rows without a stated attenuation, of weight 0, or with less than 1 mL of organ count
    nothing; no row at all: 0.

    Args:
        logits: any float dtype; half precision is computed in float32.
        image: intensities, in the unit of `step`.
        organ: voxels of each label's organ, lesions or not.
        region: 0 none, k + 1 row k of the tables.
        attenuation: -1 hypo, 1 hyper, 2 iso, 0 not said.
        weight: of each constraint; 0 for padding.
        spacing_mm: of each study.
        step: 20 HU in the image's unit.
    """
    logits = working_precision(logits)
    rows, shape = row_of_voxel(region, weight.shape[2]), (*weight.shape[:2], weight.shape[2])
    probability, intensity = torch.sigmoid(logits), image.to(logits.dtype).expand_as(logits)
    around = (1 - probability.detach()) * organ
    lesion = sum_by_region(probability * intensity, rows, shape) / _positive(sum_by_region(probability, rows, shape))
    organ_size = sum_by_region(around, rows, shape)
    surroundings = sum_by_region(around * intensity, rows, shape) / _positive(organ_size)
    difference = (lesion - surroundings) / step
    wrong = torch.where(
        attenuation == HYPO, difference, torch.where(attenuation == HYPER, -difference, difference.abs() - 1)
    )
    wrong = wrong.relu()
    volume = organ_size * spacing_mm.to(logits.dtype).prod(1).view(-1, 1, 1)
    stated = (attenuation == HYPO) | (attenuation == HYPER) | (attenuation == ISO)
    return weighted_mean(wrong / (1 + wrong), weight, stated & (volume >= LEAST_ORGAN_MM3))


def _positive(size: Float[Tensor, "B L K"]) -> Float[Tensor, "B L K"]:
    return size.clamp(min=torch.finfo(size.dtype).tiny)
