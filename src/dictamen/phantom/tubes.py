"""Vessels and bowel: tubes next to the organs that look like lesions in a single slice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dictamen.phantom.body import Painter
from dictamen.phantom.shapes import tube

SMALL_BOWEL_LOOPS = 12
"""Loops of jejunum and ileum: enough to fill the central abdomen."""


def paint_vessels(painter: Painter, rng: np.random.Generator) -> dict[str, float]:
    """Paint aorta, vena cava, portal system and their branches; return the diameter of the aorta, mm."""
    frame = painter.frame
    aorta, cava = rng.uniform(8.0, 11.5), rng.uniform(8.5, 12)
    painter.paint(
        "artery", *tube(frame, [(-8, -20, 190), (-9, -20, 60), (-8, -20, -70)], [aorta] * 3), structure="aorta"
    )
    painter.paint(
        "vein", *tube(frame, [(22, -6, 150), (21, -20, 60), (17, -22, -75)], [cava] * 3), structure="inferior_vena_cava"
    )
    for sign in (1, -1):
        start, end = (-8.0, -20.0, -68.0), (sign * 48.0, -30.0, -170.0)
        painter.paint("artery", *tube(frame, [start, (sign * 18 - 4, -22, -105), end], [aorta * 0.7, aorta * 0.6, 6]))
        painter.paint(
            "vein", *tube(frame, [(17, -22, -72), (sign * 20 + 4, -32, -110), (sign * 52, -40, -170)], [cava, 7, 7])
        )
        painter.paint("vein", *tube(frame, [(8, -14, 2), (sign * 28, -22, 5), (sign * 52, -34, 6)], [4.5, 4.5, 4]))
        painter.paint("artery", *tube(frame, [(-8, -24, 8), (sign * 28, -30, 10), (sign * 52, -34, 10)], [3, 2.8, 2.4]))
    portal = [(-84, -24, 50), (-45, -12, 28), (-8, -4, 14), (12, -6, 12), (26, -2, 26), (36, 2, 40)]
    painter.paint("portal", *tube(frame, portal, [4, 4.5, 5, 6.5, 6.5, 6]), structure="portal_vein_and_splenic_vein")
    painter.paint("portal", *tube(frame, [(12, -4, 12), (10, 6, -20), (14, 18, -70)], [6, 5.5, 4]))
    painter.paint("artery", *tube(frame, [(-8, -12, 30), (-6, 2, 8), (0, 12, -30), (4, 20, -70)], [4, 3.8, 3.2, 2.5]))
    return {"aorta_mm": 2 * aorta * frame.scale[0]}


def paint_mesentery(painter: Painter, rng: np.random.Generator) -> None:
    """Paint small vessels and nodes in the mesenteric fat."""
    for _ in range(14):
        root = np.array([5.0, 8.0, -15.0])
        end = np.array([rng.uniform(-75, 75), rng.uniform(15, 65), rng.uniform(-125, -10)])
        middle = (root + end) / 2 + rng.normal(0, 8, 3)
        painter.paint("vein", *tube(painter.frame, [root, middle, end], [2.8, 2.0, 1.2]))


def paint_bowel(painter: Painter, rng: np.random.Generator) -> None:
    """Paint small bowel with varied contents, then duodenum and colon."""
    for _ in range(SMALL_BOWEL_LOOPS):
        start = np.array([rng.uniform(-72, 72), rng.uniform(8, 62), rng.uniform(-130, -12)])
        steps = rng.normal(0, [26, 16, 16], (5, 3))
        line = np.clip(start + np.cumsum(steps, axis=0), [-80, 0, -135], [80, 70, 4])
        content = str(rng.choice(["fluid", "collapsed", "gas", "oral", "food"], p=[0.4, 0.22, 0.14, 0.08, 0.16]))
        _paint_hollow(
            painter, line, rng.uniform(7, 12, 5), content, structure="small_bowel", wall_mm=rng.uniform(2, 3.5)
        )
    duodenum = np.array([(26, 36, 14), (48, 12, 6), (46, -6, -24), (28, -10, -44), (-14, -4, -38)]) + rng.normal(
        0, 2, (5, 3)
    )
    _paint_hollow(
        painter,
        duodenum,
        rng.uniform(8, 11, 5),
        str(rng.choice(["fluid", "collapsed", "food"])),
        structure="duodenum",
        wall_mm=2.5,
    )
    _paint_colon(painter, rng)


def _paint_colon(painter: Painter, rng: np.random.Generator) -> None:
    ascending = [(84, -14, -130), (94, -14, -80), (92, -10, -40), (84, 10, -18)]
    transverse = [(84, 10, -18), (55, 58, -30), (0, 66, rng.uniform(-60, -10)), (-55, 52, -8), (-92, 4, 14)]
    descending = [(-92, 4, 14), (-100, -26, -20), (-98, -28, -75), (-82, -10, -135)]
    for segment in (ascending, transverse, descending):
        line = np.array(segment) + rng.normal(0, 3, (len(segment), 3))
        content = str(rng.choice(["stool", "gas", "collapsed"], p=[0.6, 0.25, 0.15]))
        width = 10 if content == "collapsed" else rng.uniform(15, 21)
        _paint_hollow(painter, line, rng.normal(width, 2, len(segment)), content, structure="colon", wall_mm=2.5)


def _paint_hollow(
    painter: Painter,
    line: npt.NDArray[np.float64],
    radii: npt.NDArray[np.float64],
    content: str,
    *,
    structure: str,
    wall_mm: float,
) -> None:
    """Paint a tube with a wall and its content ("collapsed": wall only; gas collects in irregular bubbles)."""
    box, distance = tube(painter.frame, line, np.maximum(radii, 5))
    painter.paint("wall", box, distance, structure=structure)
    if content == "collapsed":
        return
    lumen = distance + np.float32(wall_mm)
    painter.paint("fluid" if content == "gas" else content, box, lumen, keep_labels=True)
    if content in ("gas", "stool"):
        threshold = -0.3 if content == "gas" else 1.1
        bubbles = (threshold - painter.frame.texture[box]) * 6
        painter.paint("gas", box, np.maximum(lumen + 1, bubbles), keep_labels=True)
