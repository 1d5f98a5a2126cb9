"""What is not in a patch, and patches that something is not in: without them a network never learns to say "not here".

Three sources tell absence beside the maps that draw the label itself: a part or a lesion of a structure that is drawn,
and not near; a report that says that a structure was removed, or has no lesion; a view that ends before a structure, as
scans do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from dictamen.anatomy import asking, vocabulary
from dictamen.cohort.sampling import Box
from dictamen.reports.schema import ReportFindings
from dictamen.supervision.prompt_states import is_lesion

NEAR_MM = 20.0
"""A lesion can bulge so far beyond the organ as it was drawn, a part so far beyond its whole."""
LEAST_LEFT = 1 / 3
"""Of a patch, when its view is cut: less is no scan any more."""
HEAD_FOOT = 2
"""The axis across which scans end, of canonical (RAS+) voxels."""
SEEN_DEPTH = 2
"""Voxels; what is only seen nearer to the border of the view is neither there nor not there."""


def not_there(
    label: str,
    boxes: Mapping[str, Box],
    annotated: Collection[str],
    view: Box,
    spacing_mm: Sequence[float],
) -> bool:
    """Whether a label can't be in a view of a study, since what it is a part of is not near.

    Args:
        boxes: structure -> box in the study, of those that were found.
        annotated: structures whose absence in the map means absence.
    """
    reach = np.ceil(NEAR_MM / np.asarray(spacing_mm))
    return any(
        asking.is_below(label, whole)
        and (whole not in boxes or not overlap(boxes[whole] + np.stack([-reach, reach]), view).all())
        for whole in annotated
    )


def denied(labels: Sequence[str], report: ReportFindings) -> frozenset[str]:
    """The labels that a report says are not in the study: structures that were removed, what belongs to them, and
    lesions of organs that it calls free of lesions (and tells no lesion of)."""
    removed = _concepts(report.removed_structures)
    told = {finding.structure for finding in report.findings if finding.existence != "absent"}
    clear = _concepts(key for key in report.clear_structures if key.partition(":")[0] not in told)
    return frozenset(
        label
        for label in labels
        if any(label == one or asking.is_below(label, one) for one in removed)
        or (is_lesion(label) and any(asking.is_below(label, one) for one in clear))
    )


def _concepts(keys: Iterable[str]) -> set[str]:
    """Ids of "kidney:left" and the like; of both sides the pair, too."""
    words, found = vocabulary.load(), set()
    sides: dict[str, set[str]] = {}
    for key in keys:
        structure, _, side = key.partition(":")
        sides.setdefault(structure, set()).add(side)
        sided = words.on_side(structure, "left" if side == "left" else "right") if side else None
        found.add(sided.id if sided else f"{structure}_{side}" if side else structure)
    return found | {structure for structure, said in sides.items() if {"left", "right"} <= said}


def cut_view(boxes: Sequence[Box], view: Box, rng: np.random.Generator) -> Box:
    """A part of the view [2, 3] that ends above or below one of the boxes, drawn at random; the view itself where none
    does.

    Only across the body's length, as scans differ: what ends left or right of a structure would teach that whatever is
    near a border is on that side. At least a third of the view is left.
    """
    cuts = []
    for box in boxes:
        if not overlap(box, view).all():
            continue
        for end, place in ((1, box[0, HEAD_FOOT]), (0, box[1, HEAD_FOOT])):
            cut = view.copy()
            cut[end, HEAD_FOOT] = place
            length, whole = cut[1] - cut[0], view[1] - view[0]
            if length[HEAD_FOOT] >= LEAST_LEFT * whole[HEAD_FOOT]:
                cuts.append(cut)
    return cuts[int(rng.integers(len(cuts)))] if cuts else view


def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether two boxes overlap along each axis."""
    return np.asarray((one[0] < other[1]) & (other[0] < one[1]))


def view_of(start: Sequence[int], size: Sequence[int], shape: Sequence[int]) -> Box:
    """The part of a patch that is in the study."""
    low = np.asarray(start, dtype=np.int64)
    return np.stack([np.maximum(low, 0), np.minimum(low + np.asarray(size), np.asarray(shape))])


def inside(view: Box, start: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """Voxels of the patch that are in the view, [X, Y, Z]."""
    mask = np.zeros(tuple(size), dtype=bool)
    mask[within(view, start)] = True
    return mask


def within(view: Box, start: Sequence[int], depth: int = 0) -> tuple[slice, slice, slice]:
    """The view, and what lies `depth` voxels within it, as slices of the patch."""
    x, y, z = (
        slice(max(0, int(a - s) + depth), max(0, int(b - s) - depth)) for a, b, s in zip(*view, start, strict=True)
    )
    return x, y, z
