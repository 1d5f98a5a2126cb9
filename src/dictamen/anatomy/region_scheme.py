"""How a structure is cut into regions that people score: a small, hashable description, and the map it makes.

A map is a pure function of (scheme, mask, affine), so that feedback stores the scheme and the mask's hash alone. Except
for `disagreement`, regions are disjoint and cover the band around the mask, so that missing tissue has a region too.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from dictamen.anatomy import patch_regions, slab_regions
from dictamen.anatomy.boxes import BoolArray, bounding_box, dilate
from dictamen.anatomy.part_geometry import SLABS, geometric_part
from dictamen.anatomy.slab_regions import MOST_REGIONS, IndexArray
from dictamen.anatomy.vocabulary import load
from dictamen.errors import InputError, UsageError

SchemeName = Literal["slab", "slab_sector", "parts", "surface_patch", "supervoxel", "disagreement"]
SCHEMES: tuple[SchemeName, ...] = get_args(SchemeName)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class RegionScheme:
    """A way to cut a structure.

    Args:
        name: "slab" for long bones, aorta and spine; "surface_patch" for blobs; "parts" for the radiologist's own
            words (kidney poles, thirds, head/body/tail); "slab_sector", "supervoxel", "disagreement" of two masks.
        count: slabs, patches, supervoxels, or components at most; 6 is what a person scores in half a minute.
        sectors: of each slab, for "slab_sector".
        band_mm: the regions reach so far out of the mask; 6 mm is more than the usual error of an organ's border.
    """

    name: SchemeName = "surface_patch"
    count: int = 6
    sectors: int = 4
    band_mm: float = 6.0

    def __post_init__(self) -> None:
        if self.name not in SCHEMES:
            raise UsageError("The region scheme is unknown.", got=self.name, expected="one of " + ", ".join(SCHEMES))
        regions = self.count * (self.sectors if self.name == "slab_sector" else 1)
        if self.count < 1 or self.sectors < 1 or regions > MOST_REGIONS or not self.band_mm > 0:
            raise UsageError(
                "The region scheme can't be made.",
                got=asdict(self),
                expected=f"1 to {MOST_REGIONS} regions and a band above 0 mm",
            )

    def to_text(self) -> str:
        """Canonical JSON, what feedback stores."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> RegionScheme:
        """Read `to_text`.

        Raises:
            InputError: it is none.
        """
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError("The text is no region scheme.", got=text[:80]) from error


def band_around(mask: BoolArray, spacing_mm: tuple[float, float, float], band_mm: float) -> BoolArray:
    """The mask and all voxels within `band_mm` of it: where a refined mask may differ from it."""
    return dilate(mask, spacing_mm, band_mm)


def region_map(
    scheme: RegionScheme,
    mask: BoolArray,
    affine: npt.NDArray[np.float64],
    *,
    structure: str | None = None,
    image: npt.NDArray[np.generic] | None = None,
    other: BoolArray | None = None,
) -> IndexArray:
    """Region of each voxel, uint8 [X, Y, Z]: 0 none, 1..K.

    Args:
        scheme: how to cut.
        mask: of one structure, canonical (RAS+).
        affine: 4x4, voxel index to mm; voxels may be anisotropic, axes oblique.
        structure: vocabulary id of the mask's label, for "parts".
        image: Hounsfield units, for "supervoxel".
        other: a second mask, for "disagreement".

    Raises:
        UsageError: the scheme needs something that is not given, or has no parts for the structure.
    """
    steps = np.asarray(affine[:3, :3], dtype=np.float64)
    x, y, z = np.linalg.norm(steps, axis=0).tolist()
    spacing = (x, y, z)
    index = np.zeros(mask.shape, dtype=np.uint8)
    if scheme.name == "disagreement":
        second = _needed(other, scheme, "a second mask")
        return patch_regions.disagreement(mask, second, count=scheme.count)
    box = bounding_box(mask, scheme.band_mm + max(spacing), spacing)
    if box is None:
        return index
    crop = mask[box]
    band = band_around(crop, spacing, scheme.band_mm)
    if scheme.name == "slab":
        index[box] = slab_regions.slabs(crop, band, steps, count=scheme.count)
    elif scheme.name == "slab_sector":
        index[box] = slab_regions.slab_sectors(crop, band, steps, count=scheme.count, sectors=scheme.sectors)
    elif scheme.name == "surface_patch":
        index[box] = patch_regions.surface_patches(crop, band, steps, count=scheme.count)
    elif scheme.name == "supervoxel":
        index[box] = patch_regions.supervoxels(
            np.asarray(_needed(image, scheme, "the image")[box], dtype=np.float32), band, steps, count=scheme.count
        )
    else:
        whole = _with_parts(structure)
        parts = [geometric_part(crop, whole, name, steps) for name in SLABS[whole]]
        index[box] = patch_regions.nearest_part([part for part in parts if part is not None], band, spacing)
    return index


def part_names(structure: str | None) -> tuple[str, ...]:
    """Names of the regions of scheme "parts", in the order of their numbers.

    Raises:
        UsageError: no parts are known for the structure.
    """
    return tuple(SLABS[_with_parts(structure)])


def _with_parts(structure: str | None) -> str:
    """The whole organ of a structure that has parts."""
    whole = load().whole(structure)[0] if structure is not None and structure in load() else None
    if whole is None or whole not in SLABS:
        raise UsageError(
            "The structure has no parts to score.",
            got=structure,
            expected="one of " + ", ".join(sorted(SLABS)),
            next_step="use the scheme surface_patch or slab",
        )
    return whole


def _needed(value: Value | None, scheme: RegionScheme, what: str) -> Value:
    if value is None:
        raise UsageError(f"The region scheme `{scheme.name}` needs {what}.")
    return value
