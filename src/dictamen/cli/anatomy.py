"""`dictamen anatomy search | show | tree | statistics | import | pretrain`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dictamen.cli.anatomy_pretrain import pretrain

if TYPE_CHECKING:
    from dictamen.anatomy.concept import Concept
    from dictamen.anatomy.knowledge import Knowledge, Match

Term = Annotated[str, typer.Argument(help='Id or name: "kidney_left", "left kidney", "HCC".')]
Further = Annotated[
    list[Path] | None,
    typer.Option("--concepts", metavar="FILE", help="Further concepts, as `anatomy import` writes them; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FAINT = 0.75
"""Below this similarity of spelling a name is hardly the one that was meant."""
MOST_TOLD = 6
"""Entries of a list in the report of an import."""


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Look up anatomical concepts, their names and relations.", no_args_is_help=True)
    for command in (search, show, tree, statistics):
        group.command(command.__name__)(command)
    group.command("import")(import_ontology)
    group.command("pretrain")(pretrain)
    app.add_typer(group, name="anatomy")


def search(
    term: Annotated[str, typer.Argument(help="Any word; misspelt ones too.")],
    limit: Annotated[int, typer.Option(min=1, help="How many concepts to list.")] = 5,
    encoder: Annotated[
        Path | None, typer.Option(help="Compare meanings with the encoder of `anatomy pretrain`, not spellings.")
    ] = None,
    further: Further = None,
    as_json: AsJson = False,
) -> None:
    """List the concepts nearest to a word, with the similarity of their spelling (1: it is one of their names)."""
    from dictamen.anatomy.knowledge import load

    knowledge = load(*further or ())
    matches = _by_meaning(knowledge, encoder, term, limit) if encoder else knowledge.search(term, limit=limit)
    if as_json:
        rows = [{"id": m.concept.id, "name": m.concept.name, "score": m.score} for m in matches]
        typer.echo(json.dumps(rows))
        return
    if not encoder and matches[0].score < FAINT:
        typer.echo(f"No concept is called {term!r}; the nearest spellings are:", err=True)
    for match in matches:
        typer.echo(f"{match.score:5.3f}  {match.concept.id:32}  {match.concept.name}")


def show(term: Term, further: Further = None, as_json: AsJson = False) -> None:
    """Print a concept: its names, definition and relations."""
    from dictamen.anatomy.knowledge import load

    knowledge = load(*further or ())
    concept = knowledge.named(term)
    below = [child.id for child in knowledge.children(concept.id)]
    if as_json:
        typer.echo(json.dumps(_row(concept) | {"children": below}))
        return
    typer.echo(f"{concept.name} ({concept.id}), {concept.category}")
    others = ", ".join((*concept.synonyms, *concept.abbreviations))
    if concept.definition:
        typer.echo(f"  {concept.definition}")
    related = [(name.replace("_", " "), ", ".join(ids)) for name, ids in concept.relations.items()]
    for name, text in [("also", others), ("codes", ", ".join(concept.codes)), *related, ("below it", ", ".join(below))]:
        if text:
            typer.echo(f"  {name}: {text}")


def tree(
    term: Annotated[str, typer.Argument(help="Where to begin; `body` has everything below it.")] = "body",
    depth: Annotated[int, typer.Option(min=1, help="How many levels to print.")] = 2,
    further: Further = None,
    as_json: AsJson = False,
) -> None:
    """Print what lies below a concept: kinds, sides, parts, and lesions found in it."""
    from dictamen.anatomy.knowledge import load

    knowledge = load(*further or ())
    concept = knowledge.named(term)
    if as_json:
        typer.echo(json.dumps(_nested(knowledge, concept, depth)))
        return
    typer.echo(concept.id)
    for line in _branches(knowledge, concept, depth, "  "):
        typer.echo(line)


def statistics(
    further: Further = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write them as a page, with every concept.")] = None,
    as_json: AsJson = False,
) -> None:
    """Count concepts, names and relations."""
    from dictamen.anatomy.graph_statistics import count
    from dictamen.anatomy.knowledge import load

    knowledge = load(*further or ())
    counts = count(knowledge)
    if html is not None:
        from dictamen.evaluation.knowledge_page import write_page

        write_page(knowledge, html)
    if as_json:
        typer.echo(json.dumps(counts))
        return
    typer.echo(f"{counts['concepts']} concepts with {counts['names']} names, {counts['depth']} levels deep")
    for group in ("categories", "relations"):
        typer.echo(f"{group}: " + ", ".join(f"{name} {number}" for name, number in counts[group].items()))
    if html is not None:
        typer.echo(f"Page: {html}")


def import_ontology(
    ontology: Annotated[Path, typer.Argument(help="OBO or OWL (RDF/XML) file of UBERON, FMA ..., plain or gzipped.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Concept file to write (json).")],
    below: Annotated[str | None, typer.Option(help="Only this term, and its kinds and parts: id or name.")] = None,
    all_synonyms: Annotated[
        bool, typer.Option("--all-synonyms", help="Take broad, narrow and related synonyms too, not just exact ones.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read an ontology into a concept file, which `--concepts FILE` adds to what dictamen knows.

    A term that has the name of a known concept adds its synonyms, relations and code to it; others become new concepts.
    """
    from dictamen.anatomy.concept_file import concept_text
    from dictamen.anatomy.knowledge import load
    from dictamen.anatomy.ontology.convert import convert
    from dictamen.anatomy.ontology.read import read_ontology
    from dictamen.errors import UsageError
    from dictamen.files import write_text

    if output.exists() and not overwrite:
        raise UsageError("The output file exists.", got=output, next_step="choose another file, or add --overwrite")
    found = read_ontology(ontology)
    made = convert(found, load(), below=below, synonyms="all" if all_synonyms else "exact")
    write_text(output, concept_text(made.rows, {"file": ontology.name}))
    counts = {"concepts": len(made.rows), "joined": len(made.joined), "new": len(made.rows) - len(made.joined)}
    notes = {"left_out": made.left_out, "unused_relations": made.unused, "not_understood": found.skipped}
    if as_json:
        typer.echo(
            json.dumps({**counts, **{k: dict(v.most_common()) for k, v in notes.items()}, "circles_cut": made.cut})
        )
        return
    typer.echo(f"{counts['concepts']} concepts: {counts['joined']} join known ones, {counts['new']} are new.")
    for name, counted in notes.items():
        if told := ", ".join(f"{word} {number}" for word, number in counted.most_common(MOST_TOLD) if number):
            typer.echo(f"  {name.replace('_', ' ')}: {told}")
    if made.cut:
        typer.echo(f"  relations left out because they closed a circle: {', '.join(made.cut[:MOST_TOLD])}")
    typer.echo(f"Use them: dictamen anatomy search WORD --concepts {output}")


def _by_meaning(knowledge: Knowledge, encoder: Path, term: str, limit: int) -> list[Match]:
    from dictamen.models.name_encoder import load_name_encoder
    from dictamen.pretraining.knowledge_measure import NameIndex, all_names
    from dictamen.pretraining.knowledge_measure import search as nearest

    return nearest(knowledge, NameIndex(load_name_encoder(encoder), all_names(knowledge)), term, limit=limit)


def _row(concept: Concept) -> dict[str, Any]:
    names = ("id", "name", "category", "side", "definition", "synonyms", "abbreviations", "codes")
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
