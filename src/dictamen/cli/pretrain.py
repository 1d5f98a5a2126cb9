"""`dictamen pretrain COHORT -o RUN`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("pretrain", help="Pretrain an encoder on pairs of scan and report, without masks.")(pretrain)


def pretrain(
    cohort: Annotated[Path, typer.Argument(help="Cohort folder, made by `dictamen cohort build`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder to write.")],
    preset: Annotated[str | None, typer.Option(help="Network: unet, dynunet, segresnet, swinunetr ...")] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration file (toml); RUN/config.toml is one.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, e.g. batch=32, head=query, shrink=2."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older run in the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Pretrain on COHORT and write RUN: config.toml, metrics.jsonl, run.json, checkpoints/, model/."""
    from dictamen.cli.progress import bar
    from dictamen.pretraining.config import resolve
    from dictamen.pretraining.pretrain import pretrain as run_pretraining

    if resume and config is None and (output / "config.toml").is_file():
        config = output / "config.toml"
    resolved = resolve(config, settings or (), preset=preset, seed=seed)
    with bar("pretraining") as progress:
        result = run_pretraining(cohort, output, resolved, resume=resume, overwrite=overwrite, progress=progress)
    if not result.first:
        return
    if as_json:
        facts = {"run": str(result.run), "steps": result.steps, "tags": result.tags, "metrics": result.metrics}
        typer.echo(json.dumps({**facts, "seconds": result.seconds, "warnings": list(result.warnings)}))
        return
    for warning in result.warnings:
        typer.echo(f"Warning: {warning}", err=True)
    typer.echo(f"{result.steps} steps in {result.seconds:.0f} s, {len(result.tags)} tags.")
    for name, value in result.metrics.items():
        typer.echo(f"  {name} {value:.3g}")
    typer.echo(f"Encoder: {result.run / 'model'}. Use it: dictamen train {cohort} -o RUN --pretrained {result.run}")
