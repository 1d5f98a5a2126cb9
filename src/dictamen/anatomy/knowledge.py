"""What is known of anatomy beyond the words of reports: concepts with definitions and typed relations.

Every structure of the vocabulary is a concept; `data/concepts.json` adds finer parts, vessels, bones, muscles, stations
of lymph nodes and kinds of lesion. They are kept apart from the vocabulary, so that a finer word ("femoral head") never
changes what the report reader finds (the femur). All definitions are ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

from dictamen.anatomy import vocabulary
from dictamen.anatomy.concept import Concept, only_known
from dictamen.anatomy.concept_sides import on_same_side, with_sides
from dictamen.anatomy.structure_concepts import structure_concept
from dictamen.anatomy.vocabulary import Structure, Vocabulary
from dictamen.anatomy.words import normalise
from dictamen.errors import InputError


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
        return [concept for concept in self if wanted in concept.above]

    def ancestors(self, concept_id: str) -> frozenset[str]:
        """Ids of everything that the concept is a kind of, a part of or found in, itself not included."""
        return self._vocabulary.ancestors(self[concept_id].id)

    def siblings(self, concept_id: str) -> list[Concept]:
        """Concepts with a common parent: the hardest to tell apart; the other side of a pair is one of them."""
        above = set(self[concept_id].above)
        return [concept for concept in self if concept.id != concept_id and above & set(concept.above)]

    def _expected(self, term: str) -> str:
        return f"one of {[match.concept.name for match in self.search(term, limit=vocabulary.SUGGESTIONS)]}"

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(
            Structure(c.id, c.name, (*c.synonyms, *c.abbreviations), c.above, c.side) for c in self._concepts.values()
        )


@cache
def load() -> Knowledge:
    """All concepts that come with dictamen; read once."""
    text = files("dictamen.anatomy").joinpath("data/concepts.json").read_text(encoding="utf-8")
    data = json.loads(text)
    rows = [expanded for row in data["concepts"] for expanded in with_sides(row)]
    words = vocabulary.load()
    concepts = {
        concept.id: concept for concept in (*map(_concept, rows), *(structure_concept(s, words) for s in words))
    }
    for concept_id, relations in data["relations"].items():
        concept = concepts[concept_id]
        concepts[concept_id] = replace(concept, relations={**concept.relations, **only_known(relations)})
    return Knowledge(_unambiguous([on_same_side(concept, concepts) for concept in concepts.values()]))


def _similarity(a: str, b: str) -> float:
    return SequenceMatcher(None, a, b).ratio()


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
        only_known(row),
    )


def _unambiguous(concepts: list[Concept]) -> list[Concept]:
    """A synonym belongs to one concept: to the one whose name it is, else to the first (the finer ones come first)."""
    owner = {normalise(word): concept.id for concept in concepts for word in (concept.id, concept.name)}
    for concept in concepts:
        for word in (*concept.synonyms, *concept.abbreviations):
            owner.setdefault(normalise(word), concept.id)

    def own(concept: Concept, words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word for word in words if owner[normalise(word)] == concept.id)

    return [replace(c, synonyms=own(c, c.synonyms), abbreviations=own(c, c.abbreviations)) for c in concepts]
