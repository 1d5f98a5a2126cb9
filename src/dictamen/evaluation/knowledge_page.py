"""The knowledge graph as a page: how much there is of what, and every concept with its names and relations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dictamen.anatomy.concept import Concept
from dictamen.anatomy.graph_statistics import count, depths
from dictamen.anatomy.knowledge import Knowledge
from dictamen.evaluation.html import cards, columns, page, section, table
from dictamen.files import write_text

MOST_SHOWN = 5000
"""Concepts in the long table: a browser still sorts so many at once."""
LARGEST = 15


def write_page(knowledge: Knowledge, path: Path) -> None:
    """Write the page, self-contained."""
    write_text(path, page_text(knowledge))


def page_text(knowledge: Knowledge) -> str:
    """The page's HTML."""
    counts, levels = count(knowledge), depths(knowledge)
    concepts = list(knowledge)
    key = {name: counts[name] for name in ("concepts", "names", "definitions", "depth")}
    size = {concept.id: 0 for concept in concepts}
    for concept in concepts:
        for above in knowledge.ancestors(concept.id):
            size[above] += 1
    largest = sorted(concepts, key=lambda concept: -size[concept.id])[:LARGEST]
    shown = [_row(concept, levels, size) for concept in concepts[:MOST_SHOWN]]
    beyond = f" The first {MOST_SHOWN} of {len(concepts)}." if len(concepts) > MOST_SHOWN else ""
    return str(
        page(
            "Anatomical knowledge",
            [
                section(
                    "How much",
                    cards({**key, "relations": sum(counts["relations"].values())}),
                    columns(
                        _counted(counts["categories"], "category", "concepts"),
                        _counted(counts["relations"], "relation", "times"),
                    ),
                    columns(
                        _counted(counts["names_per_concept"], "names", "concepts"),
                        _counted(counts["concepts_per_level"], "level below the body", "concepts"),
                    ),
                    columns(
                        _counted(counts["sides"], "side", "concepts"),
                        table(
                            [{"concept": concept.name, "below it": size[concept.id]} for concept in largest],
                            caption="The largest wholes and kinds",
                        ),
                    ),
                ),
                section(
                    "Every concept",
                    table(shown, sortable=True),
                    lead=f"A click on a heading sorts. Below: how many concepts are kinds or parts of it.{beyond}",
                ),
            ],
        )
    )


def _counted(counts: dict[str, int], what: str, number: str) -> str:
    return table([{what: str(name).replace("_", " "), number: value} for name, value in counts.items()])


def _row(concept: Concept, levels: Mapping[str, int], size: dict[str, int]) -> dict[str, str | int | None]:
    related = "; ".join(f"{name.replace('_', ' ')} {', '.join(ids)}" for name, ids in concept.relations.items() if ids)
    return {
        "id": concept.id,
        "name": concept.name,
        "category": concept.category,
        "side": concept.side,
        "level": levels[concept.id],
        "below": size[concept.id],
        "also": ", ".join((*concept.synonyms, *concept.abbreviations)),
        "definition": concept.definition,
        "relations": related,
        "codes": ", ".join(concept.codes),
    }
