"""Answers that nobody has to give: from reports, from remarks on masks, from another tool's masks.

A report scores a mask too: "status post cholecystectomy" with a gallbladder mask is too much, "spleen 9 cm" beside a
mask of 14 cm is. Of any two sets, Dice <= 2 min / (sum of sizes); so a length ratio r < 1 bounds the Dice by
2 r / (1 + r), and the score with it. A size labels the violated side alone; normal statements without a size, and
structures that are not mentioned, say nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from dictamen.anatomy.region_scheme import RegionScheme, part_names
from dictamen.anatomy.vocabulary import load
from dictamen.cohort.store import Cohort
from dictamen.errors import UsageError
from dictamen.review.masks import MaskSource, ReviewedMask
from dictamen.supervision.feedback import PERFECT, Direction, Origin, RegionAnswer
from dictamen.supervision.mask_remarks import read_remark
from dictamen.supervision.organ_facts import organ_facts
from dictamen.supervision.region_errors import region_errors
from dictamen.supervision.score_scale import ScoreScale
from dictamen.supervision.stated_sizes import extents_mm, length_ratio, stated_lengths

WHOLE = RegionScheme("slab", 1)
"""One region: what is said of a structure as a whole."""
REMOVED_SCORE = 1
"""Nothing of the mask is right where the organ is not there."""

Answers = Iterator[RegionAnswer]


def from_reports(cohort: Cohort, masks: MaskSource, label: str) -> list[RegionAnswer]:
    """Removed organs and stated lengths against the masks of a structure.

    A mask that touches the first or last slice may be cut by the field of view: it is not called too short.
    """
    return _gather(masks, label, lambda seen: _of_report(cohort, seen))


def from_remarks(masks: MaskSource, label: str, remarks: Mapping[str, Sequence[str]]) -> list[RegionAnswer]:
    """Remarks in plain words, study id -> remarks; those that name a part speak of it alone."""
    return _gather(masks, label, lambda seen: _of_remarks(seen, remarks.get(seen.study_id, ())))


def from_comparison(masks: MaskSource, others: MaskSource, label: str, scheme: RegionScheme) -> list[RegionAnswer]:
    """Where another tool's masks disagree, as if that tool were right; studies that it has no mask of are left out.

    Raises:
        UsageError: the scheme is `disagreement`, whose regions depend on the other mask.
    """
    if scheme.name == "disagreement":
        raise UsageError("Regions must not depend on the other mask.", got=scheme.name, expected="another scheme")
    others.check(label)
    return _gather(masks, label, lambda seen: _of_other(masks.cohort, seen, others.mask(seen.study_id, label), scheme))


def _gather(masks: MaskSource, label: str, answers: Callable[[ReviewedMask], Answers]) -> list[RegionAnswer]:
    masks.check(label)
    seen = (masks.mask(study_id, label) for study_id in masks.studies())
    return [answer for one in seen if one is not None for answer in answers(one)]


def _of_report(cohort: Cohort, seen: ReviewedMask) -> Answers:
    found, text = cohort.findings(seen.study_id), cohort.report(seen.study_id)
    if found is None or seen.label not in load():
        return
    structure, side = load().whole(seen.label)
    facts = organ_facts(found, structure, only=side)
    if facts.slots and set(facts.slots) <= facts.removed:
        yield _answer(seen, WHOLE, 1, REMOVED_SCORE, "over", "report", "removed organ")
        return
    x, y, z = np.linalg.norm(seen.affine[:3, :3], axis=0).tolist()
    extents = extents_mm(seen.mask, (x, y, z))
    ratios = {length_ratio(one.length_mm, extents) for one in stated_lengths(text or "", found, seen.label)}
    if len(ratios) != 1:  # none stated, or several that contradict each other
        return
    (ratio,) = ratios
    cut = bool(seen.mask[..., 0].any() or seen.mask[..., -1].any())
    if ratio == 1 or (ratio < 1 and cut):
        return
    smaller = min(ratio, 1 / ratio)
    score = min(ScoreScale().score_of(2 * smaller / (1 + smaller)), PERFECT - 1)
    yield _answer(seen, WHOLE, 1, score, "over" if ratio > 1 else "under", "report", "stated length")


def _of_remarks(seen: ReviewedMask, remarks: Sequence[str]) -> Answers:
    try:
        parts = part_names(seen.label)
    except UsageError:
        parts = ()
    for text in remarks:
        remark = read_remark(text, seen.label, parts=parts)
        if remark is None:
            continue
        scheme = RegionScheme("parts") if remark.part else WHOLE
        region = parts.index(remark.part) + 1 if remark.part else 1
        yield _answer(seen, scheme, region, remark.score, remark.direction, "report", "remark")


def _of_other(cohort: Cohort, seen: ReviewedMask, other: ReviewedMask | None, scheme: RegionScheme) -> Answers:
    if other is None:
        return
    image = cohort.study(seen.study_id).level("image") if scheme.name == "supervoxel" else None
    for error in region_errors(seen.mask, other.mask, seen.regions(scheme, image)):
        score = ScoreScale().score_of(error.dice)
        direction: Direction = "none" if score == PERFECT else error.direction
        yield _answer(seen, scheme, error.region, score, direction, "comparison", "comparison")


def _answer(
    seen: ReviewedMask, scheme: RegionScheme, region: int, score: int, direction: Direction, origin: Origin, rater: str
) -> RegionAnswer:
    """A record whose id depends on what it says alone: inferring twice adds nothing."""
    said = repr((seen.study_id, seen.label, seen.version(scheme), scheme.to_text(), region, score, direction, rater))
    return RegionAnswer(
        record_id=hashlib.sha256(said.encode()).hexdigest()[:32],
        study_id=seen.study_id,
        rater=rater,
        label=seen.label,
        mask_sha256=seen.version(scheme),
        scheme=scheme.to_text(),
        region=region,
        score=score,
        direction=direction,
        origin=origin,
    )
