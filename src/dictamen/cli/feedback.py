"""`dictamen feedback export | import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Cohort = Annotated[Path, typer.Argument(help="Cohort folder.")]
Database = Annotated[
    str | None, typer.Option("--feedback", help="Feedback database (file or URL); default: that of the cohort.")
]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Take feedback out of a cohort, or into it.", no_args_is_help=True)
    group.command("export")(export)
    group.command("import")(import_)
    app.add_typer(group, name="feedback")


def export(
    cohort: Cohort,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write (.jsonl).")],
    feedback: Database = None,
) -> None:
    """Write all feedback as JSON lines, taken-back answers included."""
    from dictamen.files import write_text
    from dictamen.review.store import export_jsonl, open_store

    lines = list(export_jsonl(open_store(cohort, feedback)))
    write_text(output, "".join(lines))
    typer.echo(f"{len(lines)} records written to {output}")


def import_(
    cohort: Cohort,
    source: Annotated[Path, typer.Argument(help="File written by `dictamen feedback export`.")],
    feedback: Database = None,
) -> None:
    """Add the records of a file; those that are known already are left out."""
    from dictamen.errors import InputError
    from dictamen.review.store import open_store, read_jsonl

    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("The feedback can't be read.", where=source, got=type(error).__name__) from error
    records = read_jsonl(lines, source)
    new = open_store(cohort, feedback).add(records)
    typer.echo(f"{new} records added, {len(records) - new} were known already")
