"""Slices in space: their order and the affine of the volume that they make, or why they make none.

Order and distances come from Image Position and Image Orientation (Patient) alone (DICOM PS3.3 C.7.6.2.1.1); instance
numbers, slice locations and file names are not looked at. Nothing is ever resampled to hide a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError
from dictamen.imaging.dicom.headers import Frame
from dictamen.imaging.volume import AffineArray

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
COSINE_TOLERANCE = 1e-3
"""Direction cosines are written with 3 to 6 decimals."""
SPACING_TOLERANCE = 1e-3
"""Relative difference of pixel spacing within a series."""
SAME_PLACE_MM = 0.01
"""Slices closer than this are at the same place; the thinnest CT has steps of .1 mm."""
PLACE_TOLERANCE = 0.05
"""Part of a step by which a slice may be off its place: scanners round positions to .01 to .1 mm."""
MISSING_FROM = 1.5
"""A step longer than this many usual steps has room for a slice that isn't there."""
STEEPEST_TILT_DEGREES = 45.0
"""Gantries tilt by 30 at most; beyond this the slices lie beside rather than upon each other."""


@dataclass(frozen=True)
class Stack:
    """Frames in the order of the third array axis, and where they are.

    Attributes:
        frames: from first to last along the slices' normal.
        affine: 4x4, (column, row, slice) to mm, RAS+; sheared where the gantry was tilted.
        tilt_degrees: angle between the slices' normal and the way from slice to slice.
    """

    frames: tuple[Frame, ...]
    affine: AffineArray
    tilt_degrees: float

    @property
    def step_mm(self) -> float:
        """From slice to slice along their normal."""
        return float(np.linalg.norm(self.affine[:3, 2]) * np.cos(np.radians(self.tilt_degrees)))


def stack(frames: Sequence[Frame], where: object) -> Stack:
    """Order the frames of one series.

    Raises:
        InputError: fewer than two, different orientations or spacing, several slices at one place, missing slices,
            uneven steps, slices that are not on one line.
    """
    if len(frames) < 2:
        raise InputError("The series has one slice only.", where=where, expected="at least 2")
    row, column = _directions(frames, where)
    spacing = _pixel_spacing(frames, where)
    normal = np.cross(row, column)
    positions = np.array([frame.position_mm for frame in frames])
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    _check_steps(np.diff(positions @ normal), where)
    step = (positions[-1] - positions[0]) / (len(frames) - 1)
    _check_line(positions, step, where)
    tilt = float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1.0, 1.0))))
    if tilt > STEEPEST_TILT_DEGREES:
        raise InputError(
            "The slices lie beside each other, not upon each other.", where=where, got=f"{tilt:.0f} degrees"
        )
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = row * spacing[1], column * spacing[0], step
    affine[:3, 3] = positions[0]
    return Stack(tuple(frames[index] for index in order), LPS_TO_RAS @ affine, tilt)


def _directions(frames: Sequence[Frame], where: object) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Unit vectors along a row and along a column."""
    given = np.array([frame.orientation for frame in frames])
    turned = np.abs(given - given[0]).max(axis=1) > COSINE_TOLERANCE
    if turned.any():
        raise InputError(
            "The slices have different orientations.",
            where=where,
            got=f"{int(turned.sum())} of {len(frames)} turned against the first",
            next_step="give the series without its localizer or reformatted images",
        )
    row, column = given[0, :3], given[0, 3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(row @ column)) > COSINE_TOLERANCE:
        raise InputError(
            "The direction cosines are not two perpendicular unit vectors.",
            where=where,
            got=f"lengths {lengths[0]:.4f} and {lengths[1]:.4f}, product {row @ column:.4f}",
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    return row, column / np.linalg.norm(column)


def _pixel_spacing(frames: Sequence[Frame], where: object) -> npt.NDArray[np.float64]:
    given = np.array([frame.spacing_mm for frame in frames])
    if (given <= 0).any():
        raise InputError("The pixel spacing must be positive.", where=where, got=tuple(given.min(axis=0).tolist()))
    if not np.allclose(given, given[0], rtol=SPACING_TOLERANCE, atol=0):
        raise InputError(
            "The slices have different pixel spacings.",
            where=where,
            got=f"{given.min():.4g} to {given.max():.4g} mm",
        )
    spacing: npt.NDArray[np.float64] = given[0]
    return spacing


def _check_steps(steps: npt.NDArray[np.float64], where: object) -> None:
    """Distances between neighbours along the normal."""
    same = int((steps < SAME_PLACE_MM).sum())
    if same:
        raise InputError(
            "Several slices lie at the same place: phases, echoes or reconstructions in one series.",
            where=where,
            got=f"{same} of {len(steps) + 1} slices repeat a place",
            next_step="split the series into its phases, or remove the copies",
        )
    usual = float(np.median(steps))
    if (gaps := steps > MISSING_FROM * usual).any():
        missing = int(np.rint(steps[gaps] / usual - 1).clip(min=1).sum())
        raise InputError(
            "Slices are missing.",
            where=where,
            got=f"{int(gaps.sum())} gaps of up to {steps.max():.4g} mm where steps are {usual:.4g} mm, "
            f"about {missing} slices",
            next_step="send the series again, whole",
        )
    if np.abs(steps - usual).max() > 2 * PLACE_TOLERANCE * usual:
        raise InputError(
            "The distance between slices varies.",
            where=where,
            got=f"{steps.min():.4g} to {steps.max():.4g} mm",
            expected="the same everywhere",
            next_step="give a reconstruction with even steps; dictamen does not resample without being asked",
        )


def _check_line(positions: npt.NDArray[np.float64], step: npt.NDArray[np.float64], where: object) -> None:
    off = np.linalg.norm(positions - positions[0] - np.arange(len(positions))[:, None] * step, axis=1)
    if off.max() > PLACE_TOLERANCE * np.linalg.norm(step):
        raise InputError(
            "The slices do not lie on one straight line at even steps.",
            where=where,
            got=f"a slice is {off.max():.3g} mm off, steps are {np.linalg.norm(step):.4g} mm",
            expected=f"at most {PLACE_TOLERANCE:.0%} of a step",
        )
