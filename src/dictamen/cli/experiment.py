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
        str, typer.Option(help="Studies whose masks the arms with few masks use: all, or numbers such as 3,6,12.")
    ] = "all",
    reports: Annotated[
        str, typer.Option(help="Studies whose reports the arms with reports use: all, or numbers such as 50,100.")
    ] = "all",
    arms: Annotated[
        str,
        typer.Option(
            help="Comma-separated arms, and toml files of arms of your own. Also: masks+pseudo-labels, "
            "masks+image-level, contrastive+masks."
        ),
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
    """Train, predict and evaluate each arm with each seed; write table.md, summary.json and index.html."""
    from dictamen.cli.progress import bar
    from dictamen.experiments.arms import arm_grid, named_ways
    from dictamen.experiments.experiment import run_experiment
    from dictamen.training.config import resolve

    names, ways = named_ways([part.strip() for part in arms.split(",")])
    with bar("experiment") as progress:
        result = run_experiment(
            cohort,
            output,
            arm_grid(names, masks=_numbers("--masks", masks), reports=_numbers("--reports", reports), ways=ways),
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
    typer.echo(f"Written: {result.folder / 'table.md'} and {result.folder / 'index.html'}")


def _numbers(option: str, text: str) -> list[int | None]:
    """ "3,6,all" -> [3, 6, None]."""
    from dictamen.errors import UsageError

    parts = [part.strip() for part in text.split(",")]
    if not all(part == "all" or (part.isdecimal() and int(part)) for part in parts):
        raise UsageError(f"`{option}` takes numbers of studies.", got=text, expected="all, or numbers such as 3,6,12")
    return [None if part == "all" else int(part) for part in parts]
