"""Batches of texts for the encoder of names: a pure function of (seed, step), so that resume needs no state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import torch
from jaxtyping import Bool
from torch import Tensor

from dictamen.anatomy.concept import UPWARD, Relation
from dictamen.anatomy.knowledge import Knowledge
from dictamen.anatomy.name_variations import EQUIVALENT, vary
from dictamen.anatomy.word_roots import ENDINGS, ROOTS
from dictamen.anatomy.words import normalise
from dictamen.pretraining.held_out import Taught
from dictamen.pretraining.knowledge_config import KnowledgeConfig

QUESTIONS: Mapping[Relation, str] = {
    "is_a": "{} is a kind of",
    "part_of": "{} is a part of",
    "found_in": "{} is found in",
    "contains": "{} contains",
    "adjacent_to": "{} lies beside",
    "supplied_by": "{} is supplied by",
    "drained_by": "{} is drained by",
    "mirror_of": "{} has on the other side",
}
"""A relation is a sentence without its end; the embedding of the end is what it should be near."""
ROOT_SHARE = 0.15
"""Of the texts of a concept that has roots; its names matter more."""


@dataclass(frozen=True)
class TextBatch:
    """Texts of one step.

    Attributes:
        texts: N texts, of which the first M are names and definitions, the others questions.
        positive: [N, M]: another text of the same concept; for a question, a text of its answer.
        ignored: [N, M]: the text itself, the same words said of something else, answers further up.
    """

    texts: list[str]
    positive: Bool[Tensor, "N M"]
    ignored: Bool[Tensor, "N M"]


class KnowledgeTexts:
    """Draws batches from what is taught.

    Args:
        knowledge: all concepts.
        taught: which of their names and relations are taught.
    """

    def __init__(self, knowledge: Knowledge, taught: Taught, config: KnowledgeConfig) -> None:
        self.knowledge, self.taught, self.config = knowledge, taught, config
        self.ids = [concept.id for concept in knowledge]
        self.questions = sorted(taught.relations)
        self.equivalent = _equivalents(taught)
        self.owner = {
            frozenset(normalise(word).split()): concept_id
            for concept_id, words in taught.names.items()
            for word in words
        }

    def batch(self, step: int) -> TextBatch:
        """The texts of a step."""
        config, draw = self.config, Random(f"texts {self.config.seed} {step}")
        chosen = dict.fromkeys(draw.sample(self.ids, min(config.concepts, len(self.ids))))
        for concept_id in list(chosen):
            hard = [sibling.id for sibling in self.knowledge.siblings(concept_id)]
            mirror = self.knowledge[concept_id].relations.get("mirror_of", ()) if config.hard_negatives else ()
            chosen |= dict.fromkeys((*mirror, *draw.sample(hard, min(config.siblings, len(hard)))))
        asked = draw.sample(self.questions, min(config.questions, len(self.questions)))
        answers = [draw.choice(self.taught.relations[question]) for question in asked]
        owners = [*chosen, *chosen, *answers]
        texts = [self._name(concept_id, draw) for concept_id in owners]
        defined = [i for i in chosen if self.knowledge[i].definition]
        for concept_id in draw.sample(defined, min(config.definitions, len(defined))):
            owners.append(concept_id)
            texts.append(self.knowledge[concept_id].definition)
        texts += [QUESTIONS[relation].format(self._name(head, draw)) for head, relation in asked]
        return _masks(texts, owners, [self._answers(*question) for question in asked])

    def names(self, concepts: Sequence[str], step: int) -> list[str]:
        """One name of each of these concepts, for a step."""
        draw = Random(f"names {self.config.seed} {step}")
        return [self._name(concept_id, draw) for concept_id in concepts]

    def _name(self, concept_id: str, draw: Random) -> str:
        """A name, or another way to write it that is no other concept's name."""
        name = draw.choice(self.taught.names[concept_id])
        if not self.config.variations:
            return name
        roots = ROOTS.get(concept_id, ()) if self.config.roots else ()
        if roots and draw.random() < ROOT_SHARE:
            return draw.choice(roots) + draw.choice(ENDINGS)
        varied = vary(name, draw, equivalent=self.equivalent)
        return varied if self.owner.get(frozenset(normalise(varied).split()), concept_id) == concept_id else name

    def _answers(self, head: str, relation: Relation) -> tuple[frozenset[str], frozenset[str]]:
        """Right answers, and those that are neither right nor wrong: further up, or not taught."""
        right = frozenset(self.taught.relations[head, relation])
        above = self.knowledge.ancestors(head) if relation in UPWARD else frozenset()
        return right, (above | set(self.knowledge[head].relations.get(relation, ()))) - right


def _masks(texts: list[str], owners: list[str], answers: list[tuple[frozenset[str], frozenset[str]]]) -> TextBatch:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(owners))}
    words = {text: number for number, text in enumerate(dict.fromkeys(map(str.casefold, texts)))}
    concept = torch.tensor([numbers[owner] for owner in owners])
    text = torch.tensor([words[one.casefold()] for one in texts])
    positive = torch.zeros(len(texts), len(owners), dtype=torch.bool)
    ignored = text[:, None] == text[None, : len(owners)]
    positive[: len(owners)] = concept[:, None] == concept
    for row, (right, neither) in enumerate(answers, start=len(owners)):
        positive[row] = torch.tensor([owner in right for owner in owners])
        ignored[row] |= torch.tensor([owner in neither for owner in owners])
    return TextBatch(texts, positive, ignored)


def _equivalents(taught: Taught) -> Mapping[str, tuple[str, ...]]:
    """General words that stand for each other, and the one-word names of each concept: kidney, renal."""
    found: dict[str, set[str]] = defaultdict(set)
    for word, others in EQUIVALENT.items():
        found[word] |= set(others)
    for words in taught.names.values():
        single = {word.casefold() for word in words if word.isalpha() and word.islower()}
        for word in single:
            found[word] |= single - {word}
    return {word: tuple(sorted(others)) for word, others in found.items() if others}
