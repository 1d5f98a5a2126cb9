"""Grids, smooth random fields, ellipsoids and tubes: the clay that the phantom's anatomy is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Box = tuple[slice, slice, slice]
Point = tuple[float, float, float]

DEFORMATION_KNOTS = 5
"""Control points of the deformation along each axis: features of about 80 mm, larger than an organ's."""
LUMP_MM = 26.0
"""Length scale of the field that makes organ surfaces lumpy, mm."""
TEXTURE_MM = 9.0
"""Length scale of the texture of parenchyma, mm."""
BOX_MARGIN_MM = 14.0
"""Room left around a shape for deformation and lumps, mm."""
TUBE_STEP = 0.8
"""Distance between the balls that a thin tube is made of, in voxels: no gaps."""
TUBE_OVERLAP = 0.35
"""The same for a thick tube, in radii: the surface stays smooth."""
FAR_MM = 99.0
"""Signed distance written where a tube was not visited."""


@dataclass(frozen=True)
class Grid:
    """A canonical (RAS+) grid centred on the body.

    Args:
        shape: voxels along right, anterior, superior.
        spacing_mm: distance between voxel centres, mm.
    """

    shape: tuple[int, int, int]
    spacing_mm: Point

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel, mm3."""
        return float(np.prod(self.spacing_mm))

    def axis_mm(self, axis: int) -> FloatArray:
        """Positions [n] of the voxel centres along `axis`, mm from the grid's centre."""
        count = self.shape[axis]
        return ((np.arange(count) - (count - 1) / 2) * self.spacing_mm[axis]).astype(np.float32)

    def index_of(self, points_mm: npt.NDArray[np.floating]) -> FloatArray:
        """Fractional voxel indices [..., 3] of positions [..., 3] in mm from the grid's centre."""
        centre = (np.array(self.shape) - 1) / 2
        return np.asarray(points_mm / np.array(self.spacing_mm) + centre, dtype=np.float32)

    def box(self, low_mm: npt.ArrayLike, high_mm: npt.ArrayLike) -> Box:
        """The voxels between two corners in mm, cut to the grid (possibly empty)."""
        low = np.floor(self.index_of(np.asarray(low_mm, dtype=float))).astype(int)
        high = np.ceil(self.index_of(np.asarray(high_mm, dtype=float))).astype(int) + 1
        starts = np.clip(low, 0, self.shape)
        stops = np.clip(high, starts, self.shape)
        x, y, z = (slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True))
        return x, y, z


def smooth_field(grid: Grid, length_mm: float, rng: np.random.Generator) -> FloatArray:
    """A random field [X, Y, Z] of about unit standard deviation that varies over `length_mm`."""
    knots = [max(4, round(n * s / length_mm) + 3) for n, s in zip(grid.shape, grid.spacing_mm, strict=True)]
    field = interpolate(rng.standard_normal(knots, dtype=np.float32), grid.shape)
    return field / np.float32(field.std() + 1e-6)


def interpolate(coarse: FloatArray, shape: Sequence[int]) -> FloatArray:
    """Cubic B-spline of the coefficients `coarse` [i, j, k], sampled at `shape` points."""
    x, y, z = (_spline_weights(count, knots) for count, knots in zip(shape, coarse.shape, strict=True))
    partial = np.tensordot(x, coarse, axes=(1, 0))
    partial = np.tensordot(partial, y, axes=(1, 1))
    return np.ascontiguousarray(np.tensordot(partial, z, axes=(1, 1)), dtype=np.float32)


def _spline_weights(count: int, knots: int) -> FloatArray:
    """Cubic B-spline weights [count, knots] of samples spread over the inner knots (at least 4 knots)."""
    position = np.linspace(0, knots - 3 - 1e-4, count)
    first = position.astype(int)
    t = position - first
    basis = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    weights = np.zeros((count, knots), dtype=np.float32)
    np.put_along_axis(weights, first[:, None] + np.arange(4), basis.astype(np.float32), axis=1)
    return weights


@dataclass(frozen=True)
class Frame:
    """Where each voxel lies in the standard patient: size and a smooth deformation differ from patient to patient.

    Args:
        grid: the voxel grid.
        scale: size of the patient relative to the standard one, along each axis.
        displacement_mm: [3, X, Y, Z] added to a voxel's position before scaling.
        lumps: [X, Y, Z] unit field that perturbs surfaces.
        texture: [X, Y, Z] unit field of parenchymal texture.
    """

    grid: Grid
    scale: Point
    displacement_mm: FloatArray
    lumps: FloatArray
    texture: FloatArray

    @cached_property
    def coordinates(self) -> FloatArray:
        """[3, X, Y, Z] position of each voxel in the standard patient, mm."""
        x, y, z = (self.grid.axis_mm(axis) for axis in range(3))
        position = self.displacement_mm.copy()
        position[0] += x[:, None, None]
        position[1] += y[None, :, None]
        position[2] += z
        position /= np.array(self.scale, dtype=np.float32)[:, None, None, None]
        return position

    def box(self, low: npt.ArrayLike, high: npt.ArrayLike) -> Box:
        """The voxels that may hold a shape between two corners of the standard patient."""
        scale = np.array(self.scale)
        return self.grid.box(np.asarray(low) * scale - BOX_MARGIN_MM, np.asarray(high) * scale + BOX_MARGIN_MM)

    def to_grid_mm(self, points: npt.ArrayLike) -> FloatArray:
        """Positions [N, 3] on the grid (mm from its centre) of points of the standard patient (first-order inverse)."""
        position = np.asarray(points, dtype=np.float32) * np.array(self.scale, dtype=np.float32)
        index = np.clip(np.rint(self.grid.index_of(position)).astype(int), 0, np.array(self.grid.shape) - 1)
        return np.asarray(position - self.displacement_mm[:, index[:, 0], index[:, 1], index[:, 2]].T, dtype=np.float32)


def random_frame(grid: Grid, *, scale: Point, deformation_mm: float, rng: np.random.Generator) -> Frame:
    """A patient's frame; `deformation_mm` is the standard deviation of the displacement along each axis."""
    knots = rng.standard_normal((3, DEFORMATION_KNOTS, DEFORMATION_KNOTS, DEFORMATION_KNOTS), dtype=np.float32)
    # a cubic B-spline of unit coefficients has a standard deviation of about .35
    displacement = np.stack([interpolate(axis, grid.shape) for axis in knots]) * np.float32(deformation_mm / 0.35)
    lumps = smooth_field(grid, LUMP_MM, rng)
    return Frame(grid, scale, displacement, lumps, smooth_field(grid, TEXTURE_MM, rng))


def rotation(angles: Sequence[float]) -> FloatArray:
    """Rotation matrix from three angles (radians) about x, y and z."""
    (sx, sy, sz), (cx, cy, cz) = np.sin(angles), np.cos(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x, dtype=np.float32)


def ellipsoid(
    frame: Frame, centre: Point, semi_mm: Point, *, tilt: Point = (0.0, 0.0, 0.0), lumpiness: float = 0.0
) -> tuple[Box, FloatArray]:
    """The box and the approximate signed distance (mm, negative inside) of an ellipsoid of the standard patient.

    Args:
        tilt: rotation about x, y, z in radians.
        lumpiness: relative perturbation of the radius by the frame's lumps.
    """
    reach = max(semi_mm) if any(tilt) else np.array(semi_mm)
    box = frame.box(np.array(centre) - reach, np.array(centre) + reach)
    offset = frame.coordinates[:, *box] - np.array(centre, dtype=np.float32)[:, None, None, None]
    if any(tilt):
        offset = np.tensordot(rotation(tilt).T, offset, axes=(1, 0))
    squared = sum((offset[axis] / np.float32(semi_mm[axis])) ** 2 for axis in range(3))
    radius = np.sqrt(np.asarray(squared, dtype=np.float32))
    if lumpiness:
        radius = radius * (1 + np.float32(lumpiness) * frame.lumps[box])
    thickness = 3 / sum(1 / semi for semi in semi_mm)  # harmonic mean: near the true distance on all faces
    return box, (radius - 1) * np.float32(thickness)


def occupancy(distance_mm: FloatArray, width_mm: float) -> FloatArray:
    """Fraction of each voxel inside a surface from its signed distance: a linear ramp of `width_mm`."""
    fraction: FloatArray = np.clip(np.float32(0.5) - distance_mm / np.float32(width_mm), 0, 1, dtype=np.float32)
    return fraction


def curve(points: npt.ArrayLike, samples: int) -> FloatArray:
    """A smooth curve [samples, D] through control points [N, D] (Catmull-Rom)."""
    control = np.asarray(points, dtype=np.float32)
    padded = np.concatenate([2 * control[:1] - control[1:2], control, 2 * control[-1:] - control[-2:-1]])
    position = np.linspace(0, len(control) - 1 - 1e-4, samples)
    first = position.astype(int)
    t = (position - first).astype(np.float32)[:, None]
    a, b, c, d = (padded[first + shift] for shift in range(4))
    return np.asarray(
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3),
        dtype=np.float32,
    )


def tube(frame: Frame, points: npt.ArrayLike, radii_mm: npt.ArrayLike) -> tuple[Box, FloatArray]:
    """The box and signed distance (mm) of a tube along control points [N, 3] with radii [N] of the standard patient."""
    control = np.column_stack([np.asarray(points, dtype=np.float32), np.asarray(radii_mm, dtype=np.float32)])
    length = float(np.linalg.norm(np.diff(control[:, :3], axis=0), axis=1).sum())
    step = max(TUBE_STEP * min(frame.grid.spacing_mm), TUBE_OVERLAP * float(np.min(radii_mm)))
    line = curve(control, max(2, int(length / step) + 1))
    return balls(frame.grid, frame.to_grid_mm(line[:, :3]), np.maximum(line[:, 3], 0.5))


def balls(grid: Grid, centres_mm: FloatArray, radii_mm: FloatArray) -> tuple[Box, FloatArray]:
    """The box and signed distance (mm, `FAR_MM` beyond one voxel) of a union of balls; visits voxels near them."""
    margin_mm = max(grid.spacing_mm)
    reach_mm = float(radii_mm.max()) + margin_mm
    box = grid.box(centres_mm.min(axis=0) - reach_mm, centres_mm.max(axis=0) + reach_mm)
    start = np.array([axis.start for axis in box])
    extent = np.array([axis.stop - axis.start for axis in box])
    result = np.full(int(np.prod(extent)), FAR_MM, dtype=np.float32)
    steps = [np.arange(-int(np.ceil(reach_mm / s)), int(np.ceil(reach_mm / s)) + 1) for s in grid.spacing_mm]
    offsets = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    offsets = offsets[np.linalg.norm(offsets * grid.spacing_mm, axis=1) <= reach_mm + margin_mm]
    nearest = np.rint(grid.index_of(centres_mm)).astype(int)
    # the vector from a ball's centre to a voxel = (nearest voxel - centre) + offset of that voxel
    remainder = (nearest - grid.index_of(centres_mm)) * np.array(grid.spacing_mm)
    remainder = remainder.astype(np.float32)
    shifts = (offsets * grid.spacing_mm).astype(np.float32)
    squared = (remainder[:, :1] + shifts[:, 0]) ** 2
    squared += (remainder[:, 1:2] + shifts[:, 1]) ** 2
    squared += (remainder[:, 2:] + shifts[:, 2]) ** 2
    distance = np.sqrt(squared) - radii_mm[:, None]
    ball, offset = np.nonzero(distance < margin_mm)  # pairs of a ball and a voxel near it
    local = nearest[ball] + offsets[offset] - start
    keep = ((local >= 0) & (local < extent)).all(axis=1)
    flat = (local[keep, 0] * extent[1] + local[keep, 1]) * extent[2] + local[keep, 2]
    np.minimum.at(result, flat, distance[ball[keep], offset[keep]])
    return box, result.reshape(tuple(extent.tolist()))
