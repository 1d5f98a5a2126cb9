"""`dictamen phantom -o DIR`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("phantom", help="Write a generated cohort in plain NIfTI and csv.")(phantom)


def phantom(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write.")],
    studies: Annotated[int, typer.Option("--studies", help="Studies in all: training, validation and test.")] = 160,
    masks: Annotated[int, typer.Option("--masks", help="Training studies that have a lesion mask.")] = 6,
    validation: Annotated[int, typer.Option("--validation", help="Studies for validation.")] = 16,
    test: Annotated[int, typer.Option("--test", help="Studies for the test.")] = 40,
    spacing_mm: Annotated[float, typer.Option("--spacing-mm", help="Distance between voxels, mm.")] = 3.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same bytes.")] = 0,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes.")] = 1,
    tasks: Annotated[
        str, typer.Option("--tasks", help="Comma-separated organs whose tumours are labelled.")
    ] = "kidney,liver,pancreas",
    removed: Annotated[
        float, typer.Option("--removed", help="Chance that gallbladder, spleen or a kidney was taken out.")
    ] = 0.0,
    all_masks: Annotated[bool, typer.Option("--all-masks", help="Give every training study its mask.")] = False,
    image_numbers: Annotated[
        bool, typer.Option("--image-numbers", help="Reports name the slice of each lesion that they measure.")
    ] = False,
    nnunet: Annotated[
        bool, typer.Option("--nnunet", help="Write nnU-Net's raw layout with reports.csv; DIR is a Dataset001_Name.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write into a folder that is not empty.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Write CT-like volumes, organ and lesion masks, and reports, with the truth apart."""
    from dictamen.cli.progress import bar
    from dictamen.phantom.generate import write_phantom

    with bar("Phantom studies") as progress:
        summary = write_phantom(
            output,
            studies=studies,
            masks=masks,
            validation=validation,
            test=test,
            spacing_mm=spacing_mm,
            seed=seed,
            jobs=jobs,
            tasks=tuple(name.strip() for name in tasks.split(",")),
            removed=removed,
            all_masks=all_masks,
            image_numbers=image_numbers,
            nnunet=nnunet,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(summary.to_dict(), indent=2))
        return
    tumours = ", ".join(f"{task} {count}" for task, count in summary.with_tumour.items())
    typer.echo(f"{summary.studies} studies of {summary.patients} patients in {summary.output}.")
    typer.echo(
        f"Training {summary.train} ({summary.masks} with lesion masks), "
        f"validation {summary.validation}, test {summary.test}."
    )
    typer.echo(f"Studies with a tumour: {tumours}; without any lesion: {summary.without_lesion}.")
