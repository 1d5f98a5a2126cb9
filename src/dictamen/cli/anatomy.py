"""`dictamen anatomy search | show | tree | statistics`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dictamen.anatomy.concept import Concept
    from dictamen.anatomy.knowledge import Knowledge

Term = Annotated[str, typer.Argument(help='Id or name: "kidney_left", "left kidney", "HCC".')]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FAINT = 0.75
"""Below this similarity of spelling a name is hardly the one that was meant."""


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Look up anatomical concepts, their names and relations.", no_args_is_help=True)
    for command in (search, show, tree, statistics):
        group.command(command.__name__)(command)
    app.add_typer(group, name="anatomy")


def search(
    term: Annotated[str, typer.Argument(help="Any word; misspelt ones too.")],
    limit: Annotated[int, typer.Option(min=1, help="How many concepts to list.")] = 5,
    as_json: AsJson = False,
) -> None:
    """List the concepts nearest to a word, with the similarity of their spelling (1: it is one of their names)."""
    from dictamen.anatomy.knowledge import load

    matches = load().search(term, limit=limit)
    if as_json:
        rows = [{"id": m.concept.id, "name": m.concept.name, "score": m.score} for m in matches]
        typer.echo(json.dumps(rows))
        return
    if matches[0].score < FAINT:
        typer.echo(f"No concept is called {term!r}; the nearest spellings are:", err=True)
    for match in matches:
        typer.echo(f"{match.score:5.3f}  {match.concept.id:32}  {match.concept.name}")


def show(term: Term, as_json: AsJson = False) -> None:
    """Print a concept: its names, definition and relations."""
    from dictamen.anatomy.knowledge import load

    knowledge = load()
    concept = knowledge.named(term)
    below = [child.id for child in knowledge.children(concept.id)]
    if as_json:
        typer.echo(json.dumps(_row(concept) | {"children": below}))
        return
    typer.echo(f"{concept.name} ({concept.id}), {concept.category}\n  {concept.definition}")
    others = ", ".join((*concept.synonyms, *concept.abbreviations))
    related = [(name.replace("_", " "), ", ".join(ids)) for name, ids in concept.relations.items()]
    for name, text in [("also", others), *related, ("below it", ", ".join(below))]:
        if text:
            typer.echo(f"  {name}: {text}")


def tree(
    term: Annotated[str, typer.Argument(help="Where to begin; `body` has everything below it.")] = "body",
    depth: Annotated[int, typer.Option(min=1, help="How many levels to print.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Print what lies below a concept: kinds, sides, parts, and lesions found in it."""
    from dictamen.anatomy.knowledge import load

    knowledge = load()
    concept = knowledge.named(term)
    if as_json:
        typer.echo(json.dumps(_nested(knowledge, concept, depth)))
        return
    typer.echo(concept.id)
    for line in _branches(knowledge, concept, depth, "  "):
        typer.echo(line)


def statistics(as_json: AsJson = False) -> None:
    """Count concepts, names and relations."""
    from dictamen.anatomy.knowledge import load

    concepts = list(load())
    counts: dict[str, Any] = {
        "concepts": len(concepts),
        "names": sum(len(concept.words) for concept in concepts),
        "categories": dict(Counter(concept.category for concept in concepts).most_common()),
        "relations": dict(
            Counter(name for concept in concepts for name, ids in concept.relations.items() for _ in ids).most_common()
        ),
    }
    if as_json:
        typer.echo(json.dumps(counts))
        return
    typer.echo(f"{counts['concepts']} concepts with {counts['names']} names")
    for group in ("categories", "relations"):
        typer.echo(f"{group}: " + ", ".join(f"{name} {count}" for name, count in counts[group].items()))


def _row(concept: Concept) -> dict[str, Any]:
    names = ("id", "name", "category", "side", "definition", "synonyms", "abbreviations")
    return {name: getattr(concept, name) for name in names} | {"relations": dict(concept.relations)}


def _nested(knowledge: Knowledge, concept: Concept, depth: int) -> dict[str, Any]:
    children = knowledge.children(concept.id) if depth else []
    return {"id": concept.id, "children": [_nested(knowledge, child, depth - 1) for child in children]}


def _branches(knowledge: Knowledge, concept: Concept, depth: int, indent: str) -> Iterator[str]:
    for child in knowledge.children(concept.id):
        relation = next(name for name in ("is_a", "part_of", "found_in") if concept.id in child.relations.get(name, ()))
        yield f"{indent}{child.id} ({relation.replace('_', ' ')})"
        if depth > 1:
            yield from _branches(knowledge, child, depth - 1, indent + "  ")
