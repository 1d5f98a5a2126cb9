"""Random grids as DICOM can hold them, and what a SEG says of the place of its segments by its own geometry alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from scipy.spatial.transform import Rotation
from synthetic_dicom import Scan

from dictamen.imaging.dicom.segmentation import Algorithm, Segment, Source, make_segmentation

Array = npt.NDArray[Any]

AXES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)


def random_scan(random: np.random.Generator) -> Scan:
    """Oblique, flipped, negated, permuted, anisotropic, some with a tilted gantry, anywhere within two metres."""
    if random.random() < 0.5:
        axes = AXES[random.permutation(3)] * random.choice([-1.0, 1.0], size=(3, 1))
        if random.random() < 0.5:
            axes = axes @ Rotation.from_rotvec(random.normal(scale=0.2, size=3)).as_matrix()
    else:
        axes = Rotation.random(random_state=int(random.integers(2**31))).as_matrix()
    row, column = axes[0], axes[1]
    slice_mm = round(float(random.uniform(0.3, 8)), 4)
    step = np.cross(row, column) * slice_mm * random.choice([-1.0, 1.0])
    if random.random() < 0.2:
        step = step + column * slice_mm * np.tan(np.radians(random.uniform(-30, 30)))
    shape = tuple(int(n) for n in random.integers((4, 4, 2), 8))
    return Scan(
        shape=shape,  # type: ignore[arg-type]
        orientation=[round(float(v), 6) for v in (*row, *column)],
        origin=[round(float(v), 4) for v in random.uniform(-2000, 2000, size=3)],
        pixel_mm=tuple(round(float(v), 4) for v in random.uniform(0.2, 6, size=2)),  # type: ignore[arg-type]
        slice_mm=slice_mm,
        step=[float(v) for v in step],
        seed=int(random.integers(2**31)),
    )


def random_mask(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """One to many voxels, [X, Y, Z]."""
    mask = random.random(shape) < random.uniform(0.05, 0.9)
    mask[tuple(int(random.integers(n)) for n in shape)] = True
    return mask.astype(np.uint8)


def segmentation_of(scan: Scan, mask: Array) -> Dataset:
    """The SEG of a mask on a scan."""
    source = Source(tuple(scan.datasets()), tuple(range(scan.shape[2])))
    return make_segmentation(mask, [Segment(1, "liver", "liver")], source, algorithm=Algorithm("test", "0"))


def centroid_of_mask(scan: Scan, mask: Array) -> Array:
    """RAS millimetres."""
    return np.asarray(scan.affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + scan.affine[:3, 3])


def centroid_in_file(seg: Dataset) -> Array:
    """RAS millimetres, from the SEG's plane positions, orientation and pixel spacing (PS3.3 C.7.6.2.1-1) alone."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    row, column = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    between_rows, between_columns = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    points = []
    for group, frame in zip(seg.PerFrameFunctionalGroupsSequence, frames, strict=True):
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        for at_row, at_column in np.argwhere(frame):
            points.append(position + row * between_columns * at_column + column * between_rows * at_row)
    return np.asarray(np.mean(points, axis=0) * (-1, -1, 1))
