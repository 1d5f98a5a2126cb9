"""`dictamen demo`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", help="The whole story on a generated cohort: read, train, evaluate, one HTML page.")(demo)


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the demo.")] = Path("demo-run"),
    seed: Annotated[int, typer.Option(help="Seed of the cohort and of the training.")] = 0,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes for generating and importing.")] = 2,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted demo.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older demo in the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the page's path as JSON.")] = False,
) -> None:
    """Generate a cohort, read its reports, train with and without them, evaluate, and write demo.html."""
    from dictamen.cli.progress import bar
    from dictamen.experiments.demo import run_demo

    with bar("demo") as progress:
        page = run_demo(output, seed=seed, jobs=jobs, resume=resume, overwrite=overwrite, progress=progress)
    typer.echo(
        json.dumps({"page": str(page.resolve())})
        if as_json
        else f"Done. Open this page in a browser:\n{page.resolve()}"
    )
