"""What the values of a label map say about each output label: positive, negative, or unknown.

A map of one kind says only so much about a label of another: `kidney_lesion` does not tell tumours from cysts, and
`kidney_tumour` says nothing of cysts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dictamen.anatomy import vocabulary
from dictamen.anatomy.lesion_labels import LesionLabel
from dictamen.anatomy.regions import label_values

NEGATIVE, POSITIVE, UNKNOWN = 0, 1, 2
"""Values of `PatchSupervision.state`."""

OFTEN_UNLABELLED = frozenset({"uncertain", "benign"})
"""Kinds that nobody labels apart: maps of tumours and cysts together count as complete for a `lesion` label."""
BOTH_SIDES = frozenset({"left", "right"})


@dataclass(frozen=True)
class StateTable:
    """State of an output label for every value of a map; `table[map]` is the state voxel by voxel."""

    table: npt.NDArray[np.uint8]

    def of(self, labels: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """States of a map; values without a name are unknown."""
        inside = np.minimum(labels, self.table.size - 1)
        return np.asarray(self.table[inside])


def lesion_states(target: LesionLabel, labels: Mapping[int, LesionLabel], annotated: Collection[str]) -> StateTable:
    """States of `target` for the values of a lesion map.

    Args:
        labels: value of the map -> what that label means.
        annotated: names whose absence in the map means absence in the patient.
    """
    complete = [label for label in labels.values() if label.name in annotated]
    background = NEGATIVE if _covers(complete, target) else UNKNOWN
    return _table({value: _voxel(label, target) for value, label in labels.items()}, background)


def organ_states(organ: str, names: Mapping[int, str], annotated: Collection[str]) -> StateTable:
    """States of the structure `organ` for the values of an organ map: the sum of its sides and parts.

    Negative needs all of it annotated: both sides of a paired organ, and every label that belongs to it.
    """
    own = label_values(names, organ)
    complete = {value: name for value, name in names.items() if name in annotated}
    known = [value for value in own if value in complete]
    background = NEGATIVE if known == own and _whole(organ, [names[value] for value in known]) else UNKNOWN
    background = NEGATIVE if organ in complete.values() else background
    states = dict.fromkeys((value for value in names), background)
    return _table({**states, **dict.fromkeys(own, POSITIVE)}, background)


def _voxel(label: LesionLabel, target: LesionLabel) -> int:
    """State of a voxel of `label` for `target`."""
    if label.name == target.name:
        return POSITIVE
    other_organ = None not in (label.structure, target.structure) and label.structure != target.structure
    if other_organ or not label.kinds & target.kinds or (label.side and target.side and label.side != target.side):
        return NEGATIVE
    inside = target.structure in (None, label.structure) and target.side in (None, label.side)
    return POSITIVE if inside and label.kinds <= target.kinds else UNKNOWN


def _covers(complete: Collection[LesionLabel], target: LesionLabel) -> bool:
    """Whether maps of these labels together show every lesion of `target`."""
    if any(label.name == target.name for label in complete):
        return True
    needed_kinds = (target.kinds - OFTEN_UNLABELLED) or target.kinds
    sides = {target.side} if target.side else BOTH_SIDES
    shown = {
        (side, kind)
        for label in complete
        if label.structure in (None, target.structure)
        for side in ({label.side} if label.side else BOTH_SIDES)
        for kind in label.kinds
    }
    return all((side, kind) in shown for side in sides for kind in needed_kinds)


def _whole(organ: str, names: Collection[str]) -> bool:
    """Whether the labels make up the whole organ: both sides of it, where it has sides."""
    words = vocabulary.load()
    if not names or organ not in words or words[organ].spread:
        return False
    wholes = [words.find(name) for name in names]
    sides = {words.whole(found.id)[1] for found in wholes if found is not None}
    paired = words.on_side(organ, "left") is not None and words[organ].side is None
    return not paired or None in sides or sides >= BOTH_SIDES


def _table(states: Mapping[int, int], background: int) -> StateTable:
    """Value 0 is background; the last entry stands for all values beyond the names."""
    table = np.full(max(states, default=0) + 2, UNKNOWN, dtype=np.uint8)
    for value, state in states.items():
        table[value] = state
    table[0] = background
    return StateTable(table)
