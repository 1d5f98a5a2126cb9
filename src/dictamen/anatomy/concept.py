"""A concept: something that can be asked for by name, with its definition and its typed relations to others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dictamen.anatomy.vocabulary import Side

Category = Literal["organ", "part", "vessel", "bone", "muscle", "node", "lesion"]
Relation = Literal["is_a", "part_of", "found_in", "contains", "adjacent_to", "supplied_by", "drained_by", "mirror_of"]
RELATIONS: tuple[Relation, ...] = Relation.__args__  # type: ignore[attr-defined]
UPWARD: tuple[Relation, ...] = ("is_a", "part_of", "found_in")
"""Relations that lead to what is larger or more general; together they never form a cycle."""
ROOT = "body"
"""The concept that everything leads up to."""


@dataclass(frozen=True, slots=True)
class Concept:
    """Something that can be asked for by name.

    Args:
        id: unique; that of the vocabulary's structure where there is one.
        name: preferred name.
        synonyms: other names, abbreviations not included.
        abbreviations: "HCC", "SMV".
        category: organ (regions of the body included), part, vessel, bone, muscle, node or lesion.
        side: the patient's left or right; None for pairs as a whole and for unpaired ones.
        definition: one sentence in our words.
        relations: ids by relation.
        codes: of other ontologies ("UBERON:0002113"), for imported concepts.
    """

    id: str
    name: str
    category: Category
    definition: str
    synonyms: tuple[str, ...] = ()
    abbreviations: tuple[str, ...] = ()
    side: Side | None = None
    relations: Mapping[Relation, tuple[str, ...]] = field(default_factory=dict)
    codes: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """Every name."""
        return (self.name, *self.synonyms, *self.abbreviations)

    @property
    def above(self) -> tuple[str, ...]:
        """Ids of what it is a kind of, a part of, or found in."""
        return tuple(dict.fromkeys(other for relation in UPWARD for other in self.relations.get(relation, ())))


def only_known(relations: Mapping[str, Iterable[str]]) -> dict[Relation, tuple[str, ...]]:
    """The relations among the entries of a row of data."""
    return {relation: tuple(relations[relation]) for relation in RELATIONS if relation in relations}
