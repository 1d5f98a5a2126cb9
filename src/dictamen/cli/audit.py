"""`dictamen audit COHORT`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit", help="List where masks and reports contradict each other.")(audit)


def audit(
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="Cohort folder.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write; by default COHORT/audit.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, val, test, or all.")] = "all",
    pictures: Annotated[int, typer.Option(min=0, help="Contradictions shown with slices, the most severe ones.")] = 50,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older audit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the contradictions as JSON.")] = False,
) -> None:
    """Hold every report against its masks; write contradictions.jsonl and index.html, which quotes the sentences."""
    from dictamen.cli.progress import bar
    from dictamen.evaluation.audit import audit as run

    folder = output or cohort / "audit"
    with bar("auditing") as update:
        found = run(
            cohort,
            folder,
            split=None if split == "all" else split,
            pictures=pictures,
            jobs=jobs,
            overwrite=overwrite,
            progress=lambda done, total: update(done, total, ""),
        )
    if as_json:
        typer.echo(json.dumps([one.to_json() for one in found.contradictions]))
        return
    for one in found.contradictions:
        typer.echo(f"{one.severity:.2f}  {one.study_id}  {one.kind}: report {one.said}; mask {one.found}")
    for study_id, reason in found.failed.items():
        typer.echo(f"Failed: {study_id}: {reason}", err=True)
    typer.echo(
        f"{len(found.contradictions)} contradictions in {len(found.studies)} studies. Page: {folder / 'index.html'}"
    )
