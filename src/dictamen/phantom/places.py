"""Where in its organ a point lies, in a radiologist's words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dictamen.phantom.body import Body

MIDDLE_HEPATIC_PLANE_MM = 34.0
"""x of the plane between gallbladder and vena cava: right and left hemiliver in the standard patient."""
FALCIFORM_PLANE_MM = 8.0
RIGHT_SECTION_PLANE_MM = 2.0
"""y of the plane between the anterior and the posterior section."""
PORTAL_PLANE_MM = 50.0
"""z of the portal bifurcation: upper and lower segments."""
PANCREAS_PARTS = ((0.38, "head"), (0.48, "neck"), (0.74, "body"), (1.01, "tail"))
"""Fraction of the way from head to tail at which each part ends."""


def part_of(body: Body, structure: str, voxel: npt.NDArray[np.integer]) -> str | None:
    """The part of `structure` at a voxel: a liver segment, a renal pole, a part of the pancreas; None elsewhere."""
    point = body.frame.coordinates[:, voxel[0], voxel[1], voxel[2]]
    if structure == "liver":
        return _segment(*point.tolist())
    if structure == "kidney":
        return _pole(body, voxel)
    if structure == "pancreas":
        return _pancreas_part(body, point)
    return None


def _segment(x: float, y: float, z: float) -> str:
    """Couinaud's segment from planes of the standard patient."""
    upper = z > PORTAL_PLANE_MM
    if x < FALCIFORM_PLANE_MM:
        return "segment 2" if z > PORTAL_PLANE_MM + 30 else "segment 3"
    if x < MIDDLE_HEPATIC_PLANE_MM:
        return "segment 1" if y < -12 else "segment 4"
    if y > RIGHT_SECTION_PLANE_MM:
        return "segment 8" if upper else "segment 5"
    return "segment 7" if upper else "segment 6"


def _pole(body: Body, voxel: npt.NDArray[np.integer]) -> str:
    """Thirds of the kidney along the body's axis."""
    label = int(body.labels[tuple(voxel)])
    rows = np.flatnonzero((body.labels == label).any(axis=(0, 1))) if label else np.arange(body.grid.shape[2])
    fraction = (voxel[2] - rows[0] + 0.5) / (rows[-1] - rows[0] + 1)
    return "lower pole" if fraction < 1 / 3 else "upper pole" if fraction > 2 / 3 else "interpolar"


def _pancreas_part(body: Body, point: npt.NDArray[np.float32]) -> str:
    """Where along the line from head to tail the nearest point lies."""
    line = body.pancreas_line
    steps = np.linspace(0, len(line) - 1, 60)
    path = np.column_stack([np.interp(steps, np.arange(len(line)), line[:, axis]) for axis in range(3)])
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    nearest = np.linalg.norm(path - point, axis=1).argmin()
    fraction = lengths[nearest] / lengths[-1]
    return next(part for end, part in PANCREAS_PARTS if fraction < end)
