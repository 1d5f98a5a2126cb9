"""What is known of anatomy beyond the words of reports: concepts with definitions and typed relations.

Every structure of the vocabulary is a concept; `data/concepts.json` adds finer parts, vessels, bones, muscles, stations
of lymph nodes and kinds of lesion. They are kept apart from the vocabulary, so that a finer word ("femoral head") never
changes what the report reader finds (the femur). All definitions are ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Literal

from dictamen.anatomy import vocabulary
from dictamen.anatomy.vocabulary import Side, Structure, Vocabulary
from dictamen.anatomy.words import normalise
from dictamen.errors import InputError

Category = Literal["organ", "part", "vessel", "bone", "muscle", "node", "lesion"]
Relation = Literal["is_a", "part_of", "found_in", "contains", "adjacent_to", "supplied_by", "drained_by", "mirror_of"]
RELATIONS: tuple[Relation, ...] = Relation.__args__  # type: ignore[attr-defined]
UPWARD: tuple[Relation, ...] = ("is_a", "part_of", "found_in")
"""Relations that lead to what is larger or more general; together they never form a cycle."""
ROOT = "body"
"""The concept that everything leads up to."""
_OPPOSITE: dict[Side, Side] = {"left": "right", "right": "left"}
_KINDS: Mapping[str, Category] = {"bone": "bone", "skeletal_muscle": "muscle", "lymph_node": "node"}
"""Structures whose children are kinds of them rather than parts, and the category of all below."""
_NUMBERED = frozenset({"vertebra", "rib", "rib_left", "rib_right"})
"""Structures whose members are kinds of them too."""
_VESSELS = {"artery": "artery", "arteries": "artery", "aorta": "artery", "vein": "vein", "cava": "vein"}
"""Last word of a vessel's name -> the kind of vessel."""


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
    """

    id: str
    name: str
    category: Category
    definition: str
    synonyms: tuple[str, ...] = ()
    abbreviations: tuple[str, ...] = ()
    side: Side | None = None
    relations: Mapping[Relation, tuple[str, ...]] = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        """Every name."""
        return (self.name, *self.synonyms, *self.abbreviations)


@dataclass(frozen=True, slots=True)
class Match:
    """A concept near a word, and how near: 1 for one of its names, else the similarity of spelling in 0..1."""

    concept: Concept
    score: float


class Knowledge:
    """All concepts, by id, by name and by relation."""

    def __init__(self, concepts: Iterable[Concept]) -> None:
        self._concepts = {concept.id: concept for concept in concepts}

    def __iter__(self) -> Iterator[Concept]:
        return iter(self._concepts.values())

    def __len__(self) -> int:
        return len(self._concepts)

    def __contains__(self, concept_id: object) -> bool:
        return concept_id in self._concepts

    def __getitem__(self, concept_id: str) -> Concept:
        """The concept with this id.

        Raises:
            InputError: no such id; near ones are offered.
        """
        if concept_id in self._concepts:
            return self._concepts[concept_id]
        raise InputError("Unknown anatomical concept.", got=repr(concept_id), expected=self._expected(concept_id))

    def find(self, term: str) -> Concept | None:
        """The concept that `term` names, in any case, singular or plural, side anywhere; None for other words."""
        words = self._vocabulary  # which leaves words in -as alone for the pancreas's sake: hence hernias, hepatomas
        found = words.find(term) or words.find(term.strip().removesuffix("s"))
        return self._concepts[found.id] if found else None

    def named(self, term: str) -> Concept:
        """As `find`.

        Raises:
            InputError: no concept has this name; near ones are offered.
        """
        if found := self.find(term):
            return found
        raise InputError("No concept has this name.", got=repr(term), expected=self._expected(term))

    def search(self, term: str, *, limit: int = 10) -> list[Match]:
        """The concepts nearest to `term`, best first: never nothing, since an unknown word is nearest to some name."""
        exact, key = self.find(term), normalise(term)
        scores = {exact.id: 1.0} if exact else {}
        for concept in self:
            if concept.id not in scores:
                scores[concept.id] = max(_similarity(key, normalise(word)) for word in concept.words)
        best = sorted(scores.items(), key=lambda item: -item[1])[:limit]
        return [Match(self._concepts[concept_id], round(score, 3)) for concept_id, score in best]

    def children(self, concept_id: str) -> list[Concept]:
        """Concepts directly below: its kinds, sides and parts, and the lesions found in it."""
        wanted = self[concept_id].id
        return [concept for concept in self if wanted in _above(concept)]

    def ancestors(self, concept_id: str) -> frozenset[str]:
        """Ids of everything that the concept is a kind of, a part of or found in, itself not included."""
        return self._vocabulary.ancestors(self[concept_id].id)

    def siblings(self, concept_id: str) -> list[Concept]:
        """Concepts with a common parent: the hardest to tell apart; the other side of a pair is one of them."""
        above = set(_above(self[concept_id]))
        return [concept for concept in self if concept.id != concept_id and above & set(_above(concept))]

    def _expected(self, term: str) -> str:
        return f"one of {[match.concept.name for match in self.search(term, limit=vocabulary.SUGGESTIONS)]}"

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(
            Structure(c.id, c.name, (*c.synonyms, *c.abbreviations), _above(c), c.side) for c in self._concepts.values()
        )


@cache
def load() -> Knowledge:
    """All concepts that come with dictamen; read once."""
    text = files("dictamen.anatomy").joinpath("data/concepts.json").read_text(encoding="utf-8")
    data = json.loads(text)
    rows = [expanded for row in data["concepts"] for expanded in _sides(row)]
    words = vocabulary.load()
    concepts = {concept.id: concept for concept in (*map(_concept, rows), *(_structure(s, words) for s in words))}
    for concept_id, relations in data["relations"].items():
        concept = concepts[concept_id]
        concepts[concept_id] = _replace(concept, relations={**concept.relations, **_tuples(relations)})
    return Knowledge(_unambiguous([_on_same_side(concept, concepts) for concept in concepts.values()]))


def _above(concept: Concept) -> tuple[str, ...]:
    return tuple(dict.fromkeys(other for relation in UPWARD for other in concept.relations.get(relation, ())))


def _similarity(a: str, b: str) -> float:
    return SequenceMatcher(None, a, b).ratio()


def _replace(concept: Concept, **changes: Any) -> Concept:
    return Concept(**{name: getattr(concept, name) for name in Concept.__dataclass_fields__} | changes)


def _tuples(relations: Mapping[str, Any]) -> dict[Any, tuple[str, ...]]:
    return {relation: tuple(ids) for relation, ids in relations.items() if relation in RELATIONS}


def _sides(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The row, and its left and right where it is paired."""
    yield row
    if row.get("sided"):
        for side in _OPPOSITE:
            yield {
                **row,
                "id": f"{row['id']}_{side}",
                "name": f"{side} {row['name']}",
                "synonyms": [f"{side} {word}" for word in (*row.get("synonyms", ()), *row.get("abbreviations", ()))],
                "abbreviations": [],
                "is_a": [row["id"]],
                "side": side,
                "definition": _sided_definition(row["definition"], side),
            }


def _sided_definition(definition: str, side: Side) -> str:
    return f"{definition.removesuffix('.')}, on the patient's {side}."


def _concept(row: Mapping[str, Any]) -> Concept:
    synonyms, abbreviations = tuple(row.get("synonyms", ())), tuple(row.get("abbreviations", ()))
    return Concept(
        row["id"],
        row["name"],
        row["category"],
        row["definition"],
        synonyms,
        abbreviations,
        row.get("side"),
        _tuples(row),
    )


def _structure(structure: Structure, words: Vocabulary) -> Concept:
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
        definition = _sided_definition(paired.definition, structure.side)
    capitals = tuple(word for word in structure.synonyms if word.isupper())
    others = tuple(word for word in structure.synonyms if word not in capitals)
    category = _category(structure, words, vessel)
    relations = {name: tuple(ids) for name, ids in (("is_a", kind_of), ("part_of", part_of)) if ids}
    return Concept(
        structure.id, structure.name, category, definition, others, capitals, structure.side, _tuples(relations)
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


def _on_same_side(concept: Concept, concepts: Mapping[str, Concept]) -> Concept:
    """Relations of a left or right concept lead to the left or right of a pair; its fellow is its mirror."""
    if concept.side is None:
        return concept
    relations: dict[Relation, tuple[str, ...]] = {
        relation: ids
        if relation == "is_a"
        else tuple(side if (side := f"{other}_{concept.side}") in concepts else other for other in ids)
        for relation, ids in concept.relations.items()
    }
    tokens = concept.id.split("_")
    mirror = "_".join(_OPPOSITE[concept.side] if token == concept.side else token for token in tokens)
    if mirror != concept.id and mirror in concepts:
        relations["mirror_of"] = (mirror,)
    return _replace(concept, relations=relations)


def _unambiguous(concepts: list[Concept]) -> list[Concept]:
    """A synonym belongs to one concept: to the one whose name it is, else to the first (the finer ones come first)."""
    owner = {normalise(word): concept.id for concept in concepts for word in (concept.id, concept.name)}
    for concept in concepts:
        for word in (*concept.synonyms, *concept.abbreviations):
            owner.setdefault(normalise(word), concept.id)

    def own(concept: Concept, words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word for word in words if owner[normalise(word)] == concept.id)

    return [_replace(c, synonyms=own(c, c.synonyms), abbreviations=own(c, c.abbreviations)) for c in concepts]
