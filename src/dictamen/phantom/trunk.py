"""Skin, fat, muscle, ribs, lungs, spine and pelvis."""

from __future__ import annotations

import numpy as np

from dictamen.phantom.body import LABEL_OF, VERTEBRAE, Painter
from dictamen.phantom.shapes import Box, FloatArray, ellipsoid, tube

TRUNK_SEMI_MM = (150.0, 108.0)
"""Half width and half depth of the standard trunk, mm."""
MEAN_SEMI_MM = 122.0
"""Converts the normalised trunk radius to mm, about right on all sides."""
LEVEL_MM = 34.0
"""Height of a vertebra with its disc, mm."""
LOWEST_RIB_MM = -55.0
"""Nothing of the chest lies below, in the standard patient."""
BELOW_MM = -99.0
"""Signed distance to the diaphragm written there."""
L2_INDEX = VERTEBRAE.index("L2")
"""The grid's centre lies in the second lumbar vertebra."""


def paint_wall(painter: Painter, rng: np.random.Generator) -> FloatArray:
    """Paint skin, subcutaneous fat, muscle wall and abdominal fat; return the signed distance to the cavity, mm."""
    x, y, _ = painter.frame.coordinates
    fat_mm, wall_mm = rng.uniform(7, 30), rng.uniform(8, 14)
    radius = np.sqrt((x / np.float32(TRUNK_SEMI_MM[0])) ** 2 + (y / np.float32(TRUNK_SEMI_MM[1])) ** 2)
    distance = (radius - 1) * np.float32(MEAN_SEMI_MM)
    everywhere = whole(painter)
    painter.paint("skin", everywhere, distance)
    painter.paint("fat", everywhere, distance + 3)
    # subcutaneous fat is thicker in front and at the flanks than over the spine
    muscle = distance + np.float32(fat_mm) * (1 + np.clip(y / 200, -0.5, 0.4))
    painter.paint("muscle", everywhere, muscle)
    cavity: FloatArray = muscle + np.float32(wall_mm) + 3 * painter.frame.lumps
    painter.paint("fat", everywhere, cavity)
    return cavity


def whole(painter: Painter) -> Box:
    """The box of all voxels."""
    x, y, z = painter.frame.grid.shape
    return slice(0, x), slice(0, y), slice(0, z)


def paint_muscles(painter: Painter, rng: np.random.Generator) -> None:
    """Paint the muscles beside the spine and the psoas."""
    bulk = rng.uniform(0.8, 1.15)
    for sign, side in ((1, "right"), (-1, "left")):
        box = painter.frame.box((sign * 38 - 32, -112, -400), (sign * 38 + 32, -60, 400))
        x, y, _ = painter.frame.coordinates[:, *box]
        back = (np.sqrt(((x - sign * 36) / (30 * bulk)) ** 2 + ((y + 84) / (17 * bulk)) ** 2) - 1) * 20
        painter.paint("muscle", box, back, structure=f"autochthon_{side}")
        points = [(sign * 24, -46, 40), (sign * 34, -44, -20), (sign * 48, -38, -90), (sign * 62, -22, -170)]
        painter.paint(
            "muscle", *tube(painter.frame, points, np.array([5, 12, 17, 18]) * bulk), structure=f"iliopsoas_{side}"
        )


def paint_chest(painter: Painter, cavity: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Paint lung bases, heart and ribs; return the signed distance to the diaphragm's dome, mm, negative below."""
    upper = painter.frame.box((-400, -400, LOWEST_RIB_MM), (400, 400, 400))
    x, y, z = painter.frame.coordinates[:, *upper]
    cavity = cavity[upper]
    height = rng.uniform(104, 126)
    arch = 0.003 * (np.abs(x) - 68) ** 2 + np.where(y < 5, 0.008, 0.003) * (y - 5) ** 2
    dome = z - (np.float32(height) - arch + np.where(x < 0, np.float32(-8), np.float32(0)))
    lung = np.maximum(np.maximum(5 - dome, cavity + 2), 24 - np.abs(x))
    for sign, side in ((1, "right"), (-1, "left")):
        painter.paint("lung", upper, np.maximum(lung, -sign * x), structure=f"lung_lower_lobe_{side}")
    box, heart = ellipsoid(painter.frame, (-18, 28, 158), (60, 46, 48), tilt=(0.3, 0.2, 0.5), lumpiness=0.05)
    full = np.full(painter.frame.grid.shape, BELOW_MM, dtype=np.float32)
    full[upper] = dome
    painter.paint("heart", box, np.maximum(heart, 4 - full[box]), structure="heart")
    # ribs: slanted stripes in the wall, down to the costal margin
    stripes = np.cos((z + 0.45 * y) * np.float32(2 * np.pi / 26))
    shell = np.abs(cavity - 5) - 4
    margin = -10 - 0.25 * np.abs(x) + 0.9 * np.maximum(y, 0) - z
    painter.paint("cancellous", upper, np.maximum(np.maximum(shell, (0.55 - stripes) * 9), margin))
    return full


def paint_spine(painter: Painter) -> None:
    """Paint vertebrae, discs, canal and posterior elements."""
    box = painter.frame.box((-42, -112, -400), (42, -22, 400))
    x, y, z = painter.frame.coordinates[:, *box]
    level = np.rint(z / LEVEL_MM)
    height = np.abs(z - level * LEVEL_MM)
    waist = 1 + 0.004 * (height**2 / 13 - 6)
    around = (np.sqrt((x / 22) ** 2 + ((y + 50) / 17) ** 2) - waist) * 19
    painter.paint("disc", box, around + 1)
    vertebra = np.maximum(around, height - 13.5)
    back_y = y + 77
    ring = np.abs(np.hypot(x, back_y) - 12) - 3
    process = np.maximum(np.maximum(np.abs(x) - 3.5, np.abs(y + 96) - 11), height - 9)
    transverse = np.maximum(np.maximum(np.abs(back_y - 3) - 4, np.abs(x) - 36), height - 5)
    posterior = np.minimum(np.minimum(np.maximum(ring, height - 12), process), transverse)
    painter.paint("cortical", box, np.minimum(vertebra, posterior))
    painter.paint("cancellous", box, vertebra + 3, keep_labels=True)
    painter.paint("canal", box, np.hypot(x, back_y) - 9)
    bone = np.minimum(vertebra, posterior) < 0
    index = (L2_INDEX - level).astype(int)  # levels count upwards, the table downwards
    names = [LABEL_OF[f"vertebrae_{name}"] for name in VERTEBRAE] + [LABEL_OF["sacrum"]]
    painter.labels[box][bone] = np.array(names, dtype=np.uint8)[np.clip(index, 0, len(VERTEBRAE))][bone]


def paint_pelvis(painter: Painter) -> None:
    """Paint the iliac wings."""
    for sign, side in ((1, "right"), (-1, "left")):
        box, bound = ellipsoid(painter.frame, (sign * 88, -40, -136), (48, 50, 58))
        x, y, z = painter.frame.coordinates[:, *box]
        # a plate that flares upwards and outwards, hollow towards the abdomen
        plate = 0.73 * (sign * x - 88) - 0.68 * (z + 132) - 0.005 * (y + 40) ** 2 + 4
        wing = np.maximum(np.abs(plate) - 5, bound)
        painter.paint("cortical", box, wing, structure=f"hip_{side}")
        painter.paint("cancellous", box, wing + 3, keep_labels=True)
