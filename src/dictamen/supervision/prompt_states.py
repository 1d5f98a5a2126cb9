"""What a study's label maps say about each label of a vocabulary that is wider than their own.

A voxel is negative for a label only where the cohort annotates that label, or where anatomy forbids it: what is marked
as liver is not spleen, whoever marked it. All else is unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dictamen.anatomy import asking, knowledge, lesion_labels
from dictamen.anatomy.lesion_labels import LesionLabel
from dictamen.supervision.mask_states import NEGATIVE, UNKNOWN, StateTable, lesion_states, organ_states

LabelMap = npt.NDArray[np.integer]
UInt8Array = npt.NDArray[np.uint8]


class PromptStates:
    """States of `labels` in the maps of one cohort.

    Args:
        labels: structure ids and names of lesion labels.
        organ_names, lesion_names: value -> name of the cohort's maps.
    """

    def __init__(self, labels: Sequence[str], organ_names: Mapping[int, str], lesion_names: Mapping[int, str]) -> None:
        self.labels = tuple(labels)
        self.organ_names = dict(organ_names)
        known = tuple(self.organ_names.values())
        self.lesion_labels = {v: lesion_labels.parse(name, organs=known) for v, name in lesion_names.items()}
        self._tables = lru_cache(maxsize=256)(self._make_tables)

    def states(
        self,
        organs: LabelMap,
        lesions: LabelMap,
        annotated_organs: Collection[str],
        annotated_lesions: Collection[str],
        wanted: Sequence[str] | None = None,
    ) -> UInt8Array:
        """State of each label (or of those `wanted`) at each voxel, [L, X, Y, Z]: 0 negative, 1 positive, 2 unknown.

        Args:
            organs, lesions: maps in a patch, [X, Y, Z].
            annotated_organs, annotated_lesions: names whose absence in the map means absence.
        """
        wanted = self.labels if wanted is None else wanted
        state = np.full((len(wanted), *organs.shape), UNKNOWN, dtype=np.uint8)
        for place, label in enumerate(wanted):
            own, elsewhere = self._tables(label, frozenset(annotated_organs), frozenset(annotated_lesions))
            state[place] = own.of(lesions if is_lesion(label) else organs)
            # what another structure has been drawn in can't be this one
            free = state[place] == UNKNOWN
            state[place][free] = elsewhere.of(organs)[free]
        return state

    def teaches(self, label: str, annotated_organs: Collection[str], annotated_lesions: Collection[str]) -> bool:
        """Whether a study with these annotations can have positives of the label, or says that there are none."""
        own, _ = self._tables(label, frozenset(annotated_organs), frozenset(annotated_lesions))
        return bool((own.table[:-1] != UNKNOWN).any())

    def _make_tables(
        self, label: str, annotated_organs: frozenset[str], annotated_lesions: frozenset[str]
    ) -> tuple[StateTable, StateTable]:
        """States by the label's own map, and by the organ map where the first ones are unknown."""
        if is_lesion(label):
            own = lesion_states(parsed(label), self.lesion_labels, annotated_lesions)
        else:
            own = organ_states(label, self.organ_names, annotated_organs)
        elsewhere = np.full(max(self.organ_names, default=0) + 2, UNKNOWN, dtype=np.uint8)
        for value, name in self.organ_names.items():
            if name in annotated_organs and asking.are_disjoint(label, name):
                elsewhere[value] = NEGATIVE
        return own, StateTable(elsewhere)


def is_lesion(label: str) -> bool:
    """Whether a label is one of lesions; every other one is a structure of the knowledge graph."""
    return label not in knowledge.load() or knowledge.load()[label].category == "lesion"


@lru_cache(maxsize=4096)
def parsed(label: str) -> LesionLabel:
    """What a lesion label means."""
    return lesion_labels.parse(label)


def cohort_labels(
    organ_names: Collection[str], lesion_names: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lesion labels and the structures that a cohort's maps can teach.

    A pair of which both sides are labelled is a structure of its own: "kidney" is taught by the left and the right one.
    Lesion labels that name no organ are left out: nobody can ask for them in words.
    """
    structures = [name for name in organ_names if name in knowledge.load()]
    pairs = [
        whole
        for whole in dict.fromkeys(name.removesuffix("_left") for name in structures if name.endswith("_left"))
        if f"{whole}_right" in structures and whole in knowledge.load() and whole not in structures
    ]
    known = tuple(organ_names)
    lesions = tuple(name for name in lesion_names if lesion_labels.parse(name, organs=known).structure is not None)
    return lesions, (*structures, *pairs)
