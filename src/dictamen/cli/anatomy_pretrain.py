"""`dictamen anatomy pretrain -o RUN`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

SHOWN = ("taught_names", "wrong_side", "held_out_names", "relations", "looks", "looks_of_sides")


def pretrain(
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder to write.")],
    further: Annotated[
        list[Path] | None,
        typer.Option(
            "--concepts", metavar="FILE", help="Further concepts, as `anatomy import` writes them; repeatable."
        ),
    ] = None,
    cohort: Annotated[
        Path | None, typer.Option(help="A cohort with organ masks: learn what structures look like, too.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration file (toml); RUN/config.toml is one.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, e.g. steps=800, hold_out=0.15."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older run in the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Teach a text encoder the names, definitions and relations of all concepts.

    Write RUN: config.toml, metrics.jsonl, checkpoints/, model/ (names.safetensors, names.json).
    """
    from dictamen.anatomy.knowledge import load
    from dictamen.cli.progress import bar
    from dictamen.pretraining.knowledge import pretrain_knowledge
    from dictamen.pretraining.knowledge_config import resolve_knowledge

    if resume and config is None and (output / "config.toml").is_file():
        config = output / "config.toml"
    resolved = resolve_knowledge(config, settings or (), seed=seed)
    knowledge = load(*further or ())
    with bar("learning names") as progress:
        result = pretrain_knowledge(
            output,
            resolved,
            knowledge=knowledge,
            cohort=cohort,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        facts = {"run": str(result.run), "steps": result.steps, "concepts": len(knowledge)}
        typer.echo(json.dumps({**facts, "metrics": result.metrics, "seconds": result.seconds}))
        return
    typer.echo(f"{result.steps} steps on {len(knowledge)} concepts in {result.seconds:.0f} s.")
    for name in SHOWN:
        if name in result.metrics:
            typer.echo(f"  {name} {result.metrics[name]:.3f}")
    typer.echo(f"Encoder: {result.run / 'model'}. Try it: dictamen anatomy search WORDS --encoder {result.run}")
