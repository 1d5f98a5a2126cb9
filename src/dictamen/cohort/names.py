"""Names that people give to masks: which are organs, which are lesions, which nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from dictamen.anatomy import lesion_labels, vocabulary
from dictamen.anatomy.lesion_labels import LesionLabel
from dictamen.errors import InputError


def organ_id(name: str) -> str | None:
    """The vocabulary's id for a structure's name, None where it has none."""
    found = vocabulary.load().find(name)
    return found.id if found else None


def suggestions(name: str) -> list[str]:
    """Structures that the name may have meant."""
    return vocabulary.load().suggest(name)


@cache
def whole_organ(structure: str) -> str:
    """The whole organ of a structure: `kidney` of `kidney_left`."""
    return vocabulary.load().whole(structure)[0]


def whole_organs(structures: Iterable[str]) -> tuple[str, ...]:
    """The whole organs of all structures, sorted."""
    return tuple(sorted({whole_organ(structure) for structure in structures}))


def lesion_label(name: str, organs: Sequence[str] = ()) -> LesionLabel | None:
    """What a lesion label's name means, None where it means nothing."""
    try:
        return lesion_labels.parse(name, organs)
    except InputError:
        return None


def values_around(label: LesionLabel, organs: Iterable[str], table: dict[str, int]) -> list[int]:
    """Values of the organ labels in which such a lesion can lie; none where its organ has no mask, or no bounds.

    Args:
        organs: structure ids annotated in the study.
        table: structure id -> value.
    """
    if label.structure is None:
        return [table[organ] for organ in organs]
    if vocabulary.load()[label.structure].spread:
        return []
    return [table[organ] for organ in organs if whole_organ(organ) == label.structure]
