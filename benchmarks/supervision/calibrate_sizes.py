"""How well diameters fix a volume: mask volume / ellipsoid of one, two, three diameters, on real lesion shapes.

    python benchmarks/supervision/calibrate_sizes.py SHARED_DATA [-o benchmarks/results/size_calibration.md]

A reader is simulated on each mask: on the axial slice where the lesion is largest, the largest diameter in any
direction and the largest extent at right angles to it; craniocaudally, the extent. Each diameter then gets the reader's
error: normal, 10 % standard deviation cut at 20 %, rounded to the millimetre, as dictated.
Shapes: LIDC-IDRI nodules (CC BY 3.0), KiTS19 kidney tumours (CC BY-NC-SA 4.0); nothing of them is copied here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.spatial import ConvexHull, QhullError

ERROR_STD, ERROR_CUT, REPEATS = 0.10, 0.20, 5
SMALLEST_VOXELS = 30  # below that, voxels and not anatomy decide the shape


def axial_diameters(points: np.ndarray, spacing_mm: float) -> tuple[float, float]:
    """Largest diameter of an axial slice's voxels [N, 2] in mm, and the extent at right angles; half voxels added."""
    corners = (points[:, None, :] + np.array([(0, 0), (0, 1), (1, 0), (1, 1)])[None]).reshape(-1, 2) * spacing_mm
    try:
        corners = corners[ConvexHull(corners).vertices]
    except QhullError:
        corners = np.unique(corners, axis=0)
    gaps = corners[:, None] - corners[None]
    lengths = np.linalg.norm(gaps, axis=-1)
    i, j = np.unravel_index(lengths.argmax(), lengths.shape)
    across = np.array([-gaps[i, j][1], gaps[i, j][0]]) / lengths[i, j]
    # corners of voxels overstate a smooth lesion by about half a voxel on each side
    largest = max(lengths[i, j] - spacing_mm / 2, spacing_mm)
    return float(largest), float(max(np.ptp(corners @ across) - spacing_mm / 2, spacing_mm))


def measure(mask: np.ndarray, spacing_mm: float) -> tuple[float, float, float, float]:
    """Volume in mm3, axial largest, its perpendicular, craniocaudal extent; mask [z, y, x]."""
    spans = [
        axial_diameters(np.argwhere(mask[z]), spacing_mm) if mask[z].any() else (0.0, 0.0) for z in range(len(mask))
    ]
    largest, across = max(spans)
    height = np.flatnonzero(mask.any(axis=(1, 2)))
    return float(mask.sum()) * spacing_mm**3, largest, across, float(height[-1] - height[0] + 1) * spacing_mm


def masks(shared: Path) -> dict[str, list[tuple[np.ndarray, float]]]:
    """Source -> (mask [z, y, x], spacing in mm)."""
    folder = shared / "shapes"
    found: dict[str, list[tuple[np.ndarray, float]]] = {"LIDC nodules": [], "KiTS19 kidney tumours": []}
    with np.load(folder / "lidc_nodule_masks_1mm_packed.npz") as packed:
        for fact in json.loads((folder / "lidc_nodule_facts.json").read_text()):
            found["LIDC nodules"].append((_unpack(packed[fact["key"]], fact["shape"]), 1.0))
    with np.load(folder / "NC_kits19_tumor_masks_2mm_packed.npz") as packed:
        for fact in json.loads((folder / "NC_kits19_tumor_facts.json").read_text()):
            found["KiTS19 kidney tumours"].append((_unpack(packed[fact["case"]], fact["shape"]), 2.0))
    return {name: [pair for pair in pairs if pair[0].sum() >= SMALLEST_VOXELS] for name, pairs in found.items()}


def _unpack(bits: np.ndarray, shape: list[int]) -> np.ndarray:
    return np.unpackbits(bits)[: int(np.prod(shape))].reshape(shape).astype(bool)


def ratios(measured: np.ndarray, rng: np.random.Generator, error: float) -> dict[int, np.ndarray]:
    """Number of diameters -> mask volume / ellipsoid, with the reader's error of standard deviation `error`."""
    volume, sizes = measured[:, 0], measured[:, 1:]
    noise = np.clip(rng.normal(0, 1, (REPEATS, *sizes.shape)) * error, -2 * error, 2 * error)
    read = np.maximum(np.round(sizes * (1 + noise)), 1) if error else sizes[None]
    a, b, c = np.moveaxis(read, -1, 0)
    two = np.sort(np.stack([a, b]), axis=0)
    products = {1: a**3, 2: two[0] * two[1] * np.sqrt(two[0] * two[1]), 3: a * b * c}
    return {count: (volume / (np.pi / 6 * product)).ravel() for count, product in products.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results/size_calibration.md"))
    arguments = parser.parse_args()
    rows = []
    for name, pairs in masks(arguments.shared).items():
        measured = np.array([measure(mask, spacing) for mask, spacing in pairs])
        strata = {"all": measured[:, 1] > 0}
        if name.startswith("LIDC"):
            strata |= {"6-10 mm": (measured[:, 1] >= 6) & (measured[:, 1] < 10), "from 10 mm": measured[:, 1] >= 10}
        for stratum, chosen in strata.items():
            for error in (0.0, ERROR_STD):
                for count, values in ratios(measured[chosen], np.random.default_rng(0), error).items():
                    low, middle, high = np.percentile(values, (10, 50, 90))
                    start = f"| {name} | {stratum} | {chosen.sum()} | {count} | {error:.0%}"
                    rows.append(f"{start} | {low:.2f} | {middle:.2f} | {high:.2f} |")
    header = (
        "| lesions | size | n | diameters | reader's error | 10 % | median | 90 % |\n|---|---|---|---|---|---|---|---|"
    )
    table = "\n".join([header, *rows])
    arguments.output.write_text(
        "# How well diameters fix a volume\n\nMask volume / ellipsoid of the diameters, simulated reader "
        f"(benchmarks/supervision/calibrate_sizes.py).\n\n{table}\n"
    )
    print(table)


if __name__ == "__main__":
    main()
