"""Lines over steps or numbers of studies, as PNG bytes, in the colours of `pictures`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dictamen.evaluation.pictures import DPI, INK, MODELS, MUTED, PAPER, to_png

Point = tuple[float, float, float, float]
"""x, y, and the ends of the band around y; nan where there is none."""


def curves(
    series: Mapping[str, Sequence[Point]],
    *,
    x_label: str,
    y_label: str,
    levels: Mapping[str, float] | None = None,
    by_doubling: bool = False,
) -> bytes:
    """One line a name, with its band; points are marked, nan left out.

    Args:
        series: name -> points, in order of x.
        levels: name -> a height that a dashed line marks, such as that of all masks.
        by_doubling: x in powers of two, each x of a point marked.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.4), dpi=DPI, facecolor=PAPER, layout="constrained")
    axes = figure.subplots()
    for index, (name, points) in enumerate(series.items()):
        known = [point for point in points if math.isfinite(point[1])]
        colour = MODELS[index % len(MODELS)]
        x, y, lo, hi = ([point[place] for point in known] for place in range(4))
        axes.plot(x, y, color=colour, marker="o", markersize=4, linewidth=1.8, label=name)
        axes.fill_between(x, lo, hi, color=colour, alpha=0.15, linewidth=0)
    for name, height in (levels or {}).items():
        if math.isfinite(height):
            axes.axhline(height, color=MUTED, linestyle="--", linewidth=1.4, label=name)
    if by_doubling:
        ticks = sorted({point[0] for points in series.values() for point in points})
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    axes.set_xlabel(x_label, fontsize=9, color=INK)
    axes.set_ylabel(y_label, fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=MUTED)
    axes.grid(color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return to_png(figure)
