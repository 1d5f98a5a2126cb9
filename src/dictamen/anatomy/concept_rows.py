"""Rows of data made into concepts: those that come with dictamen, and those of further files on top."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.resources import files
from typing import Any

from dictamen.anatomy import vocabulary
from dictamen.anatomy.concept import RELATIONS, ROOT, Concept, only_known
from dictamen.anatomy.concept_sides import on_same_side, with_sides
from dictamen.anatomy.structure_concepts import structure_concept
from dictamen.anatomy.words import normalise


def shipped() -> dict[str, Concept]:
    """All concepts that come with dictamen, the finer ones first."""
    text = files("dictamen.anatomy").joinpath("data/concepts.json").read_text(encoding="utf-8")
    data = json.loads(text)
    rows = [expanded for row in data["concepts"] for expanded in with_sides(row)]
    words = vocabulary.load()
    known = (structure_concept(structure, words) for structure in words)
    concepts = {concept.id: concept for concept in (*map(_concept, rows), *known)}
    for concept_id, relations in data["relations"].items():
        concept = concepts[concept_id]
        concepts[concept_id] = replace(concept, relations={**concept.relations, **only_known(relations)})
    return {concept.id: on_same_side(concept, concepts) for concept in concepts.values()}


def extended(concepts: Mapping[str, Concept], rows: Iterable[Mapping[str, Any]]) -> dict[str, Concept]:
    """`concepts` and those of the rows; a row of a known id adds to that concept, whose definition stays."""
    found, new = dict(concepts), []
    for row in (each for given in rows for each in with_sides(given)):
        concept = _concept(row)
        if concept.id in found:
            found[concept.id] = _joined(found[concept.id], concept)
        else:
            found[concept.id] = concept
            new.append(concept.id)
    for concept_id in new:
        concept = on_same_side(found[concept_id], found)
        found[concept_id] = (
            concept if concept.above else replace(concept, relations={**concept.relations, "part_of": (ROOT,)})
        )
    return found


def unambiguous(concepts: Iterable[Concept]) -> list[Concept]:
    """A synonym belongs to one concept: to the one whose name it is, else to the first (the finer ones come first)."""
    concepts = list(concepts)
    owner = {normalise(word): concept.id for concept in concepts for word in (concept.id, concept.name)}
    for concept in concepts:
        for word in (*concept.synonyms, *concept.abbreviations):
            owner.setdefault(normalise(word), concept.id)

    def own(concept: Concept, words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word for word in words if owner[normalise(word)] == concept.id)

    return [replace(c, synonyms=own(c, c.synonyms), abbreviations=own(c, c.abbreviations)) for c in concepts]


def _concept(row: Mapping[str, Any]) -> Concept:
    lists = {name: tuple(row.get(name, ())) for name in ("synonyms", "abbreviations", "codes")}
    return Concept(
        row["id"],
        row["name"],
        row.get("category", "organ"),
        row.get("definition", ""),
        side=row.get("side"),
        relations=only_known(row),
        **lists,
    )


def _joined(known: Concept, more: Concept) -> Concept:
    """A concept with the names, codes and relations of another account of it."""

    def both(one: Iterable[str], two: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*one, *two)))

    names = (word for word in (more.name, *more.synonyms) if word != known.name)
    related = ((r, both(known.relations.get(r, ()), more.relations.get(r, ()))) for r in RELATIONS)
    return replace(
        known,
        definition=known.definition or more.definition,
        synonyms=both(known.synonyms, names),
        abbreviations=both(known.abbreviations, more.abbreviations),
        codes=both(known.codes, more.codes),
        relations={relation: ids for relation, ids in related if ids},
    )
