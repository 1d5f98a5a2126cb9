"""`dictamen evaluate OUT COHORT`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dictamen.evaluation.result import Evaluation

SHOWN = (
    "dice", "nsd", "hd95_mm", "lesion_sensitivity", "lesion_precision", "lesion_f1", "false_positives_per_study",
    "report_count_error", "report_diameter_error_mm", "report_part_agreement",
)  # fmt: skip
STUDY_SHOWN = ("sensitivity", "specificity", "f1", "auc")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate", help="Measure predictions against masks or against reports alone.")(evaluate)


def evaluate(
    predictions: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of <study_id>.nii.gz, as `dictamen predict` writes it.")
    ],
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="Cohort folder with the truth.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write; by default OUT/evaluation.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, val, test, or all.")] = "test",
    against: Annotated[
        str, typer.Option(help="masks, reports, or auto: masks where a study has them, else its report.")
    ] = "auto",
    labels: Annotated[
        Path | None,
        typer.Option(
            help='Names of the predicted labels, {"labels": {"1": "kidney_tumour"}}; by default OUT/labels.json.'
        ),
    ] = None,
    missing: Annotated[
        str, typer.Option(help='Studies without prediction: exclude, or empty (they count as "nothing found").')
    ] = "exclude",
    tolerance_mm: Annotated[float, typer.Option(help="Tolerance of the surface Dice, mm.")] = 2.0,
    match: Annotated[str, typer.Option(help="A lesion is found by: iou, or any common voxel.")] = "iou",
    iou: Annotated[float, typer.Option(help="Overlap from which a lesion counts as found.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes.")] = 1,
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Leave slices out of the page.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older evaluation.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
) -> None:
    """Measure OUT against COHORT and write metrics.json, metrics.csv, lesions.csv and report.html."""
    from dictamen.cli.progress import bar
    from dictamen.evaluation.evaluate import evaluate as run
    from dictamen.evaluation.measure import Settings

    folder = output or predictions / "evaluation"
    with bar("evaluating") as update:
        evaluation = run(
            predictions,
            cohort,
            folder,
            split=None if split == "all" else split,
            against=against,  # type: ignore[arg-type]  # checked there
            labels_file=labels,
            missing=missing,  # type: ignore[arg-type]  # checked there
            settings=Settings(tolerance_mm=tolerance_mm, criterion=match, iou_at_least=iou),  # type: ignore[arg-type]  # checked there
            seed=seed,
            jobs=jobs,
            pictures=not no_pictures,
            overwrite=overwrite,
            progress=lambda done, total: update(done, total, ""),
        )
    if as_json:
        facts = {name: value for name, value in evaluation.to_json().items() if name != "studies"}
        typer.echo(json.dumps({**facts, "output": str(folder)}))
        return
    _print(evaluation)
    typer.echo(f"Page: {folder / 'report.html'}")


def _print(evaluation: Evaluation) -> None:
    from rich.console import Console
    from rich.table import Table

    from dictamen.evaluation.html import format_value
    from dictamen.evaluation.page import METRIC_NAMES

    console = Console()
    for name, summary in evaluation.labels.items():
        counts = ", ".join(f"{number} {state}" for state, number in summary.studies.items())
        table = Table(title=f"{name} ({counts})", title_justify="left")
        table.add_column("metric", justify="left")
        table.add_column("value [95 % interval]", justify="right")
        table.add_column("n", justify="right")
        rows: list[tuple[str, Any]] = [(METRIC_NAMES[k], summary.metrics[k]) for k in SHOWN if k in summary.metrics]
        study = summary.study_level.get("study", {})
        rows += [(f"Study {METRIC_NAMES[k]}", study[k]) for k in STUDY_SHOWN if k in study]
        for words, value in rows:
            table.add_row(words, format_value(value), str(value.n))
        console.print(table)
    for study_id, reason in evaluation.failed.items():
        typer.echo(f"Failed: {study_id}: {reason}", err=True)
    if evaluation.missing:
        typer.echo(f"Without prediction: {len(evaluation.missing)} studies ({evaluation.missing_as})", err=True)
    for warning in evaluation.warnings:
        typer.echo(f"Warning: {warning}", err=True)
