"""Tag maps of validation studies, ready to be shown: of a pretrained encoder, and of a segmenter that keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dictamen.anatomy.regions import label_values
from dictamen.cohort.store import Cohort
from dictamen.evaluation.overlap import Spacing
from dictamen.evaluation.tag_page import MOST_STUDIES, MOST_TAGS, TagCase, on_grid
from dictamen.reports.named_organs import named_organs
from dictamen.supervision.tags import Tag, state_of
from dictamen.training.config import TrainConfig

ORDER = ("present", "absent", "unknown")
"""Which tags are shown first, by what the report says."""


def tag_case(
    cohort: Cohort,
    study_id: str,
    tags: Sequence[Tag],
    maps: Tensor,
    *,
    title: str,
    image: npt.NDArray[np.floating[Any]],
    organs: npt.NDArray[np.integer],
    spacing_mm: Spacing,
) -> TagCase:
    """The tags that a study's report speaks of, whole structures first.

    Args:
        maps: [K, x, y, z] cosines, of the view `image`.
        organs: label map of the same view, on its grid.
    """
    report, text = cohort.findings(study_id), cohort.report(study_id) or ""
    named = named_organs(text)
    said = {tag: state_of(tag, report, named) if report else "unknown" for tag in tags}
    shown = sorted(tags, key=lambda tag: (ORDER.index(said[tag]), tag.attribute is not None))[:MOST_TAGS]
    names = cohort.info.organ_labels
    fine = on_grid(maps[[tags.index(tag) for tag in shown]], image.shape)
    return TagCase(
        title=title,
        image=image,
        maps={tag.name: of_tag for tag, of_tag in zip(shown, fine, strict=True)},
        masks={tag.name: np.isin(organs, label_values(names, tag.structure, tag.side)) for tag in shown},
        said={tag.name: said[tag] for tag in shown},
        spacing_mm=spacing_mm,
    )


@torch.no_grad()
def segmenter_cases(
    network: nn.Module,
    tags: Sequence[str],
    cohort: Cohort,
    studies: Sequence[str],
    config: TrainConfig,
    *,
    device: torch.device,
) -> list[TagCase]:
    """Maps of a segmentation network with tag maps, at the centre of `studies`."""
    cases = []
    for number, study_id in enumerate(studies[:MOST_STUDIES], start=1):
        study = cohort.study(study_id)
        start = [(n - side) // 2 for n, side in zip(study.shape, config.patch_size, strict=True)]
        image = config.window.apply(study.patch("image", start, config.patch_size))
        maps = network(torch.from_numpy(image)[None, None].to(device)).maps
        cases.append(
            tag_case(
                cohort,
                study_id,
                [Tag.parse(name) for name in tags],
                maps[0, 1:],  # without the background
                title=f"Validation study {number}",
                image=image,
                organs=study.patch("organs", start, config.patch_size),
                spacing_mm=study.spacing_mm,
            )
        )
    return cases
