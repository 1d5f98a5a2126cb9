"""Maps of tags as pictures, and the page that shows them: where a network sees each structure or lesion.

Pictures follow the radiological convention, as `evaluation.pictures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from markupsafe import Markup
from torch import Tensor
from torch.nn import functional

from dictamen.evaluation import html
from dictamen.evaluation.overlap import Mask, Spacing
from dictamen.evaluation.pictures import DPI, INK, PAPER, TRUTH, to_png

MOST_TAGS, MOST_STUDIES = 8, 4
"""Of a page: enough to see whether maps are maps."""
FEWEST_SLICES = 4
"""Fewer make no coronal picture."""
PANEL_INCHES = 1.9
COLOURS = "magma"


@dataclass(frozen=True)
class TagCase:
    """What a network made of one study.

    Attributes:
        title: a name for it.
        image: [X, Y, Z] canonical (RAS+), normalised to [-1, 1].
        maps: tag -> cosines [X, Y, Z] on the same grid.
        masks: tag -> its organ, where it is known; it is outlined.
        said: tag -> what the report says ("present", "absent", "unknown").
        spacing_mm: of the grid.
    """

    title: str
    image: npt.NDArray[np.floating[Any]]
    maps: Mapping[str, npt.NDArray[np.floating[Any]]]
    masks: Mapping[str, Mask]
    said: Mapping[str, str]
    spacing_mm: Spacing


def on_grid(maps: Float[Tensor, "K x y z"], shape: Sequence[int]) -> npt.NDArray[np.float32]:
    """Maps of coarse cells interpolated to the voxels that they were made of, [K, X, Y, Z]."""
    fine = functional.interpolate(maps[None].float().cpu(), size=tuple(shape), mode="trilinear", align_corners=False)
    array: npt.NDArray[np.float32] = fine[0].numpy()
    return array


def tag_picture(case: TagCase) -> bytes:
    """One column a tag: the axial and the coronal slice through the highest point of its map, which a cross marks."""
    from matplotlib.figure import Figure

    tags = list(case.maps)[:MOST_TAGS]
    planes = ((2, 0, 1), (1, 0, 2)) if case.image.shape[2] >= FEWEST_SLICES else ((2, 0, 1),)
    figure = Figure(
        figsize=(PANEL_INCHES * len(tags), PANEL_INCHES * len(planes) + 0.3),
        dpi=DPI,
        facecolor=PAPER,
        layout="constrained",
    )
    grid = figure.subplots(len(planes), len(tags), squeeze=False)
    for column, tag in enumerate(tags):
        peak = np.unravel_index(int(case.maps[tag].argmax()), case.image.shape)
        for row, (cut, across, up) in enumerate(planes):
            axes = grid[row, column]
            extent = (0.0, *(case.image.shape[axis] * case.spacing_mm[axis] for axis in (across, up)))
            limits = (extent[0], extent[1], 0.0, extent[2])

            def shown(volume: npt.NDArray[Any], cut: int = cut, peak: Any = peak) -> npt.NDArray[Any]:
                return np.asarray(np.take(volume, int(peak[cut]), axis=cut).T)

            axes.imshow(shown(case.image), cmap="gray", vmin=-1, vmax=1, origin="lower", extent=limits)
            axes.imshow(shown(case.maps[tag]), cmap=COLOURS, alpha=0.45, vmin=0, vmax=1, origin="lower", extent=limits)
            mask = case.masks.get(tag)
            if mask is not None and shown(mask).any():
                axes.contour(shown(mask).astype(float), [0.5], colors=[TRUTH], linewidths=1.2, extent=limits)
            axes.plot(
                (peak[across] + 0.5) * case.spacing_mm[across], (peak[up] + 0.5) * case.spacing_mm[up],
                "+", color="white", markersize=9, markeredgewidth=1.4,
            )  # fmt: skip
            axes.set_xlim(extent[1], 0.0)  # the patient's right is on the viewer's left
            axes.set_axis_off()
        grid[0, column].set_title(f"{tag}\n{case.said.get(tag, '')}", fontsize=7, color=INK)
    return to_png(figure)


def tag_section(cases: Sequence[TagCase]) -> Markup:
    """The pictures of some studies."""
    figures = [
        html.figure(tag_picture(case), case.title, alt=f"Maps of tags of {case.title}")
        for case in cases[:MOST_STUDIES]
        if case.maps
    ]
    return html.section(
        "Where it sees each tag",
        *figures,
        lead="The brighter, the more a place resembles the tag (cosine, 0 to 1); the cross is the highest place. The "
        "outline is the organ's mask, where there is one: pretraining never saw it. Below a tag: what the report says.",
    )


def tag_page(title: str, cases: Sequence[TagCase], *, values: Mapping[str, float], subtitle: str = "") -> str:
    """A page of the pictures, below the numbers `values`."""
    numbers = html.section("Measured on the validation studies", html.cards(values)) if values else None
    return html.page(title, [*([numbers] if numbers else []), tag_section(cases)], subtitle=subtitle)
