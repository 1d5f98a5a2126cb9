"""`dictamen experiment COHORT -o OUT`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("experiment", help="Train and compare arms of supervision over seeds.")(experiment)


def experiment(
    cohort: Annotated[Path, typer.Argument(help="Cohort folder whose training studies all have masks.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the experiment.")],
    masks: Annotated[
        int | None, typer.Option(help="Studies whose masks the arms `masks` and `masks+reports` use; default: all.")
    ] = None,
    arms: Annotated[
        str, typer.Option(help="Comma-separated arms; also masks+pseudo-labels, masks+image-level.")
    ] = "masks,masks+reports,all-masks",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 1,
    config: Annotated[Path | None, typer.Option(help="Configuration file (toml) that all arms share.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting of all arms.")
    ] = None,
    split: Annotated[str, typer.Option(help="Studies to compare on.")] = "test",
    resume: Annotated[bool, typer.Option("--resume", help="Skip what is done.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Accept a folder that holds files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Train, predict and evaluate each arm with each seed; write table.md and summary.json."""
    from dictamen.cli.progress import bar
    from dictamen.experiments.arms import standard_arms
    from dictamen.experiments.experiment import run_experiment
    from dictamen.training.config import resolve

    with bar("experiment") as progress:
        result = run_experiment(
            cohort,
            output,
            standard_arms(masks, [name.strip() for name in arms.split(",")]),
            seeds=range(seeds),
            base=resolve(config, settings or ()),
            split=split,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps({label: comparison.to_json() for label, comparison in result.comparisons.items()}))
        return
    for comparison in result.comparisons.values():
        typer.echo(comparison.markdown())
    typer.echo(f"Written: {result.folder / 'table.md'}")
