"""Volumes with known truth whose masks err systematically: only what the image predicts can be learned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dictamen.anatomy.slab_regions import long_axis

CHANCE = 0.65
"""Of each kind of error in a case."""
CAP, LEAK_VOXELS = (0.10, 0.18), (1, 2)
BRIGHTER_HU, INCLUSION_HU = 25.0, 60.0
NOISE_HU = 14.0
SHAPE, SPACING_MM = (26, 26, 36), (2.0, 2.0, 2.0)


@dataclass(frozen=True)
class Example:
    """An image in HU, the mask that a tool made of it, and the truth that is kept apart; [X, Y, Z]."""

    image: np.ndarray
    mask: np.ndarray
    truth: np.ndarray


def corrupt(truth: np.ndarray, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mask with, each with probability `CHANCE`: the upper cap missing, a leak of 1-2 voxels into brighter
    neighbours, the boundary one voxel too far on one side, a hole at a bright inclusion. At least one of them.
    """
    chosen = rng.random(4) < CHANCE
    if not chosen.any():
        chosen[rng.integers(4)] = True
    cap, leak, side, hole = chosen
    smooth = ndimage.gaussian_filter(image.astype(np.float32), 0.8)
    inside = float(np.median(image[truth]))
    mask = truth.copy()
    if hole:
        bright = ndimage.binary_erosion(truth) & (smooth > inside + INCLUSION_HU)
        mask &= ~ndimage.binary_dilation(bright)
    if cap:
        centre, axis = long_axis(truth, (1, 1, 1))
        along = (np.argwhere(truth) - centre) @ axis
        limit = along.max() - rng.uniform(*CAP) * np.ptp(along)
        mask[tuple(np.argwhere(truth)[along > limit].T)] = False
    if leak:
        ring = ndimage.binary_dilation(truth, iterations=int(rng.integers(LEAK_VOXELS[0], LEAK_VOXELS[1] + 1))) & ~truth
        mask |= ring & (smooth > inside + BRIGHTER_HU)
    if side:
        mask |= ndimage.shift(mask.astype(np.uint8), (0, 1, 0), order=0).astype(bool)
    return mask


def phantom(seed: int) -> Example:
    """A bent, elongated organ of 60 HU in fat, beside a brighter vessel, with bright inclusions, in noise."""
    rng = np.random.default_rng([11, seed])
    x, y, z = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE), indexing="ij")
    bend, turn = rng.uniform(0.002, 0.01), rng.uniform(0, 2 * np.pi)
    radii = rng.uniform((4.5, 4.5, 10.5), (6, 6, 13))
    cx, cy = x - bend * z**2 * np.cos(turn), y - bend * z**2 * np.sin(turn)
    wobble = 1 + 0.12 * np.sin(z / rng.uniform(4, 7) + rng.uniform(0, 6)) + 0.08 * np.cos(2 * np.arctan2(cy, cx))
    organ = (cx / radii[0]) ** 2 + (cy / radii[1]) ** 2 + (z / radii[2]) ** 2 < wobble**2
    tissue = np.full(SHAPE, -70.0) + 40 * ndimage.gaussian_filter(rng.standard_normal(SHAPE), 4) / 0.03
    tissue = np.clip(tissue, -110, 10)
    angle = rng.uniform(0, 2 * np.pi)
    vessel_radius = rng.uniform(2.5, 3.5)
    away = radii[0] + vessel_radius - 0.5
    vessel = (cx - away * np.cos(angle)) ** 2 + (cy - away * np.sin(angle)) ** 2 < vessel_radius**2
    tissue[vessel & (np.abs(z) < rng.uniform(8, 18))] = 115
    tissue[organ] = 60
    for _ in range(rng.integers(1, 3)):
        place = rng.uniform((-2, -2, -5.5), (2, 2, 5.5))
        ball = (cx - place[0]) ** 2 + (cy - place[1]) ** 2 + (z - place[2]) ** 2 < rng.uniform(1.6, 2.3) ** 2
        tissue[ball & organ] = 170
    image = (
        ndimage.gaussian_filter(tissue, 0.6) + ndimage.gaussian_filter(rng.standard_normal(SHAPE), 0.5) * NOISE_HU * 1.6
    )
    image = image.astype(np.float32)
    return Example(image, corrupt(organ, image, rng), organ)
