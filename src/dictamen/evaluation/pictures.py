"""Pictures as PNG bytes: slices with outlines, and values with their intervals.

Slices follow the radiological convention: the patient's right is on the viewer's left; axial slices have anterior up,
coronal ones the head up, sagittal ones anterior on the left. Colours are Okabe and Ito's, safe for colour-blind eyes;
truth is a solid line and prediction a dashed one, so that they differ without colour too.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.evaluation.overlap import Mask, Spacing

WINDOW_HU = (-160.0, 240.0)
"""Soft tissue window, W 400 L 40."""
FIELD_MM = 180.0
"""Width of the shown field: an organ with its surroundings; a 5 mm lesion is still visible in it."""
DPI = 130
"""With panels of 2.6 inches: sharp on a screen, some 100 kB a picture."""
TRUTH, PREDICTION, REGION = "#56B4E9", "#E69F00", "#009E73"
MODELS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, PAPER, MUTED = "#1f2933", "#ffffff", "#7b8794"


@dataclass(frozen=True, slots=True)
class _Plane:
    """How one plane is shown: the axis that is cut, the axes across and up, and whether the one across is mirrored."""

    name: str
    cut: int
    across: int
    up: int
    marks: tuple[str, str]


# index 0 is at the left, so each axis across is mirrored: x grows to the patient's right, y to anterior
_PLANES = (
    _Plane("axial", 2, 0, 1, ("R", "L")),
    _Plane("coronal", 1, 0, 2, ("R", "L")),
    _Plane("sagittal", 0, 1, 2, ("A", "P")),
)


def slices(
    image: npt.NDArray[Any],
    truth: Mask | None = None,
    prediction: Mask | None = None,
    *,
    spacing_mm: Spacing,
    region: Mask | None = None,
    focus: Sequence[int] | None = None,
    field_mm: float | None = FIELD_MM,
    window_hu: tuple[float, float] = WINDOW_HU,
) -> bytes:
    """Axial, coronal and sagittal slice through the lesion, as PNG.

    Args:
        image: [X, Y, Z] canonical (RAS+), HU.
        truth, prediction: masks that are outlined; either may be missing or empty.
        spacing_mm: of the grid; the pictures have true proportions.
        region: mask that is shaded, such as the region of a constraint.
        focus: voxel that all slices pass; by default the middle of the largest lesion, of the truth if there is one.
        field_mm: width of the field around it; None shows everything.
        window_hu: grey values from black to white.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    at = tuple(int(i) for i in focus) if focus is not None else focus_of(truth, prediction, region, shape=image.shape)
    whole_mm = max(n * mm for n, mm in zip(image.shape, spacing_mm, strict=True))
    shown_mm = None if field_mm is None else min(field_mm, whole_mm)
    figure = Figure(
        figsize=(7.8, 2.75),
        dpi=DPI,
        facecolor="black",
        layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.01),
    )
    for axes, plane in zip(figure.subplots(1, 3), _PLANES, strict=True):
        _draw_plane(axes, plane, image, at, spacing_mm, shown_mm, window_hu)
        if region is not None:
            _shade(axes, plane, region, at, spacing_mm)
        for mask, colour, style in ((truth, TRUTH, "solid"), (prediction, PREDICTION, "dashed")):
            if mask is not None:
                _outline(axes, plane, mask, at, spacing_mm, colour, style)
    return to_png(figure)


def focus_of(*masks: Mask | None, shape: Sequence[int]) -> tuple[int, int, int]:
    """A voxel near the middle of the largest component of the first mask that is not empty; else the grid's middle."""
    from dictamen.inference.postprocess import components

    for mask in masks:
        if mask is not None and mask.any():
            labels, number = components(mask)
            sizes = np.bincount(labels.ravel(), minlength=number + 1)
            voxels = np.argwhere(labels == 1 + int(sizes[1:].argmax()))
            nearest = np.linalg.norm(voxels - voxels.mean(axis=0), axis=1).argmin()
            x, y, z = voxels[nearest].tolist()
            return x, y, z
    x, y, z = (n // 2 for n in shape)
    return x, y, z


def compare_intervals(
    models: Mapping[str, Mapping[str, tuple[float, float, float]]],
    *,
    title: str = "",
    limits: tuple[float, float] | None = (0.0, 1.0),
) -> bytes:
    """Values with intervals of several models, one row a metric, as PNG.

    Args:
        models: model -> metric -> (value, lo, hi); nan values are left out.
        title: above the plot.
        limits: of the axis; None fits the data.
    """
    from matplotlib.figure import Figure

    metrics = list(dict.fromkeys(metric for values in models.values() for metric in values))
    height = 0.9 + max(len(metrics), 1) * (0.24 + 0.17 * len(models))
    figure = Figure(figsize=(7.2, height), dpi=DPI, facecolor=PAPER, layout="constrained")
    axes = figure.subplots()
    step = 0.7 / max(len(models), 1)
    for index, (model, values) in enumerate(models.items()):
        shown = [
            (row, *values[metric])
            for row, metric in enumerate(metrics)
            if metric in values and math.isfinite(values[metric][0])
        ]
        y = [row + (index - (len(models) - 1) / 2) * step for row, *_ in shown]
        colour = MODELS[index % len(MODELS)]
        axes.scatter([value for _, value, _, _ in shown], y, color=colour, s=34, zorder=3, label=model)
        axes.hlines(
            y, [lo for _, _, lo, _ in shown], [hi for _, _, _, hi in shown], color=colour, linewidth=2.2, alpha=0.75
        )
        for place, (_, value, _, hi) in zip(y, shown, strict=True):
            end = hi if math.isfinite(hi) else value
            axes.annotate(
                f"{value:.2f}",
                (max(end, value), place),
                (5, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=INK,
            )
    _dress(axes, metrics, limits)
    if title:
        axes.set_title(title, loc="left", fontsize=11, color=INK)
    if len(models) > 1:
        figure.legend(loc="outside lower center", ncols=min(len(models), 4), frameon=False, fontsize=9)
    return to_png(figure)


def _draw_plane(
    axes: Any,
    plane: _Plane,
    image: npt.NDArray[Any],
    at: Sequence[int],
    spacing_mm: Spacing,
    field_mm: float | None,
    window_hu: tuple[float, float],
) -> None:
    axes.imshow(
        _cut(image, plane, at),
        cmap="gray",
        vmin=window_hu[0],
        vmax=window_hu[1],
        origin="lower",
        extent=_extent(image.shape, plane, spacing_mm),
        interpolation="bilinear",
    )
    width, height = (image.shape[axis] * spacing_mm[axis] for axis in (plane.across, plane.up))
    if field_mm is not None:
        x, y = _position(plane, at, image.shape, spacing_mm)
        axes.set_xlim(*_window(x, field_mm, width))
        axes.set_ylim(*_window(y, field_mm, height))
    axes.set_aspect("equal")
    axes.set_axis_off()
    for place, mark in zip((0.03, 0.97), plane.marks, strict=True):
        side = "left" if place < 0.5 else "right"
        axes.text(place, 0.5, mark, transform=axes.transAxes, color="#d5dbe1", fontsize=9, ha=side, va="center")
    axes.text(0.03, 0.97, plane.name, transform=axes.transAxes, color="#d5dbe1", fontsize=8, ha="left", va="top")


def _outline(
    axes: Any, plane: _Plane, mask: Mask, at: Sequence[int], spacing_mm: Spacing, colour: str, style: str
) -> None:
    cut = _cut(mask, plane, at)
    if cut.any():
        # a frame of zeros closes the outline of what touches the border
        across, up = spacing_mm[plane.across], spacing_mm[plane.up]
        x = (np.arange(cut.shape[1] + 2) - 0.5) * across
        y = (np.arange(cut.shape[0] + 2) - 0.5) * up
        axes.contour(
            x, y, np.pad(cut, 1).astype(float), levels=[0.5], colors=[colour], linewidths=1.5, linestyles=style
        )


def _shade(axes: Any, plane: _Plane, mask: Mask, at: Sequence[int], spacing_mm: Spacing) -> None:
    from matplotlib.colors import to_rgb

    cut = _cut(mask, plane, at)
    layer = np.zeros((*cut.shape, 4))
    layer[cut] = (*to_rgb(REGION), 0.28)
    axes.imshow(layer, origin="lower", extent=_extent(mask.shape, plane, spacing_mm), interpolation="nearest")


def _cut(array: npt.NDArray[Any], plane: _Plane, at: Sequence[int]) -> npt.NDArray[Any]:
    """The slice as [rows upwards, columns from the viewer's left]."""
    cut: npt.NDArray[Any] = np.take(array, at[plane.cut], axis=plane.cut)
    return cut[::-1].T


def _extent(shape: Sequence[int], plane: _Plane, spacing_mm: Spacing) -> tuple[float, float, float, float]:
    return 0.0, shape[plane.across] * spacing_mm[plane.across], 0.0, shape[plane.up] * spacing_mm[plane.up]


def _position(plane: _Plane, at: Sequence[int], shape: Sequence[int], spacing_mm: Spacing) -> tuple[float, float]:
    return (
        (shape[plane.across] - at[plane.across] - 0.5) * spacing_mm[plane.across],
        (at[plane.up] + 0.5) * spacing_mm[plane.up],
    )


def _window(centre: float, width: float, whole: float) -> tuple[float, float]:
    """An interval of `width` around the centre, moved inside [0, whole] where it fits, else around the whole."""
    if width >= whole:
        return (whole - width) / 2, (whole + width) / 2
    lo = min(max(centre - width / 2, 0.0), whole - width)
    return lo, lo + width


def _dress(axes: Any, metrics: Sequence[str], limits: tuple[float, float] | None) -> None:
    axes.set_yticks(range(len(metrics)), metrics, fontsize=9, color=INK)
    axes.set_ylim(len(metrics) - 0.4, -0.6)
    if limits is not None:
        axes.set_xlim(limits[0], limits[1] + 0.08 * (limits[1] - limits[0]))
    axes.tick_params(axis="x", labelsize=8, colors=MUTED)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#cbd2d9")


def to_png(figure: Any) -> bytes:
    """The bytes of a matplotlib figure, without metadata."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
