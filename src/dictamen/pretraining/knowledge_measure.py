"""What an encoder of names has learned: names it was not taught, sides, relations, and what unknown words are near."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from jaxtyping import Float
from torch import Tensor

from dictamen.anatomy.knowledge import Knowledge, Match
from dictamen.anatomy.name_variations import vary
from dictamen.models.name_encoder import NameEncoder
from dictamen.pretraining.held_out import Taught
from dictamen.pretraining.knowledge_texts import QUESTIONS


class NameIndex:
    """All taught names with their embeddings: the concept of a text is that of the nearest name."""

    def __init__(self, encoder: NameEncoder, names: Sequence[tuple[str, str]]) -> None:
        self.encoder = encoder
        self.owners = [concept_id for concept_id, _ in names]
        self.table = encoder.embed([word for _, word in names])
        concepts = {concept_id: place for place, concept_id in enumerate(dict.fromkeys(self.owners))}
        self.concepts = list(concepts)
        self._of = torch.tensor([concepts[owner] for owner in self.owners])

    def scores(self, texts: Sequence[str]) -> Float[Tensor, "N C"]:
        """Cosine of each text with the nearest name of each concept, in the order of `concepts`."""
        cosines = self.encoder.embed(texts) @ self.table.T
        lowest = torch.full((len(texts), len(self.concepts)), -1.0)
        return lowest.scatter_reduce(1, self._of.expand(len(texts), -1), cosines, "amax")

    def nearest(self, texts: Sequence[str]) -> list[str]:
        """The concept of each text."""
        return [self.concepts[place] for place in self.scores(texts).argmax(dim=1).tolist()]


def all_names(knowledge: Knowledge) -> list[tuple[str, str]]:
    """Every name of every concept, with the concept's id."""
    return [(concept.id, word) for concept in knowledge for word in concept.words]


def search(knowledge: Knowledge, index: NameIndex, text: str, *, limit: int) -> list[Match]:
    """The concepts nearest to `text` by embedding, best first."""
    scores, places = index.scores([text])[0].topk(min(limit, len(index.concepts)))
    found = zip(scores.tolist(), places.tolist(), strict=True)
    return [Match(knowledge[index.concepts[place]], round(score, 3)) for score, place in found]


@dataclass(frozen=True)
class Failure:
    """A held-out name that led to another concept."""

    name: str
    kind: str
    concept: str
    found: str


def measure(encoder: NameEncoder, knowledge: Knowledge, taught: Taught, *, seed: int = 0) -> dict[str, float]:
    """Shares in 0..1; those of what was held out only where something was.

    - `taught_names`: taught names, written in another way, that lead to their concept.
    - `wrong_side`: such names of a left or right concept that lead to its mirror (of those that lead to either).
    - `mirror_cosine`: mean cosine of the preferred names of left and right.
    - `held_out_names`, and by kind; `relations`, by relation: the nearest concept is a right answer.
    """
    index = NameIndex(encoder, [(i, word) for i, words in taught.names.items() for word in words])
    metrics = {**_taught(index, knowledge, taught, seed), "mirror_cosine": _mirror_cosine(encoder, knowledge)}
    if taught.held_out:
        metrics |= _held_out(index, taught)
    if taught.held_out_relations:
        metrics |= _relations(index, knowledge, taught)
    return metrics


def failures(encoder: NameEncoder, taught: Taught) -> list[Failure]:
    """Held-out names that led to another concept."""
    index = NameIndex(encoder, [(i, word) for i, words in taught.names.items() for word in words])
    found = index.nearest([word for (_, word), _ in taught.held_out])
    return [
        Failure(word, kind, concept_id, other)
        for ((concept_id, word), kind), other in zip(taught.held_out, found, strict=True)
        if other != concept_id
    ]


def _taught(index: NameIndex, knowledge: Knowledge, taught: Taught, seed: int) -> dict[str, float]:
    draw = Random(f"measure {seed}")
    asked = [(i, vary(draw.choice(words), draw)) for i, words in taught.names.items()]
    found = index.nearest([text for _, text in asked])
    right = side = wrong = 0
    for (concept_id, _), other in zip(asked, found, strict=True):
        right += other == concept_id
        if mirror := knowledge[concept_id].relations.get("mirror_of"):
            side += other == concept_id
            wrong += other in mirror
    return {"taught_names": right / len(asked), "wrong_side": wrong / max(side + wrong, 1)}


def _mirror_cosine(encoder: NameEncoder, knowledge: Knowledge) -> float:
    lefts = [concept for concept in knowledge if concept.side == "left" and concept.relations.get("mirror_of")]
    left = encoder.embed([concept.name for concept in lefts])
    right = encoder.embed([knowledge[concept.relations["mirror_of"][0]].name for concept in lefts])
    return float((left * right).sum(dim=1).mean())


def _held_out(index: NameIndex, taught: Taught) -> dict[str, float]:
    found = index.nearest([word for (_, word), _ in taught.held_out])
    hits: dict[str, list[bool]] = defaultdict(list)
    for ((concept_id, _), kind), other in zip(taught.held_out, found, strict=True):
        hits["held_out_names"].append(other == concept_id)
        hits[f"held_out_names ({kind})"].append(other == concept_id)
    return _shares(hits)


def _relations(index: NameIndex, knowledge: Knowledge, taught: Taught) -> dict[str, float]:
    asked = list(taught.held_out_relations)
    found = index.nearest([QUESTIONS[relation].format(knowledge[head].name) for head, relation in asked])
    hits: dict[str, list[bool]] = defaultdict(list)
    for question, other in zip(asked, found, strict=True):
        right = other in taught.held_out_relations[question]
        hits["relations"].append(right)
        hits[f"relations ({question[1]})"].append(right)
    return _shares(hits)


def _shares(hits: dict[str, list[bool]]) -> dict[str, float]:
    return {name: sum(each) / len(each) for name, each in sorted(hits.items())}
