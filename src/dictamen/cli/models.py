"""`dictamen models ...`: models by name, packages, import from nnU-Net, export to ONNX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dictamen.models.registry import Entry

Registry = Annotated[
    Path | None,
    typer.Option("--registry", help="Folder of models; default $DICTAMEN_MODELS or ~/.local/share/dictamen/models."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A name of the registry, a run folder or a model folder.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Models by name; `predict` takes their names, too.", no_args_is_help=True)
    for name, command in (
        ("list", list_models),
        ("show", show),
        ("add", add_model),
        ("remove", remove_model),
        ("export", export),
        ("import-nnunet", import_from_nnunet),
    ):
        group.command(name)(command)
    app.add_typer(group, name="models")


def list_models(registry: Registry = None, as_json: AsJson = False) -> None:
    """List the models of the registry."""
    from dictamen.models.registry import entries, registry_folder

    folder = registry_folder(registry)
    found = entries(folder)
    if as_json:
        typer.echo(json.dumps([_facts(entry) for entry in found]))
        return
    for entry in found:
        typer.echo(f"{entry.name:24} {_line(entry)}")
    typer.echo(f"{len(found)} models in {folder}")


def show(model: Model, registry: Registry = None, as_json: AsJson = False) -> None:
    """Show a model's card: labels, what goes in, how it was made."""
    from dictamen.models.card import readme
    from dictamen.models.package import load_card
    from dictamen.models.registry import locate

    folder = locate(model, registry)
    card = load_card(folder)
    typer.echo(card.model_dump_json(indent=2) if as_json else f"{readme(card)}\nFolder: {folder}")


def add_model(
    source: Annotated[Path, typer.Argument(help="A run folder, a model folder, or a package (.zip).")],
    name: Annotated[str | None, typer.Option(help="What to call it; default: the folder's or file's name.")] = None,
    registry: Registry = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model of that name.")] = False,
) -> None:
    """Copy a model into the registry; it is loaded first, and not taken where it can't be."""
    from dictamen.errors import InputError
    from dictamen.models.registry import add, registry_folder

    if not source.exists():
        raise InputError("The model does not exist.", where=source)
    entry = add(source, name=name, registry=registry_folder(registry), overwrite=overwrite)
    typer.echo(f"{entry.name}: {_line(entry)}. Use it: dictamen predict {entry.name} INPUT -o OUT")


def remove_model(
    name: Annotated[str, typer.Argument(help="A name of the registry.")], registry: Registry = None
) -> None:
    """Delete a model of the registry."""
    from dictamen.models.registry import registry_folder, remove

    typer.echo(f"Removed {remove(name, registry=registry_folder(registry))}")


def export(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="Package (.zip) or ONNX file (.onnx) to write.")],
    registry: Registry = None,
) -> None:
    """Write a model as a package for `models add`, or as ONNX, checked against the network."""
    from dictamen.errors import UsageError
    from dictamen.models.registry import locate, pack

    folder = locate(model, registry)
    if output.suffix == ".zip":
        typer.echo(f"Wrote {pack(folder, output)}")
    elif output.suffix == ".onnx":
        from dictamen.models.onnx_export import export_onnx

        made = export_onnx(folder, output)
        typer.echo(
            f"Wrote {made.path}: image {list(made.shape)} -> logits; largest difference from torch "
            f"{made.difference:.1e}, where logits spread by {made.spread:.2g}"
        )
    else:
        raise UsageError("The kind of file is unknown.", got=output.name, expected="a name that ends in .zip or .onnx")


def import_from_nnunet(
    results: Annotated[
        Path, typer.Argument(help="Results folder of nnU-Net v2, with plans.json, dataset.json and fold_<n>/.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model folder to write.")],
    fold: Annotated[str, typer.Option(help="Which fold; several are not averaged.")] = "0",
    orientation: Annotated[
        str, typer.Option(help="How the images of the training dataset were stored: RAS, LPS, LAS ...")
    ] = "RAS",
    names: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="OLD=NEW", help="Call a label otherwise, e.g. tumor=kidney_tumour."),
    ] = None,
) -> None:
    """Make a model of an nnU-Net v2 result (3D, CT); nothing that the checkpoint holds is run."""
    from dictamen.errors import UsageError
    from dictamen.models.nnunet_import import import_nnunet

    pairs = [one.partition("=") for one in names or ()]
    if wrong := [old for old, sign, new in pairs if not (old and sign and new)]:
        raise UsageError("The name is not OLD=NEW.", got=wrong[0])
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise UsageError("There is something at the output already.", got=output, next_step="choose another --output")
    card = import_nnunet(results, output, fold=fold, orientation=orientation, names={old: new for old, _, new in pairs})
    typer.echo(f"Wrote {output}: {', '.join(card.names)}. Look at a prediction before you trust the orientation.")


def _line(entry: Entry) -> str:
    card = entry.card
    if card is None:
        return f"can't be used: {entry.problem}"
    spacing = " x ".join(f"{step:g}" for step in card.spacing_mm)
    return f"{', '.join(card.names)} ({card.modality}, {spacing} mm, {card.architecture.preset})"


def _facts(entry: Entry) -> dict[str, object]:
    card = entry.card
    told: dict[str, object] = {"name": entry.name, "folder": str(entry.folder), "problem": entry.problem}
    if card is not None:
        told |= {"labels": list(card.names), "spacing_mm": list(card.spacing_mm), "modality": card.modality}
        told |= {"preset": card.architecture.preset, "created": card.created}
    return told
