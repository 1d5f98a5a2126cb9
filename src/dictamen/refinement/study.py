"""From a study of a cohort to a case, and from a refined crop back to the grid that the mask came on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dictamen.anatomy.region_scheme import RegionScheme
from dictamen.cohort.store import Cohort
from dictamen.errors import InputError
from dictamen.imaging import geometry
from dictamen.imaging.volume import Volume
from dictamen.refinement.apply import Change, Refined
from dictamen.refinement.case import RefineCase, make_case
from dictamen.refinement.config import RefineConfig
from dictamen.review.masks import MaskSource
from dictamen.supervision.feedback import Direction, RegionAnswer
from dictamen.supervision.region_targets import region_targets
from dictamen.supervision.score_scale import ScoreScale

LARGEST_CROP = 4_000_000
"""Voxels: a liver at 1.5 mm has 3 million with its margin. Larger crops need a coarser cohort, or gigabytes."""


def study_case(
    cohort: Cohort,
    masks: MaskSource,
    *,
    study_id: str,
    label: str,
    scheme: RegionScheme,
    config: RefineConfig,
    answers: Sequence[RegionAnswer] = (),
    scale: ScoreScale | None = None,
    directions: Mapping[tuple[str, str, str, str, int], Direction] | None = None,
) -> RefineCase:
    """The case of one study; answers on another version of the mask or another scheme count nothing.

    Args:
        answers: current answers, of any study.
        directions: place of an answer -> direction found by a model of the raters, which replaces their vote.

    Raises:
        InputError: no such mask, or a crop too large.
    """
    seen = masks.mask(study_id, label)
    if seen is None:
        raise InputError("The study has no voxel of this label: there is nothing to refine.", where=study_id, got=label)
    arrays = cohort.study(study_id)
    image = arrays.level("image")
    region = seen.regions(scheme, image)
    place = (study_id, label, seen.version(scheme), scheme.to_text())
    said = [answer for answer in answers if answer.place[:4] == place]
    named = {answer.region: directions[answer.place] for answer in said if directions and answer.place in directions}
    case = make_case(
        study_id=study_id,
        image=image,
        mask=seen.mask,
        region=region,
        spacing_mm=arrays.spacing_mm,
        scheme=scheme,
        window=config.window,
        targets=region_targets(said, regions=int(region.max(initial=0)), scale=scale, rater_directions=named)
        if said
        else None,
        edges=config.edges,
    )
    if case.mask.size > LARGEST_CROP:
        raise InputError(
            "The structure has too many voxels at the cohort's spacing.",
            where=study_id,
            got=f"{case.mask.size:,} voxels",
            expected=f"at most {LARGEST_CROP:,}",
            next_step="build the cohort with a larger --spacing-mm",
        )
    return case


def back_to_source(case: RefineCase, refined: Refined, grid: Volume, native: Volume) -> tuple[Volume, Volume]:
    """The refined mask and the change map on the grid that the mask came on.

    Only what changed is written: elsewhere every voxel stays as it was, however fine its grid.

    Args:
        grid: the study's training grid (voxels are not read), in which the case is a crop.
        native: the mask as it came, bool [1, X, Y, Z].

    Returns:
        (uint8 mask, uint8 change map) on the grid of `native`.
    """
    probability = np.zeros((1, *grid.shape), dtype=np.float32)
    probability[(0, *case.box)] = refined.probability
    changes = np.zeros((1, *grid.shape), dtype=np.uint8)
    changes[(0, *case.box)] = refined.changes
    fine = np.asarray(geometry.resample(Volume(probability, grid.affine), like=native).array, dtype=np.float32) > 0.5
    near = geometry.resample(Volume(changes, grid.affine), like=native, labels=True).array
    before = native.array.astype(bool)
    changed = (near == Change.ADDED) | (near == Change.REMOVED)
    after = np.where(changed, fine, before)
    told = np.where(near == Change.FOR_REVIEW, near, 0).astype(np.uint8)
    told[after & ~before] = Change.ADDED
    told[before & ~after] = Change.REMOVED
    return Volume(after.astype(np.uint8), native.affine, case.study_id), Volume(told, native.affine, case.study_id)
