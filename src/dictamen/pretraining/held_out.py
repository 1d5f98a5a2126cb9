"""Which names and relations an encoder of names is not taught, so that it can be asked for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Literal, TypeVar

from dictamen.anatomy.concept import Concept, Relation
from dictamen.anatomy.knowledge import Knowledge
from dictamen.anatomy.words import SIDES, normalise

Kind = Literal["same words", "shared words", "other words", "abbreviation"]
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]
Name = tuple[str, str]
"""Id of a concept, one of its names."""
Key = TypeVar("Key")


@dataclass(frozen=True)
class Taught:
    """What is taught, and what is held out.

    Attributes:
        names: of each concept, the preferred one first.
        held_out: names that are not taught, with their kind.
        relations: head and relation -> tails.
        held_out_relations: the same, not taught.
    """

    names: Mapping[str, tuple[str, ...]]
    held_out: tuple[tuple[Name, Kind], ...]
    relations: Mapping[tuple[str, Relation], tuple[str, ...]]
    held_out_relations: Mapping[tuple[str, Relation], tuple[str, ...]]


def divide(knowledge: Knowledge, *, share: float, seed: int, whole: bool = True) -> Taught:
    """Hold out a share of the synonyms and of the relations.

    Preferred names are always taught. Relations of both sides are held out together.

    Args:
        share: 0..1.
        whole: a synonym is held out as a whole: with it go the same words said of the pair, of the left and of the
            right, so that "left calyx" does not give "calyx" away. Otherwise each name is drawn by itself.
    """
    draw = Random(f"names {seed}")
    families = _families(knowledge)
    if not whole:
        families = {("", f"{number}"): [name] for number, name in enumerate(chain(*families.values()))}
    held = [name for key in _sample(families, share, draw) for name in families[key]]
    names = {c.id: tuple(word for word in c.words if (c.id, word) not in set(held)) for c in knowledge}
    pairs = {(c.id, relation): ids for c in knowledge for relation, ids in c.relations.items() if ids}
    by_pair: dict[tuple[str, Relation], list[tuple[str, Relation]]] = defaultdict(list)
    for head, relation in pairs:
        by_pair[_pair(head), relation].append((head, relation))
    not_taught = {key for keys in _sample(by_pair, share, draw) for key in by_pair[keys]}
    return Taught(
        names,
        tuple((name, _kind(knowledge[name[0]], name[1], names[name[0]])) for name in held),
        {key: ids for key, ids in pairs.items() if key not in not_taught},
        {key: ids for key, ids in pairs.items() if key in not_taught},
    )


def _families(knowledge: Knowledge) -> dict[tuple[str, str], list[Name]]:
    """Synonyms that go together: of a concept, its left and its right."""
    found: dict[tuple[str, str], list[Name]] = defaultdict(list)
    preferred = {(_pair(concept.id), _bare(concept.name)) for concept in knowledge}
    for concept in knowledge:
        for word in concept.words[1:]:
            if (key := (_pair(concept.id), _bare(word))) not in preferred:
                found[key].append((concept.id, word))
    return found


def _sample(groups: Mapping[Key, object], share: float, draw: Random) -> list[Key]:
    keys = list(groups)
    return draw.sample(keys, round(share * len(keys)))


def _kind(concept: Concept, word: str, taught: Iterable[str]) -> Kind:
    """How the held-out name resembles those that were taught of the concept."""
    if word in concept.abbreviations:
        return "abbreviation"
    mine, others = set(normalise(word).split()), [set(normalise(other).split()) for other in taught]
    if mine in others:
        return "same words"
    return "shared words" if any((mine & other) - set(SIDES) for other in others) else "other words"


def _pair(concept_id: str) -> str:
    return "_".join(token for token in concept_id.split("_") if token not in SIDES)


def _bare(word: str) -> str:
    return " ".join(token for token in normalise(word).split() if token not in SIDES)
