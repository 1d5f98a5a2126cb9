"""Grids: comparing them, turning them to RAS+, resampling between them. ITK interpolates labels and oblique grids.

All functions keep the world coordinates of what they show; nothing here knows of files.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.errors import UsageError
from dictamen.imaging.separable import is_parallel, resample_parallel
from dictamen.imaging.volume import AffineArray, Volume

POSITION_TOLERANCE_MM = 0.05
"""Corners of two equal grids may lie so far apart: headers in float32 and rounded DICOM positions differ by less,
real shifts of a mask by more."""
SPACING_TOLERANCE = 1e-3
"""Relative difference of spacing that counts as equal."""
ANTI_ALIAS_FROM = 1.5
"""Downsampling by more than this factor smooths first: below it, linear interpolation has seen every voxel."""
ANTI_ALIAS_SIGMA = 0.4
"""Standard deviation of that smoothing in output voxels, .4 * sqrt(factor^2 - 1): a Gaussian of the output voxel's
width less the input's (Cardoso et al., "Scale factor point spread function matching", MICCAI 2015: FWHM 1 voxel)."""
COPY_TOLERANCE = 1e-2
"""Grids whose voxels agree up to this part of a voxel, after turning, are copied: interpolation would only blur."""
SHEAR_TOLERANCE = 2e-3
"""Cosine between two axes up to which a grid counts as rectangular: .1 degrees, the rounding of DICOM positions."""
TRUE_ABOVE = 0.5
"""A mask of booleans that was interpolated: more than half of the voxel is inside."""
ITK_TYPES = {"b1": "u1", "f2": "f4"}
"""numpy types that ITK hasn't -> what stands for them while resampling."""


def same_grid(a: Volume, b: Volume) -> bool:
    """Whether two volumes have the same shape and place, within the tolerances of this module."""
    return grid_difference(a, b) is None


def grid_difference(a: Volume, b: Volume) -> str | None:
    """What differs between the grids of two volumes, in words for an error message; None where nothing does."""
    if a.shape != b.shape:
        return f"shape {a.shape} against {b.shape}"
    if not np.allclose(a.spacing_mm, b.spacing_mm, rtol=SPACING_TOLERANCE, atol=0):
        return f"spacing {_rounded(a.spacing_mm)} mm against {_rounded(b.spacing_mm)} mm"
    distance = np.abs(_corners(a) - _corners(b)).max()
    if distance > POSITION_TOLERANCE_MM:
        origins = f"origin {_rounded(a.affine[:3, 3])} against {_rounded(b.affine[:3, 3])}"
        return f"same shape and spacing, but corners {distance:.2f} mm apart ({origins})"
    return None


def to_canonical(volume: Volume) -> Volume:
    """The same voxels in RAS+ order: axes permuted and flipped only, oblique grids stay oblique.

    The affine follows exactly, so that each voxel keeps its place in the patient.
    """
    order, flips = canonical_axes(volume.affine)
    return reorient(volume, order=order, flips=flips)


def canonical_axes(affine: AffineArray) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Which array axis becomes x, y, z (right, anterior, superior), and which of them are flipped.

    The permutation with the largest sum of direction cosines is taken, so that oblique grids have one answer too.
    """
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    best = max(
        itertools.permutations(range(3)),
        key=lambda order: sum(abs(cosines[world, axis]) for world, axis in enumerate(order)),
    )
    flips = [bool(cosines[world, axis] < 0) for world, axis in enumerate(best)]
    return (best[0], best[1], best[2]), (flips[0], flips[1], flips[2])


def reorient(volume: Volume, *, order: Sequence[int], flips: Sequence[bool]) -> Volume:
    """Permute array axes (new axis i is old axis `order[i]`), then flip the new axes marked in `flips`."""
    array = volume.array.transpose(0, *(axis + 1 for axis in order))
    array = array[(slice(None), *(slice(None, None, -1 if flip else 1) for flip in flips))]
    step = np.zeros((4, 4))
    step[3, 3] = 1
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        step[old, new] = -1 if flip else 1
        step[old, 3] = volume.shape[old] - 1 if flip else 0
    return replace(volume, array=array, affine=volume.affine @ step)


def resample(
    volume: Volume,
    *,
    spacing_mm: Sequence[float] | None = None,
    like: Volume | None = None,
    labels: bool = False,
    outside: float | None = None,
) -> Volume:
    """Resample to a spacing (same orientation and field of view) or onto the grid of another volume.

    Args:
        volume: [C, X, Y, Z].
        spacing_mm: new spacing along each array axis.
        like: volume whose grid to take; its voxels are not read.
        labels: nearest label, keeping the type; otherwise linear, smoothed first where the step is much coarser.
        outside: value where the volume has no voxels; default 0 for labels and the smallest voxel of an image (air).

    Returns:
        Images: integers are rounded back to their type, float64 becomes float32.

    Raises:
        UsageError: not exactly one of `spacing_mm` and `like`, or a spacing that is not positive.
    """
    if (spacing_mm is None) == (like is None):
        raise UsageError(
            "Give either `spacing_mm` or `like`.", got=f"spacing_mm={spacing_mm}, like={'a volume' if like else None}"
        )
    shape, affine = (like.shape, like.affine) if like is not None else spaced_grid(volume, spacing_mm or ())
    turned = _turned(volume, shape, affine)
    if turned is not None:
        return turned
    step = np.linalg.inv(volume.affine) @ affine
    fill = _outside(volume.array, labels) if outside is None else outside
    array = np.stack(
        [_interpolate(channel, step=step, shape=shape, labels=labels, outside=fill) for channel in volume.array]
    )
    return replace(volume, array=array, affine=affine.copy())


def back_to(volume: Volume, like: Volume, *, labels: bool = True, outside: float | None = None) -> Volume:
    """Bring a prediction on a canonical or resampled grid back to the exact grid and affine of the input `like`."""
    return resample(volume, like=like, labels=labels, outside=outside)


def spaced_grid(volume: Volume, spacing_mm: Sequence[float]) -> tuple[tuple[int, int, int], AffineArray]:
    """Shape and affine of the volume's field of view at another spacing; the outer voxel *edges* stay in place.

    A sheared grid (tilted gantry) becomes a rectangular one that holds all of it: networks see upright anatomy.

    Raises:
        UsageError: a spacing that is not three positive numbers.
    """
    wanted = np.asarray(spacing_mm, dtype=float)
    if wanted.shape != (3,) or not (np.isfinite(wanted).all() and (wanted > 0).all()):
        raise UsageError("`spacing_mm` must be three positive numbers.", got=tuple(spacing_mm))
    if is_sheared(volume.affine):
        return _upright_grid(volume, wanted)
    factor = wanted / volume.spacing_mm
    x, y, z = (max(1, round(n / f)) for n, f in zip(volume.shape, factor, strict=True))
    affine = volume.affine.copy()
    affine[:3, :3] *= factor
    affine[:3, 3] += volume.affine[:3, :3] @ ((factor - 1) / 2)
    return (x, y, z), affine


def is_sheared(affine: AffineArray) -> bool:
    """Whether the axes are not at right angles, as where the gantry was tilted."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > SHEAR_TOLERANCE)


def _upright_grid(volume: Volume, spacing_mm: npt.NDArray[np.float64]) -> tuple[tuple[int, int, int], AffineArray]:
    """The rectangular grid around a sheared one, along its third axis (the table), its first as near as can be."""
    third = volume.affine[:3, 2] / np.linalg.norm(volume.affine[:3, 2])
    first = volume.affine[:3, 0] - (volume.affine[:3, 0] @ third) * third
    first /= np.linalg.norm(first)
    second = np.cross(third, first)
    second *= np.sign(second @ volume.affine[:3, 1])
    axes = np.stack([first, second, third], axis=1)
    edges = np.array(list(itertools.product(*((-0.5, n - 0.5) for n in volume.shape))))
    reach = (edges @ volume.affine[:3, :3].T + volume.affine[:3, 3]) @ axes
    low, high = reach.min(axis=0), reach.max(axis=0)
    x, y, z = (max(1, int(n)) for n in np.ceil((high - low) / spacing_mm - COPY_TOLERANCE))
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing_mm
    affine[:3, 3] = axes @ (low + spacing_mm / 2)
    return (x, y, z), affine


def _corners(volume: Volume) -> npt.NDArray[np.float64]:
    index = np.array(list(itertools.product(*((0, n - 1) for n in volume.shape))), dtype=float)
    corners: npt.NDArray[np.float64] = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return corners


def _rounded(values: Sequence[float] | npt.NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(value), 3) for value in values)


def _outside(array: npt.NDArray[Any], labels: bool) -> float:
    return 0.0 if labels or not array.size else float(array.min())


def _turned(volume: Volume, shape: tuple[int, ...], affine: AffineArray) -> Volume | None:
    """The volume with axes permuted and flipped so that it lies on the new grid; None where that isn't enough."""
    to_new = np.linalg.inv(affine) @ volume.affine
    order, flips = canonical_axes(to_new)
    turned = reorient(volume, order=order, flips=flips)
    if turned.shape != shape:
        return None
    drift = np.linalg.inv(affine) @ turned.affine - np.eye(4)
    furthest = np.abs(drift[:3, :3]) @ np.asarray(shape) + np.abs(drift[:3, 3])
    return replace(turned, affine=affine.copy()) if furthest.max() < COPY_TOLERANCE else None


def _interpolate(
    channel: npt.NDArray[Any], *, step: AffineArray, shape: tuple[int, ...], labels: bool, outside: float
) -> npt.NDArray[Any]:
    """One channel [X, Y, Z] at the voxels of the new grid; `step` maps new indices to old ones.

    ITK sees plain index grids and one affine transform between them, so that no orientation is too odd for it.
    """
    sigmas = [0.0] * 3 if labels else _anti_alias_sigmas(step)
    if not labels and is_parallel(step, shape):
        as_type = partial(_as_type, dtype=channel.dtype)
        return resample_parallel(channel, step, shape, sigmas, outside=outside, as_type=as_type)
    import SimpleITK

    source = channel.astype(ITK_TYPES.get(channel.dtype.str[1:], channel.dtype), copy=False)
    if any(sigmas):
        from scipy import ndimage

        source = ndimage.gaussian_filter(source, sigmas, mode="nearest", output=np.float32)
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(step[:3, :3].ravel().tolist())
    transform.SetTranslation(step[:3, 3].tolist())
    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetSize([int(n) for n in shape])
    resampler.SetTransform(transform)
    resampler.SetDefaultPixelValue(float(outside))
    resampler.SetInterpolator(SimpleITK.sitkNearestNeighbor if labels else SimpleITK.sitkLinear)
    if not labels:
        resampler.SetOutputPixelType(SimpleITK.sitkFloat32)
    moved = resampler.Execute(SimpleITK.GetImageFromArray(np.ascontiguousarray(source.T)))
    return _as_type(SimpleITK.GetArrayFromImage(moved).T, channel.dtype)


def _anti_alias_sigmas(step: AffineArray) -> list[float]:
    """Standard deviations of the smoothing along the old axes that the new grid steps over, old voxels; else 0."""
    factors = np.linalg.norm(step[:3, :3], axis=1)
    return [ANTI_ALIAS_SIGMA * float(np.sqrt(f**2 - 1)) if f > ANTI_ALIAS_FROM else 0.0 for f in factors]


def _as_type(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if values.dtype == dtype or (dtype.kind == "f" and dtype.itemsize >= values.dtype.itemsize):
        return values
    if dtype.kind == "b":
        return np.asarray(values > TRUE_ABOVE)
    if dtype.kind in "iu" and values.dtype.kind == "f":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(dtype)
