"""The regions of one label: found in the organ map, dilated, joined where they overlap, cut apart by what they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from dictamen.anatomy.regions import RegionMask, dilate, region_mask
from dictamen.supervision.constraint import Constraint
from dictamen.supervision.image_planes import TOLERANCE_MM, ImagePlanes
from dictamen.supervision.study_regions import BoolArray, kind_of

LARGEST_REACH_MM = 40.0
"""No region reaches further than this from its organ; a whole neighbour organ would fit in."""
SAME_PLACE = 0.5
"""An absent region that loses more than this share to a positive one can't be told apart from it in these masks."""


@dataclass(frozen=True)
class Dilation:
    """How far a region reaches beyond its mask, mm.

    Args:
        part_mm: of a part, whose borders are a convention; 15 as published.
        organ_mm: of a whole organ or side, whose border is a surface; for lesions that bulge, and machine-made masks.
        lesion_share: how much of a lesion's largest diameter may lie outside the organ mask: exophytic, or left out of
            it. Regions of larger lesions reach so far.
    """

    part_mm: float = 15.0
    organ_mm: float = 10.0
    lesion_share: float = 0.5


@dataclass(frozen=True)
class LabelRegions:
    """Disjoint (constraint, mask) pairs of one label, and what could not be placed."""

    placed: list[tuple[Constraint, BoolArray]]
    reasons: list[str]
    negative_outside: bool


@dataclass(frozen=True)
class OrganMap:
    """A canonical label map [X, Y, Z] of a whole study, with its names and affine, and where its numbered slices lie,
    where that is known."""

    labels: npt.NDArray[np.integer]
    names: Mapping[int, str]
    affine: npt.NDArray[np.float64]
    images: ImagePlanes | None = None

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres, mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return x, y, z

    def find(self, constraint: Constraint, *, side: Literal["left", "right"] | None = None) -> RegionMask | None:
        """The constraint's region as labelled (or that of another `side`); None where the organ has no voxel."""
        region = constraint.region
        if side is not None:
            region = replace(region, side=side, parts=())
        return region_mask(
            self.labels, self.names, self.affine, structure=region.structure, side=region.side, parts=region.parts
        )


def label_regions(organs: OrganMap, constraints: Sequence[Constraint], dilation: Dilation) -> LabelRegions:
    """Place the constraints of one label in a study.

    Positive and possible regions are dilated and joined where they overlap; absent ones are the organ itself, without
    those; unknown ones are dilated and take what is left. Voxels outside all regions are negative unless a region that
    is not absent has no mask.
    """
    reasons: list[str] = []
    found: dict[str, list[tuple[Constraint, BoolArray]]] = {"positive": [], "absent": [], "unknown": []}
    negative_outside = bool(constraints)
    for constraint in constraints:
        kind = kind_of(constraint)
        place = organs.find(constraint)
        if kind == "absent":
            if place is None:
                continue  # nothing of the organ is in the image: no voxel can be a lesion of it
            if _too_coarse(constraint, place):
                reasons.append("the masks can't tell a part or side that is free of lesions")
                continue
            found["absent"].append((constraint, place.mask))
        elif place is None:
            negative_outside = False
            if kind != "unknown":
                reasons.append("no mask of the organ")
        else:
            mask = _in_slab(organs, constraint, _dilated(organs, constraint, place, dilation), reasons)
            found["unknown" if kind == "unknown" else "positive"].append((constraint, mask))
    placed = _disjoint(found, reasons)
    return LabelRegions(placed, reasons, negative_outside)


def _too_coarse(constraint: Constraint, place: RegionMask) -> bool:
    region = constraint.region
    if region.parts:
        return place.precision != "part"
    return region.side in ("left", "right") and place.precision == "organ"


def _dilated(organs: OrganMap, constraint: Constraint, place: RegionMask, dilation: Dilation) -> BoolArray:
    """The region with its surroundings: of a part, those within the surroundings of the organ; never the other side."""
    largest = max((size.diameters_mm[0] for size in constraint.lesions if size.diameters_mm is not None), default=0.0)
    bulge = min(dilation.lesion_share * largest, LARGEST_REACH_MM)
    whole = organs.find(replace(constraint, region=replace(constraint.region, parts=()))) or place
    mask = dilate(whole.mask, organs.spacing_mm, max(dilation.organ_mm, bulge))
    if place.precision == "part":
        mask &= dilate(place.mask, organs.spacing_mm, max(dilation.part_mm, bulge))
    if constraint.region.side in ("left", "right") and place.precision != "organ":
        other = organs.find(constraint, side="left" if constraint.region.side == "right" else "right")
        if other is not None and other.precision == "side":
            mask &= ~other.mask | place.mask
    return mask


def _in_slab(organs: OrganMap, constraint: Constraint, mask: BoolArray, reasons: list[str]) -> BoolArray:
    """The part of a region within a lesion's diameter of the images that the report names; the whole region, with the
    reason, where they can't be used. What lies outside the slab is as negative as what lies outside a part."""
    images = constraint.region.images
    if images is None:
        return mask
    diameters = [size.diameters_mm[0] for size in constraint.lesions if size.diameters_mm is not None]
    if not images or constraint.rest != "negative" or len(diameters) < len(constraint.lesions):
        reasons.append("an image number beside lesions that have none, or no size")
        return mask
    if organs.images is None:
        reasons.append("an image number, but the order of the slices is not known")
        return mask
    slab = organs.images.slab(images, max(diameters, default=0.0) + TOLERANCE_MM, mask.shape[2])
    if slab is None or not (mask & slab).any():
        reasons.append("an image number that the scan does not have, or far from the organ")
        return mask
    return mask & slab


def _disjoint(
    found: Mapping[str, list[tuple[Constraint, BoolArray]]], reasons: list[str]
) -> list[tuple[Constraint, BoolArray]]:
    positive = _joined(found["positive"])
    taken = _union(mask for _, mask in positive)
    absent = []
    for constraint, mask in found["absent"]:
        left = mask if taken is None else mask & ~taken
        if np.count_nonzero(left) < SAME_PLACE * np.count_nonzero(mask):
            reasons.append("the masks can't tell a region free of lesions from one with lesions")
        else:
            absent.append((constraint, left))
    taken = _union(mask for _, mask in positive + absent)
    unknown = [(constraint, mask if taken is None else mask & ~taken) for constraint, mask in found["unknown"]]
    order = ["positive", "possible"]
    return sorted(positive, key=lambda pair: order.index(kind_of(pair[0]))) + absent + unknown


def _joined(regions: Sequence[tuple[Constraint, BoolArray]]) -> list[tuple[Constraint, BoolArray]]:
    """Overlapping regions become one, until all are disjoint."""
    disjoint: list[tuple[Constraint, BoolArray]] = []
    for constraint, mask in regions:
        touching = [other for other in disjoint if (other[1] & mask).any()]
        disjoint = [other for other in disjoint if not any(other is touched for touched in touching)]
        for other, other_mask in touching:
            constraint, mask = join(other, constraint), mask | other_mask
        disjoint.append((constraint, mask))
    return disjoint


def join(one: Constraint, other: Constraint) -> Constraint:
    """Both constraints as one on the union of their regions: counts and volumes add up, the parts are lost."""
    side = one.region.side if one.region.side == other.region.side else None
    lesions = sorted(one.lesions + other.lesions, key=lambda size: size.diameters_mm or (0.0,), reverse=True)
    return replace(
        one,
        region=replace(one.region, side=side, parts=(), images=None),
        count=one.count + other.count,
        volume_mm3=one.volume_mm3 + other.volume_mm3,
        lesions=tuple(lesions),
        attenuation=one.attenuation if one.attenuation == other.attenuation else None,
        rest="negative" if one.rest == other.rest == "negative" else "ignore",
        weight=min(one.weight, other.weight),
        spans=tuple(sorted({*one.spans, *other.spans})),
    )


def _union(masks: Iterable[BoolArray]) -> BoolArray | None:
    union: BoolArray | None = None
    for mask in masks:
        union = mask.copy() if union is None else union | mask
    return union
