"""`dictamen nnunet path | check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Use reports in nnU-Net's own training (docs/nnunet.md).", no_args_is_help=True)
    group.command("path")(path)
    group.command("check")(check)
    app.add_typer(group, name="nnunet")


def path() -> None:
    """Print the folder of the trainer, the value of `nnUNet_extTrainer`."""
    from dictamen.nnunet import trainers

    typer.echo(str(Path(trainers.__path__[0])))


def check(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A data set in nnU-Net's raw layout.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what a training with reports would use of each case, before anything is preprocessed."""
    from dictamen.nnunet.check import check_dataset

    found = check_dataset(dataset)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
        return
    typer.echo(f"Lesions that reports can speak of: {', '.join(found.lesions)}.")
    if found.others:
        typer.echo(f"Labels that they can't speak of: {', '.join(found.others)}.")
    typer.echo(f"{len(found.masks)} cases show a lesion in their label map: it is taken at its word.")
    typer.echo(
        f"{len(found.reports)} cases show none and have a report: it speaks of their lesions "
        f"({found.with_lesion} say that there is one)."
    )
    typer.echo(f"{len(found.neither)} cases show none and have no report: they are taken to be free of lesions.")
    for reason, count in found.deferred.items():
        typer.echo(f"  not used, {count} times: {reason}")
