"""`dictamen ablate COHORT -o OUT`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ablate", help="Compare the parts of pretraining, with few and many labels, over seeds.")(ablate)


def ablate(
    cohort: Annotated[Path, typer.Argument(help="Cohort folder with reports and organ masks.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the comparison.")],
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of seeds; 5 without it.")] = None,
    arms: Annotated[
        str | None, typer.Option(help="Comma-separated, e.g. scratch,contrast,tags,both,both-query,both+maps.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration file (toml); OUT/config.toml is one.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, e.g. steps=500, pretrain.batch=32."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Skip what is done.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Accept a folder that holds files.")] = False,
) -> None:
    """Pretrain, fine-tune and measure; write table.md and summary.json."""
    from dictamen.cli.progress import bar
    from dictamen.experiments.ablation import ablate as run_ablation
    from dictamen.experiments.ablation import resolve_ablation

    if resume and config is None and (output / "config.toml").is_file():
        config = output / "config.toml"
    chosen = tuple(name.strip() for name in arms.split(",")) if arms else None
    resolved = resolve_ablation(config, settings or (), seeds=seeds, arms=chosen)
    with bar("ablation") as progress:
        result = run_ablation(cohort, output, resolved, resume=resume, overwrite=overwrite, progress=progress)
    typer.echo(result.table)
    typer.echo(f"Written: {result.folder / 'table.md'}")
