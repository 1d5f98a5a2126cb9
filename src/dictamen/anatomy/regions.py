"""Label maps turned into the regions that a report names: an organ, one side of it, a part of it.

A region must never miss what the report speaks of: a part or a side that can't be made becomes the larger region around
it, and `RegionMask.precision` says how far it went.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dictamen.anatomy import lesion_labels
from dictamen.anatomy.boxes import BoolArray, bounding_box, dilate
from dictamen.anatomy.part_geometry import geometric_part
from dictamen.anatomy.parts import canonical_part
from dictamen.anatomy.sides import MIDLINE_STRUCTURES, Midline, find_midline, split
from dictamen.anatomy.vocabulary import Side, load
from dictamen.errors import InputError

__all__ = ["RegionMask", "bounding_box", "dilate", "label_values", "region_mask"]

Precision = Literal["part", "side", "organ"]
AnySide = Literal["left", "right", "bilateral"]
SIDES: tuple[Side, Side] = ("left", "right")
FEW = 8
"""Values that are compared one by one: faster than looking each voxel up, by ten times for one value of a byte."""


@dataclass(frozen=True)
class RegionMask:
    """Where something is: bool [X, Y, Z], and how precisely the labels could tell ("part" | "side" | "organ")."""

    mask: BoolArray
    precision: Precision


def region_mask(
    labels: npt.NDArray[np.integer],
    names: Mapping[int, str],
    affine: npt.NDArray[np.float64],
    *,
    structure: str,
    side: AnySide | None = None,
    parts: Sequence[str] = (),
) -> RegionMask | None:
    """The voxels of an organ, of one side, of the union of some parts.

    Args:
        labels: label map [X, Y, Z], canonical (RAS+: the first index grows towards the patient's right).
        names: label value -> name; names that the vocabulary does not know are left alone, and a lesion of the organ
            ("kidney_tumour") belongs to the organ.
        affine: 4x4, voxel index to mm, RAS+.
        structure: vocabulary id; of a whole organ as findings have it, or of a side or part ("kidney_left").
        side: "bilateral" and None mean both.
        parts: part names in any usual form; see `canonical_part`.

    Returns:
        None where no voxel is labelled as the organ (on that side), or the parts have labels but no voxel: a scan
        that ends below the upper lobe.

    Raises:
        InputError: unknown structure, or an affine that is not canonical.
    """
    spacing = _canonical_spacing(affine)
    atlas = _LabelledMap(labels, names, spacing)
    whole, own_side = load().whole(structure)
    wanted: Side | None = own_side or (side if side in SIDES else None)
    own_part = load()[structure].part if structure != whole else None
    organ, sided = atlas.organ(whole, wanted)
    if organ is None:
        return None
    base = RegionMask(organ, "side" if sided else "organ")
    asked = [canonical_part(part, whole) for part in parts] or ([own_part] if own_part else [])
    if wanted and not sided and not asked:
        asked = [lobe for lobe in [f"{wanted} lobe"] if lobe in load()[whole].parts]
    return _parts(atlas, base, whole=whole, side=wanted, parts=asked)


def label_values(names: Mapping[int, str], structure: str, side: AnySide | None = None) -> list[int]:
    """Values of the labels that make up a structure (of a side: those of that side and those without side)."""
    owners = {value: owner for value, name in names.items() if (owner := _owner(name)) is not None}
    return sorted(
        value
        for value, (owner, at) in owners.items()
        if _within(owner, structure) and (side not in SIDES or at in (None, side))
    )


class _LabelledMap:
    """A label map with its names as structures; finds masks by structure."""

    def __init__(
        self, labels: npt.NDArray[np.integer], names: Mapping[int, str], spacing_mm: tuple[float, float, float]
    ) -> None:
        self.labels = labels
        self.spacing_mm = spacing_mm
        self.owners = {value: owner for value, name in names.items() if (owner := _owner(name)) is not None}

    def mask(self, values: Sequence[int]) -> BoolArray:
        """Voxels that have one of the values."""
        if len(values) <= FEW:
            found = np.zeros(self.labels.shape, dtype=bool)
            for value in values:
                found |= self.labels == value
            return found
        table = np.zeros(max([int(self.labels.max(initial=0)), *values]) + 1, dtype=bool)
        table[list(values)] = True
        return np.asarray(table[self.labels])

    def values(self, structure: str) -> list[int]:
        """Values of the labels that are the structure or lie within it."""
        return [value for value, (owner, _) in self.owners.items() if _within(owner, structure)]

    def organ(self, whole: str, side: Side | None) -> tuple[BoolArray | None, bool]:
        """Mask of an organ, on one side where that can be told, and whether it was; None where it has no voxel."""
        values = self.values(whole)
        both = self.mask(values) if values else None
        if both is None or not both.any():
            return None, False
        if side is None or not load()[whole].sided:
            return both, False
        one = self._one_side(values, side, needs_anatomy=load()[whole].spread)
        if one is None:
            return both, False
        return (one, True) if one.any() else (None, True)

    def _one_side(self, values: Sequence[int], side: Side, *, needs_anatomy: bool) -> BoolArray | None:
        named = [value for value in values if self.owners[value][1] == side]
        unsided = [value for value in values if self.owners[value][1] is None]
        mask = self.mask(named)
        if not unsided:
            return mask
        midline = self.midline()
        if needs_anatomy and not midline.from_anatomy:
            return None
        part = split(self.mask(unsided), midline, side=side, spacing_x_mm=self.spacing_mm[0])
        return None if part is None else mask | part

    def is_labelled_by_parts(self, whole: str) -> bool:
        """Whether the names have parts of the organ and no label for all of it: an empty part is outside."""
        entire = {whole, *(one.id for side in SIDES if (one := load().on_side(whole, side)))}
        return not any(owner in entire for owner, _ in self.owners.values())

    def midline(self) -> Midline:
        """The patient's midline."""
        return find_midline(self.labels, {structure: self.values(structure) for structure in MIDLINE_STRUCTURES})


def _parts(
    atlas: _LabelledMap, base: RegionMask, *, whole: str, side: Side | None, parts: Sequence[str]
) -> RegionMask | None:
    """The union of the parts; `base` where one of them can't be made, None where all lie outside the volume."""
    masks = [_part(atlas, base, whole=whole, side=side, part=part) for part in parts]
    if not masks or any(mask is None for mask in masks):
        return base
    union = np.logical_or.reduce([mask for mask in masks if mask is not None])
    return RegionMask(union, "part") if union.any() else None


def _part(atlas: _LabelledMap, base: RegionMask, *, whole: str, side: Side | None, part: str) -> BoolArray | None:
    """Mask of one part, empty where its label is known and not in the volume; None where it can't be made."""
    values = _part_values(atlas, whole, part)
    labelled = atlas.mask(values) & base.mask if values else None
    if labelled is not None and (labelled.any() or atlas.is_labelled_by_parts(whole)):
        return labelled
    geometric = _geometric(atlas, base, whole=whole, side=side, part=part)
    return geometric if geometric is not None and geometric.any() else None


def _geometric(atlas: _LabelledMap, base: RegionMask, *, whole: str, side: Side | None, part: str) -> BoolArray | None:
    if side is not None or not load()[whole].sided:
        return geometric_part(base.mask, whole, part, atlas.spacing_mm)
    halves = [atlas.organ(whole, one) for one in SIDES]
    if any(mask is not None and not sided for mask, sided in halves):
        return None  # two organs in one mask: no extent to take a fraction of
    masks = [geometric_part(mask, whole, part, atlas.spacing_mm) for mask, _ in halves if mask is not None]
    found = [mask for mask in masks if mask is not None]
    return np.asarray(np.logical_or.reduce(found)) if found else None


def _part_values(atlas: _LabelledMap, whole: str, part: str) -> list[int]:
    """Labels within the part; else those of the next larger named part around it (segment 4 for segment 4a)."""
    vocabulary = load()
    nodes = vocabulary.named_part(whole, part)
    inner = [value for node in nodes for value in atlas.values(node)]
    if inner:
        return inner
    around = {above for node in nodes for above in vocabulary.ancestors(node)} & vocabulary.descendants(whole)
    return [
        value for value, (owner, _) in atlas.owners.items() if owner in around and vocabulary[owner].part is not None
    ]


def _owner(name: str) -> tuple[str, Side | None] | None:
    """The structure and side of a label; the organ's for a lesion label; None for unknown names."""
    vocabulary = load()
    found = vocabulary.find(name)
    if found is not None:
        return found.id, vocabulary.whole(found.id)[1]
    if not lesion_labels.is_lesion(name):
        return None
    try:
        lesion = lesion_labels.parse(name)
    except InputError:
        return None
    return (lesion.structure, lesion.side) if lesion.structure else None


def _within(owner: str, structure: str) -> bool:
    """Whether a label of `owner` counts as `structure`; parts never stand for a structure that is more than they."""
    vocabulary = load()
    return owner == structure or (structure in vocabulary.ancestors(owner) and not vocabulary[structure].spread)


def _canonical_spacing(affine: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    turn = np.asarray(affine)[:3, :3]
    if (np.abs(turn).argmax(axis=0) != np.arange(3)).any() or (np.diag(turn) <= 0).any():
        raise InputError(
            "Regions need a canonical (RAS+) label map.",
            got=turn.tolist(),
            next_step="turn it with geometry.to_canonical",
        )
    x, y, z = np.linalg.norm(turn, axis=0).tolist()
    return x, y, z
