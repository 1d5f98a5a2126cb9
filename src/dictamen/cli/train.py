"""`dictamen train COHORT -o RUN`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dictamen.errors import UsageError

if TYPE_CHECKING:
    from dictamen.cohort.store import Cohort


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train", help="Train a segmentation model from masks and reports.")(train)


def train(
    cohorts: Annotated[
        list[Path],
        typer.Argument(
            metavar="COHORT...",
            help="Cohort folder, made by `dictamen cohort build`; several with --supervision prompts.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder to write.")],
    preset: Annotated[
        str | None,
        typer.Option(
            help="Network: unet, dynunet, segresnet, swinunetr ...; with prompts also test, tiny, small, nano."
        ),
    ] = None,
    supervision: Annotated[
        str | None,
        typer.Option(help="Comma-separated: masks, reports; with prompts, a network that is asked in words."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration file (toml); RUN/config.toml is one.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, e.g. steps=5000, losses.ball=0.5."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    pretrained: Annotated[
        Path | None, typer.Option(help="Run folder of `dictamen pretrain`, whose encoder is the start.")
    ] = None,
    feedback: Annotated[
        str | None,
        typer.Option(help="Feedback with verdicts on findings (file or URL); default: that of the cohort, if any."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older run in the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train on COHORT and write RUN: config.toml, metrics.jsonl, timing.jsonl, run.json, checkpoints/, model/."""
    from dictamen.cli.progress import bar
    from dictamen.cohort.store import Cohort
    from dictamen.training.config import merged, validated
    from dictamen.training.train import train as run_training

    if resume and config is None and (output / "config.toml").is_file():
        config = output / "config.toml"
    values: dict[str, object] = {
        "preset": preset,
        "seed": seed,
        "pretrained": str(pretrained) if pretrained else None,
        "supervision": _parts(supervision),
    }
    wanted = merged(config, settings or (), values)
    prompts = "prompts" in wanted.get("supervision", ())
    if len(cohorts) > 1 and not prompts:
        raise UsageError(
            "Several cohorts need a network that is asked in words.",
            got=f"{len(cohorts)} cohorts",
            next_step="add --supervision prompts, or give one cohort",
        )
    if prompts:
        from dictamen.prompting import config as prompt_config
        from dictamen.prompting.train import train_prompts

        asked = prompt_config.validated(wanted, where=config)
    else:
        fixed = validated(wanted, where=config)
    opened = [_with_verdicts(Cohort.open(cohort), feedback) for cohort in cohorts]
    again = {"resume": resume, "overwrite": overwrite}
    with bar("training") as progress:
        if prompts:
            result = train_prompts(opened, output, asked, progress=progress, **again)
        else:
            result = run_training(opened[0], output, fixed, progress=progress, **again)
    if not result.first:
        return
    if as_json:
        facts = {"run": str(result.run), "steps": result.steps, "score": result.score, "thresholds": result.thresholds}
        typer.echo(json.dumps({**facts, "seconds": result.seconds, "warnings": list(result.warnings)}))
        return
    for warning in result.warnings:
        typer.echo(f"Warning: {warning}", err=True)
    score = "no validation" if result.score is None else f"validation score {result.score:.3f}"
    typer.echo(f"{result.steps} steps in {result.seconds:.0f} s, {score}. Model: {result.run / 'model'}")


def _parts(supervision: str | None) -> list[str] | None:
    """The sources that are named; `prompts` alone means prompts from all that the cohorts have."""
    if supervision is None:
        return None
    parts = supervision.replace(" ", "").split(",")
    return ["prompts", "masks", "reports"] if parts == ["prompts"] else parts


def _with_verdicts(cohort: Cohort, feedback: str | None) -> Cohort:
    """Findings as readers left them on the review page; as read where nobody has looked."""
    from dictamen.review.store import FEEDBACK_SQLITE

    if feedback is None and not (cohort.path / FEEDBACK_SQLITE).is_file():
        return cohort
    from dictamen.review.corrections import with_verdicts
    from dictamen.review.store import open_store

    store = open_store(cohort.path, feedback)
    cohort, counts = with_verdicts(cohort, store.verdicts())
    store.close()
    if counts:
        told = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
        typer.echo(f"Findings by verdict of readers: {told}.", err=True)
    return cohort
