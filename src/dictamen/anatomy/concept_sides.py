"""Left and right of paired concepts: made from the pair, related on their own side, mirrors of each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from dictamen.anatomy.concept import Concept, Relation
from dictamen.anatomy.vocabulary import Side

_OPPOSITE: dict[Side, Side] = {"left": "right", "right": "left"}


def with_sides(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
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
                "definition": sided_definition(row.get("definition", ""), side),
            }


def sided_definition(definition: str, side: Side) -> str:
    """The definition of a pair, said of one side."""
    return definition and f"{definition.removesuffix('.')}, on the patient's {side}."


def on_same_side(concept: Concept, concepts: Mapping[str, Concept]) -> Concept:
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
    return replace(concept, relations=relations)
