"""Liver, spleen, stomach, gallbladder, kidneys, adrenals and pancreas."""

from __future__ import annotations

import numpy as np

from dictamen.phantom.body import LABEL_OF, Painter
from dictamen.phantom.shapes import FloatArray, Point, curve, ellipsoid, rotation, tube


def paint_liver_and_spleen(
    painter: Painter, cavity: FloatArray, dome: FloatArray, rng: np.random.Generator, *, spleen: bool = True
) -> dict[str, float]:
    """Paint liver with its vessels, then the spleen where there is one; return the length of the spleen, mm."""
    frame, size = painter.frame, rng.uniform(0.88, 1.08)
    box = frame.box((-110, -95, -75), (150, 100, 150))
    right = _in_box(painter, box, (70, 2, 44), (72 * size, 78 * size, 84 * size), lumpiness=0.05)
    left = _in_box(painter, box, (-4, 40, 78), (rng.uniform(52, 84), 34 * size, 33 * size), lumpiness=0.05)
    # smooth union, then cut by diaphragm, wall and the hollow of the visceral surface
    h = np.clip(0.5 + (left - right) / 30, 0, 1)
    joined = left * (1 - h) + right * h - 15 * h * (1 - h)
    hollow = _in_box(painter, box, (8, -8, 6), (50, 46, 52), lumpiness=0.06)
    liver = np.maximum(np.maximum(joined, -hollow), np.maximum(dome[box] + 2, cavity[box] + 3))
    painter.paint("liver", box, liver, structure="liver")
    _paint_liver_vessels(painter, rng)
    length = rng.uniform(42, 60)
    if not spleen:
        return {}
    spleen_box, shape = ellipsoid(frame, (-92, -32, 58), (33, 46, length), tilt=(0.35, 0.15, 0.35), lumpiness=0.06)
    shape = np.maximum(np.maximum(shape, dome[spleen_box] + 2), cavity[spleen_box] + 2)
    painter.paint("spleen", spleen_box, shape, structure="spleen")
    return {"spleen_mm": 1.9 * length * frame.scale[2]}


def _in_box(
    painter: Painter,
    box: tuple[slice, slice, slice],
    centre: Point,
    semi: Point,
    *,
    lumpiness: float,
    tilt: Point = (0.0, 0.0, 0.0),
) -> FloatArray:
    """Signed distance of an ellipsoid in a given box."""
    offset = painter.frame.coordinates[:, *box] - np.array(centre, dtype=np.float32)[:, None, None, None]
    if any(tilt):
        offset = np.tensordot(rotation(tilt).T, offset, axes=(1, 0))
    squared = sum((offset[axis] / np.float32(semi[axis])) ** 2 for axis in range(3))
    radius = np.sqrt(np.asarray(squared, dtype=np.float32)) * (1 + np.float32(lumpiness) * painter.frame.lumps[box])
    return np.asarray((radius - 1) * np.float32(3 / sum(1 / s for s in semi)), dtype=np.float32)


def _paint_liver_vessels(painter: Painter, rng: np.random.Generator) -> None:
    """Paint hepatic and portal vein branches: bright tubes that are no lesions."""
    roots: list[tuple[Point, list[Point]]] = [
        ((20, -22, 104), [(110, -10, 40), (95, 35, 60), (50, 30, 50), (0, 55, 75), (105, -45, 55)]),
        ((30, 2, 36), [(112, -30, 20), (100, 25, 15), (105, 10, 80), (10, 52, 70), (60, -45, 70), (85, 45, 40)]),
    ]
    for root, ends in roots:
        for end in ends:
            middle = 0.5 * (np.array(root) + np.array(end)) + rng.normal(0, 7, 3)
            tip = np.array(end) + rng.normal(0, 10, 3)
            radii = np.array([5.0, 3.6, 1.6]) * rng.uniform(0.75, 1.15)
            box, distance = tube(painter.frame, [root, tuple(middle), tuple(tip)], radii)
            outside = np.where(painter.labels[box] == LABEL_OF["liver"], np.float32(-99), np.float32(99))
            painter.paint("liver_vessel", box, np.maximum(distance, outside), keep_labels=True)


def paint_stomach(painter: Painter, rng: np.random.Generator) -> None:
    """Paint the stomach: wall, fluid or food, and gas in front."""
    fill = rng.uniform(0.7, 1.05)
    centre = (-56 + rng.normal(0, 4), 26 + rng.normal(0, 4), 62 + rng.normal(0, 5))
    box, distance = ellipsoid(
        painter.frame, centre, (36 * fill, 40 * fill, 46 * fill), tilt=(0.3, -0.3, 0.2), lumpiness=0.09
    )
    antrum = [(-45, 42, 32), (-15, 50, 14), (22, 38, 12)]
    painter.paint("wall", *tube(painter.frame, antrum, [17 * fill, 13, 10]), structure="stomach")
    painter.paint("wall", box, distance, structure="stomach")
    wall_mm = rng.uniform(3.5, 6)
    painter.paint("food", box, distance + wall_mm, keep_labels=True)
    level = centre[1] + rng.uniform(-8, 26)
    painter.paint(
        "gas", box, np.maximum(distance + wall_mm + 1, level - painter.frame.coordinates[1][box]), keep_labels=True
    )


def paint_gallbladder(painter: Painter, rng: np.random.Generator) -> None:
    """Paint the gallbladder under the liver."""
    semi = np.array([14, 17, 28]) * rng.uniform(0.65, 1.1)
    centre = (44 + rng.normal(0, 5), 46 + rng.normal(0, 4), 2 + rng.normal(0, 5))
    box, distance = ellipsoid(painter.frame, centre, (semi[0], semi[1], semi[2]), tilt=(0.5, 0.3, 0), lumpiness=0.06)
    painter.paint("wall", box, distance, structure="gallbladder")
    painter.paint("bile", box, distance + 1.5, keep_labels=True)


def paint_kidneys(painter: Painter, rng: np.random.Generator, *, sides: tuple[str, ...] = ("right", "left")) -> None:
    """Paint the kidneys of `sides`: fat around, cortex, pyramids, sinus fat, a collecting system that may be wide."""
    pyramids = rng.uniform(0.25, 0.9)
    for side, sign, height in (("right", 1, 4), ("left", -1, 16)):
        if side not in sides:
            continue
        size = rng.uniform(0.88, 1.1)
        centre = (sign * (62 + rng.normal(0, 3)), -34 + rng.normal(0, 3), height + rng.normal(0, 7))
        tilt = (rng.normal(-0.15, 0.05), sign * rng.normal(0.17, 0.05), sign * rng.normal(0.45, 0.12))
        semi = (26 * size, 25 * size, 53 * size)
        fat_box, fat = ellipsoid(
            painter.frame, centre, (semi[0] + 9, semi[1] + 7, semi[2] + 11), tilt=tilt, lumpiness=0.06
        )
        painter.paint("fat", fat_box, fat)
        _paint_kidney(painter, centre, semi, tilt, side, pyramids, rng)


def _paint_kidney(
    painter: Painter, centre: Point, semi: Point, tilt: Point, side: str, pyramids: float, rng: np.random.Generator
) -> None:
    sign = 1 if side == "right" else -1
    box, kidney = ellipsoid(painter.frame, centre, semi, tilt=tilt, lumpiness=0.045)
    inward = np.array(centre) - np.array([sign * 15.0, -3.0, 0.0])
    sinus = _in_box(painter, box, (inward[0], inward[1], inward[2]), (17, 12, 29), tilt=tilt, lumpiness=0.1)
    parenchyma = np.maximum(kidney, -sinus)
    painter.paint("cortex", box, parenchyma, structure=f"kidney_{side}")
    z = painter.frame.coordinates[2][box]
    angle = np.arctan2(
        painter.frame.coordinates[1][box] - inward[1], sign * (painter.frame.coordinates[0][box] - inward[0])
    )
    lobes = np.cos(z * np.float32(2 * np.pi / 17) + rng.uniform(0, 6)) * np.cos(angle * 3)
    inner = np.maximum(np.maximum(kidney + 7, -sinus), (0.1 - np.abs(lobes)) * 12)
    painter.paint_fraction(
        "medulla", box, np.float32(pyramids) * (np.clip(0.5 - inner / 4, 0, 1)).astype(np.float32), keep_labels=True
    )
    width = rng.uniform(1.8, 3.6) if rng.random() < 0.8 else rng.uniform(5, 7.5)  # a fifth has a wide collecting system
    hub = inward - np.array([sign * 6.0, 0, 2])
    for step in (-20, -4, 14):
        end = inward + np.array([sign * 9.0, rng.normal(0, 3), step + rng.normal(0, 2)])
        painter.paint(
            "urine",
            *tube(
                painter.frame, [hub, (hub + end) / 2 + rng.normal(0, 1.5, 3), end], [width * 1.3, width, width * 0.9]
            ),
        )
    ureter = [hub, hub - np.array([sign * 10.0, 4, 16]), (sign * 36, -26, -60), (sign * 38, -18, -170)]
    painter.paint("urine", *tube(painter.frame, ureter, [width * 1.3, width, 1.8, 1.8]))


def paint_adrenals(painter: Painter, rng: np.random.Generator) -> None:
    """Paint the adrenal glands: a body and two thin limbs each."""
    for sign, side in ((1, "right"), (-1, "left")):
        top = np.array([sign * 34.0, -34.0, 66.0]) + rng.normal(0, 2, 3)
        for spread in (-9, 9):
            end = top + np.array([sign * 9.0, -10.0 + spread, -14.0])
            painter.paint(
                "adrenal",
                *tube(painter.frame, [top, (top + end) / 2, end], [4.6, 4.0, 3.2]),
                structure=f"adrenal_gland_{side}",
            )


def paint_pancreas(painter: Painter, rng: np.random.Generator) -> FloatArray:
    """Paint the pancreas, a bent lobulated tube; return its line [N, 3] from head to tail in the standard patient."""
    girth = rng.uniform(0.82, 1.15)
    line = np.array(
        [(24, -2, -22), (29, 1, -8), (16, 6, 6), (-14, 8, 16), (-46, -6, 30), (-72, -20, 42)], dtype=np.float32
    )
    line += rng.normal(0, 2.5, line.shape).astype(np.float32)
    box, distance = tube(painter.frame, line, np.array([10, 14, 9.5, 10, 9, 7]) * girth)
    near_surface = np.where(distance < 90, distance, np.float32(99))
    painter.paint("pancreas", box, near_surface + 1.6 * painter.frame.texture[box], structure="pancreas")
    if rng.random() < 0.5:
        duct = tube(painter.frame, curve(line, 12)[1:], [1.4] * 11)
        painter.paint("bile", *duct, keep_labels=True)
    return line
