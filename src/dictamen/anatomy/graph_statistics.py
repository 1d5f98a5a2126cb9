"""Figures of the knowledge graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from dictamen.anatomy.concept import ROOT
from dictamen.anatomy.knowledge import Knowledge


def count(knowledge: Knowledge) -> dict[str, Any]:
    """Concepts, names, depth; concepts by category and side, relations by kind, concepts by number of names."""
    concepts = list(knowledge)
    levels = depths(knowledge)
    return {
        "concepts": len(concepts),
        "names": sum(len(concept.words) for concept in concepts),
        "definitions": sum(bool(concept.definition) for concept in concepts),
        "depth": max(levels.values()),
        "categories": _most_common(Counter(concept.category for concept in concepts)),
        "sides": _most_common(Counter(concept.side or "none" for concept in concepts)),
        "relations": _most_common(
            Counter(name for concept in concepts for name, ids in concept.relations.items() for _ in ids)
        ),
        "names_per_concept": dict(sorted(Counter(len(concept.words) for concept in concepts).items())),
        "concepts_per_level": dict(sorted(Counter(levels.values()).items())),
    }


def depths(knowledge: Knowledge) -> Mapping[str, int]:
    """Steps from the root down to each concept, by the shortest way."""
    found, level = {ROOT: 0}, [ROOT]
    while level:
        level = [child.id for parent in level for child in knowledge.children(parent) if child.id not in found]
        found |= {concept_id: max(found.values()) + 1 for concept_id in level}
    return found


def _most_common(counted: Counter[Any]) -> dict[str, int]:
    return dict(counted.most_common())
