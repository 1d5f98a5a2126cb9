"""What is known of anatomy beyond the words of reports: concepts with definitions and typed relations.

Every structure of the vocabulary is a concept; `data/concepts.json` adds finer parts, vessels, bones, muscles, stations
of lymph nodes and kinds of lesion. They are kept apart from the vocabulary, so that a finer word ("femoral head") never
changes what the report reader finds (the femur). All definitions are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache, cached_property
from heapq import heappush, heapreplace
from pathlib import Path

from dictamen.anatomy import vocabulary
from dictamen.anatomy.concept import Concept
from dictamen.anatomy.concept_rows import extended, shipped, unambiguous
from dictamen.anatomy.consistency import find_problems
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
        """The concept that `term` names, in any case, singular or plural, side anywhere, or its code; else None."""
        if term in self._codes:
            return self._concepts[self._codes[term]]
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
        best: list[tuple[float, int, str]] = [(1.0, 1, exact.id)] if exact else []  # a heap, the worst one first
        for order, concept in enumerate(self):
            if exact is concept:
                continue
            least = best[0][0] if len(best) == limit else 0.0
            score = max(_similarity(key, word, least=least) for word in self._keys[concept.id])
            if len(best) < limit:
                heappush(best, (score, -order, concept.id))
            elif score > least:
                heapreplace(best, (score, -order, concept.id))
        return [Match(self._concepts[i], round(score, 3)) for score, _, i in sorted(best, reverse=True)]

    def children(self, concept_id: str) -> list[Concept]:
        """Concepts directly below: its kinds, sides and parts, and the lesions found in it."""
        return [self._concepts[i] for i in self._below.get(self[concept_id].id, ())]

    def ancestors(self, concept_id: str) -> frozenset[str]:
        """Ids of everything that the concept is a kind of, a part of or found in, itself not included."""
        return self._vocabulary.ancestors(self[concept_id].id)

    def siblings(self, concept_id: str) -> list[Concept]:
        """Concepts with a common parent: the hardest to tell apart; the other side of a pair is one of them."""
        near = {i for parent in self[concept_id].above for i in self._below.get(parent, ())} - {concept_id}
        return [self._concepts[i] for i in sorted(near, key=self._order.__getitem__)]

    def _expected(self, term: str) -> str:
        return f"one of {[match.concept.name for match in self.search(term, limit=vocabulary.SUGGESTIONS)]}"

    @cached_property
    def _order(self) -> dict[str, int]:
        return {concept_id: place for place, concept_id in enumerate(self._concepts)}

    @cached_property
    def _below(self) -> dict[str, list[str]]:
        below: dict[str, list[str]] = {}
        for concept in self:
            for parent in concept.above:
                below.setdefault(parent, []).append(concept.id)
        return below

    @cached_property
    def _keys(self) -> dict[str, tuple[str, ...]]:
        """Names in normal form."""
        return {concept.id: tuple({normalise(word): None for word in concept.words}) for concept in self}

    @cached_property
    def _codes(self) -> dict[str, str]:
        return {code: concept.id for concept in self for code in concept.codes}

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(
            Structure(c.id, c.name, (*c.synonyms, *c.abbreviations), c.above, c.side) for c in self._concepts.values()
        )


@cache
def load(*further: Path) -> Knowledge:
    """All concepts that come with dictamen, and those of `further` concept files on top; read once.

    Raises:
        InputError: a file can't be read, or what it says contradicts itself or what is known (how).
    """
    concepts = shipped()
    for path in further:
        from dictamen.anatomy.concept_file import MOST_TOLD, read_rows

        concepts = extended(concepts, read_rows(path))
        if problems := find_problems(concepts):
            more = f" and {len(problems) - MOST_TOLD} more" if len(problems) > MOST_TOLD else ""
            raise InputError(
                "The concept file contradicts itself.", where=path, got="; ".join(problems[:MOST_TOLD]) + more
            )
    return Knowledge(unambiguous(concepts.values()))


def _similarity(a: str, b: str, *, least: float) -> float:
    """Of the spelling; 0 where it is below `least`, which is known sooner."""
    matcher = SequenceMatcher(None, a, b)
    if matcher.real_quick_ratio() < least or matcher.quick_ratio() < least:
        return 0.0
    return matcher.ratio()
