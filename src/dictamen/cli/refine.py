"""`dictamen refine COHORT -o RUN`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("refine", help="Repair masks from region scores: train a refiner, apply it to all studies.")(refine)


def refine(
    cohort: Annotated[Path, typer.Argument(help="Cohort folder, made by `dictamen cohort build`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Folder of masks to refine, of any tool (nnU-Net, TotalSegmentator, <study_id>.nii.gz, "
            "<study_id>/<structure>.nii.gz); default: the cohort's own."
        ),
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="Folder of another tool's masks, where disagreements were scored.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Structure to refine; default: the only one with answers.")] = None,
    feedback: Annotated[
        str | None, typer.Option(help="Feedback database (file or URL); default: feedback.sqlite of the cohort.")
    ] = None,
    refiner: Annotated[
        Path | None, typer.Option(help="Apply the refiner of this earlier folder instead of training one.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, e.g. steps=800.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep a trained refiner, skip refined studies.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier refinement.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train on the scored regions of COHORT and write RUN: model, refined masks, change maps, regions.jsonl."""
    from dictamen.cli.progress import bar
    from dictamen.refinement.config import resolve
    from dictamen.refinement.refine import refine as run_refinement
    from dictamen.review.store import open_store

    config = resolve(settings or (), seed=seed)
    answers = [] if refiner else open_store(cohort, feedback).answers()
    with bar("refine") as progress:
        result = run_refinement(
            cohort,
            output,
            answers,
            masks=masks,
            compare=compare,
            label=label,
            refiner=refiner,
            config=config,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps({**asdict(result), "run": str(result.run)}))
        return
    for study_id, error in result.failed.items():
        typer.echo(f"Not refined: {study_id}: {error['what']}", err=True)
    if result.answered:
        typer.echo(f"Trained on {result.answered} scored regions of {result.trained_studies} studies.")
    typer.echo(
        f"{result.label}: {result.refined} masks refined ({result.changed} changed), "
        f"{result.for_review} regions left for review, {result.seconds:.0f} s. Masks: {result.run / 'refined'}"
    )
