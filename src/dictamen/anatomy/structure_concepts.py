"""Structures of the vocabulary as concepts: which parents they are a kind of and which they are a part of."""

from __future__ import annotations

from collections.abc import Mapping

from dictamen.anatomy.concept import ROOT, Category, Concept, only_known
from dictamen.anatomy.concept_sides import sided_definition
from dictamen.anatomy.vocabulary import Structure, Vocabulary

_KINDS: Mapping[str, Category] = {"bone": "bone", "skeletal_muscle": "muscle", "lymph_node": "node"}
"""Structures whose children are kinds of them rather than parts, and the category of all below."""
_NUMBERED = frozenset({"vertebra", "rib", "rib_left", "rib_right"})
"""Structures whose members are kinds of them too."""
_VESSELS = {"artery": "artery", "arteries": "artery", "aorta": "artery", "vein": "vein", "cava": "vein"}
"""Last word of a vessel's name -> the kind of vessel."""


def structure_concept(structure: Structure, words: Vocabulary) -> Concept:
    """A structure of the vocabulary as concept: its parents are what it is a kind of, or a part of."""
    kind_of = [parent for parent in structure.parents if _is_kind(structure, parent)]
    part_of = [parent for parent in structure.parents if parent not in kind_of]
    vessel = _VESSELS.get(structure.name.split()[-1])
    if vessel and not kind_of:
        kind_of = [vessel]
    if not kind_of and not part_of and structure.id != ROOT:
        part_of = [ROOT]
    paired = next((words[parent] for parent in structure.parents if structure.id == f"{parent}_{structure.side}"), None)
    definition = structure.definition
    if paired and structure.side:
        definition = sided_definition(paired.definition, structure.side)
    capitals = tuple(word for word in structure.synonyms if word.isupper())
    others = tuple(word for word in structure.synonyms if word not in capitals)
    category = _category(structure, words, vessel)
    relations = {name: tuple(ids) for name, ids in (("is_a", kind_of), ("part_of", part_of)) if ids}
    return Concept(
        structure.id, structure.name, category, definition, others, capitals, structure.side, only_known(relations)
    )


def _is_kind(structure: Structure, parent: str) -> bool:
    return parent in _KINDS or parent in _NUMBERED or structure.id == f"{parent}_{structure.side}"


def _category(structure: Structure, words: Vocabulary, vessel: str | None) -> Category:
    line = {structure.id} | words.ancestors(structure.id)
    for kind, category in _KINDS.items():
        if kind in line:
            return category
    if vessel or structure.name.endswith(("arteries", "trunk")):
        return "vessel"
    return "part" if structure.part and not structure.whole else "organ"
