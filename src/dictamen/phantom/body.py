"""The body of one patient: parts painted one over the other, as tissues for the image and labels for the organ map."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dictamen.phantom.shapes import Box, FloatArray, Frame, Grid, Point, occupancy, random_frame

LabelArray = npt.NDArray[np.uint8]

VERTEBRAE = ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")
ORGANS: tuple[str, ...] = (
    "liver", "kidney_right", "kidney_left", "pancreas", "spleen", "gallbladder", "stomach", "aorta",
    "inferior_vena_cava", "portal_vein_and_splenic_vein", "colon", "small_bowel", "duodenum",
    "adrenal_gland_right", "adrenal_gland_left", "lung_lower_lobe_right", "lung_lower_lobe_left", "heart",
    "iliopsoas_right", "iliopsoas_left", "autochthon_right", "autochthon_left", "hip_right", "hip_left",
    "sacrum", *(f"vertebrae_{level}" for level in VERTEBRAE),
)  # fmt: skip
"""Structures of the organ map, TotalSegmentator's names; label = place in this table + 1."""
LABEL_OF = {name: label for label, name in enumerate(ORGANS, start=1)}

REMOVABLE = ("gallbladder", "spleen", "kidney_left", "kidney_right")
"""Organs that people live without; of the kidneys one stays."""

EDGE_WIDTH = 1.0
"""Width of the ramp at a tissue's edge, in voxels: partial volume."""
DEFORMATION_MM = 4.5
"""Standard deviation of the deformation along each axis, mm: organs move by about a centimetre between patients."""


@dataclass(frozen=True)
class Part:
    """One painted tissue: what it is made of, where, and how much of each voxel it fills."""

    tissue: str
    box: Box
    fraction: FloatArray


@dataclass
class Painter:
    """Collects parts in painting order; a later part lies over an earlier one, in the image and in the labels."""

    frame: Frame
    parts: list[Part] = field(default_factory=list)
    labels: LabelArray = field(init=False)

    def __post_init__(self) -> None:
        self.labels = np.zeros(self.frame.grid.shape, dtype=np.uint8)

    @property
    def edge_mm(self) -> float:
        """Width of an edge's ramp, mm."""
        return EDGE_WIDTH * float(np.mean(self.frame.grid.spacing_mm))

    def paint(
        self, tissue: str, box: Box, distance_mm: FloatArray, *, structure: str | None = None, keep_labels: bool = False
    ) -> None:
        """Paint `tissue` where `distance_mm` is negative.

        Args:
            structure: label it gets; None erases the labels under it.
            keep_labels: leave the labels as they are (a vessel inside the liver is still liver).
        """
        self.paint_fraction(
            tissue, box, occupancy(distance_mm, self.edge_mm), structure=structure, keep_labels=keep_labels
        )

    def paint_fraction(
        self, tissue: str, box: Box, fraction: FloatArray, *, structure: str | None = None, keep_labels: bool = False
    ) -> None:
        """Paint `tissue` with the given filling of each voxel."""
        self.parts.append(Part(tissue, box, fraction))
        if not keep_labels:
            self.labels[box][fraction > 0.5] = 0 if structure is None else LABEL_OF[structure]


@dataclass(frozen=True)
class Body:
    """A patient without lesions.

    Args:
        frame: grid, size and deformation.
        parts: tissues in painting order.
        labels: [X, Y, Z] organ map, values of `LABEL_OF`.
        pancreas_line: control points [N, 3] of the pancreas from head to tail in the standard patient.
        habitus: numbers of the patient that the report may quote (aortic diameter, length of the spleen, mm).
    """

    frame: Frame
    parts: tuple[Part, ...]
    labels: LabelArray
    pancreas_line: npt.NDArray[np.float32]
    habitus: dict[str, float]

    @property
    def grid(self) -> Grid:
        """The voxel grid."""
        return self.frame.grid

    def mask(self, structure: str) -> npt.NDArray[np.bool_]:
        """[X, Y, Z] where the structure is; `kidney` style whole organs join their sides."""
        labels = [label for name, label in LABEL_OF.items() if name == structure or name.startswith(structure + "_")]
        return np.isin(self.labels, labels)


def build_body(grid: Grid, rng: np.random.Generator, *, removed: Collection[str] = ()) -> Body:
    """A random patient on `grid`: the same generator state gives the same patient.

    Args:
        removed: organs that a surgeon took out, of `REMOVABLE`.
    """
    from dictamen.phantom import organs, trunk, tubes

    size = rng.normal(1.0, 0.05)
    scale: Point = (size * rng.normal(1, 0.04), size * rng.normal(1, 0.05), size * rng.normal(1, 0.04))
    frame = random_frame(grid, scale=scale, deformation_mm=DEFORMATION_MM, rng=rng)
    painter = Painter(frame)
    cavity = trunk.paint_wall(painter, rng)
    trunk.paint_muscles(painter, rng)
    dome = trunk.paint_chest(painter, cavity, rng)
    habitus = organs.paint_liver_and_spleen(painter, cavity, dome, rng, spleen="spleen" not in removed)
    tubes.paint_mesentery(painter, rng)
    tubes.paint_bowel(painter, rng)
    organs.paint_stomach(painter, rng)
    if "gallbladder" not in removed:
        organs.paint_gallbladder(painter, rng)
    organs.paint_kidneys(painter, rng, sides=tuple(s for s in ("right", "left") if f"kidney_{s}" not in removed))
    organs.paint_adrenals(painter, rng)
    trunk.paint_spine(painter)
    habitus |= tubes.paint_vessels(painter, rng)
    line = organs.paint_pancreas(painter, rng)
    trunk.paint_pelvis(painter)
    return Body(frame, tuple(painter.parts), painter.labels, line, habitus)
