"""`dictamen cohort build | info | check`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dictamen.cohort.describe import Description
    from dictamen.cohort.manifest import Problem

MOST_PROBLEMS_SHOWN = 50
"""A terminal holds that many; `cohort check --json` and cohort.json list all."""
BAD_INPUT = 3
"""Exit code where a check found errors, as `InputError` has it."""

Source = Annotated[
    Path, typer.Argument(help="studies.csv, or a folder: nnU-Net raw, Decathlon, case/ct.nii.gz, DICOM.")
]
Layout = Annotated[
    str | None, typer.Option(help="studies_csv, nnunet, decathlon, case_folders or dicom; else found out.")
]
Series = Annotated[
    str,
    typer.Option(help="Which DICOM series of a study: only (refuse several), largest, thinnest, all, a number, a UID."),
]
Reports = Annotated[
    Path | None, typer.Option(help="Reports: csv, jsonl or parquet with study_id and report, or a folder of .txt.")
]
Findings = Annotated[Path | None, typer.Option(help="Findings of `dictamen read` (jsonl, parquet), used as they are.")]
AllowOutside = Annotated[bool, typer.Option("--allow-outside", help="Accept paths that leave the source's folder.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", help="Processes.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CohortFolder = Annotated[Path, typer.Argument(help="Cohort folder.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.command("build", help="Import studies into a cohort.")(build)
    group.command("info", help="What is in a cohort, in numbers.")(info)
    group.command("check", help="List every problem of a source or of a cohort.")(check)
    app.add_typer(group, name="cohort", help="Build, describe and check a cohort of studies.")


def build(
    source: Source,
    output: Annotated[Path, typer.Option("--output", "-o", help="Cohort folder to write.")],
    spacing_mm: Annotated[
        str | None, typer.Option(help="Training spacing: 1.5 or 0.8,0.8,2.5; else the median.")
    ] = None,
    reports: Reports = None,
    findings: Findings = None,
    split_seed: Annotated[int, typer.Option(help="Seed for patients without a given split.")] = 0,
    layout: Layout = None,
    allow_outside: AllowOutside = False,
    series: Series = "only",
    jobs: Jobs = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on; studies that are done are kept.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older cohort in the folder.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import SOURCE; a study that can't be used is listed and never stops the others."""
    from dictamen.cli.progress import bar
    from dictamen.cohort.build import build_cohort
    from dictamen.errors import InputError

    with bar("building") as update:
        result = build_cohort(
            source,
            output,
            spacing_mm=_spacing(spacing_mm),
            findings=findings,
            reports=reports,
            split_seed=split_seed,
            jobs=jobs,
            resume=resume,
            overwrite=overwrite,
            layout=layout,
            allow_outside=allow_outside,
            series=series,
            progress=lambda done, total: update(done, total, ""),
        )
    if as_json:
        facts = {
            "cohort": str(result.path),
            "built": len(result.built),
            "reused": result.reused,
            "failed": result.failed,
        }
        problems = [problem.to_dict() for problem in result.problems]
        typer.echo(json.dumps({**facts, "spacing_mm": result.spacing_mm, "problems": problems}, indent=2))
    else:
        _show(result.problems)
        typer.echo(
            f"{len(result.built)} studies built ({result.reused} reused), {len(result.failed)} failed: {result.path}"
        )
    if not result.built:
        raise InputError("No study could be built.", where=source, next_step="correct the problems listed above")


def info(cohort: CohortFolder, as_json: AsJson = False) -> None:
    """Count studies, masks, reports, labels and findings of COHORT."""
    from dictamen.cohort.describe import describe

    description = describe(cohort)
    typer.echo(json.dumps(description.to_dict(), indent=2) if as_json else "\n".join(_lines(description)))


def check(
    path: Annotated[Path, typer.Argument(metavar="SOURCE_OR_COHORT", help="What `build` takes, or what it made.")],
    reports: Reports = None,
    findings: Findings = None,
    layout: Layout = None,
    allow_outside: AllowOutside = False,
    series: Series = "only",
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """List every problem; exit code 3 where one of them is an error, 0 where there are warnings only."""
    from dictamen.cli.progress import bar
    from dictamen.cohort.check import check_cohort, check_source, is_cohort

    with bar("checking") as update:

        def progress(done: int, total: int) -> None:
            update(done, total, "")

        if is_cohort(path):
            problems = check_cohort(path, jobs=jobs, progress=progress)
        else:
            problems = check_source(
                path,
                findings=findings,
                reports=reports,
                layout=layout,
                allow_outside=allow_outside,
                series=series,
                jobs=jobs,
                progress=progress,
            )
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        typer.echo(json.dumps([problem.to_dict() for problem in problems], indent=2))
    else:
        _show(problems, most=len(problems))
        typer.echo(f"{errors} errors, {len(problems) - errors} warnings.")
    if errors:
        raise typer.Exit(BAD_INPUT)


def _spacing(text: str | None) -> list[float] | float | None:
    from dictamen.errors import UsageError

    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            "`--spacing-mm` must be one or three numbers.", got=text, expected="1.5 or 0.8,0.8,2.5"
        ) from None
    return values[0] if len(values) == 1 else values


def _show(problems: Sequence[Problem], *, most: int = MOST_PROBLEMS_SHOWN) -> None:
    """Errors first."""
    ordered = sorted(problems, key=lambda problem: problem.severity)
    for problem in ordered[:most]:
        place = ", ".join(filter(None, (problem.study_id, problem.file)))
        typer.echo(f"{problem.severity} [{problem.code}] {place}: {problem.message}", err=True)
    if len(ordered) > most:
        typer.echo(f"... and {len(ordered) - most} more: `dictamen cohort check` lists all.", err=True)


def _lines(d: Description) -> list[str]:
    rows: list[tuple[str, ...]] = [("", "studies", "patients", "lesion masks", "organ masks", "reports")]
    for name, counts in [*d.splits.items(), ("all", d.total)]:
        rows.append((name, *(str(value) for value in vars(counts).values())))
    lines = [f"Cohort {d.path}, {d.disk_bytes / 1e6:.0f} MB", f"Training spacing {_mm(d.spacing_mm)}"]
    if d.native_spacing_mm:
        lines.append(f"Native spacing from {_mm(d.native_spacing_mm[0])} to {_mm(d.native_spacing_mm[1])}")
    lines += ["", *_table(rows)]
    lesions = [("lesion label", "with voxels", "annotated")]
    lesions += [(name, str(count), str(d.lesions_annotated[name])) for name, count in d.lesions.items()]
    organs = [("organ label", "with voxels"), *((name, str(count)) for name, count in d.organs.items())]
    found: list[tuple[str, ...]] = [("findings in", "findings", "with size", "reports", "said clear")]
    found += [(name, *(str(value) for value in vars(counts).values())) for name, counts in d.findings.items()]
    for table in (lesions, organs, found):
        lines += ["", *_table(table)] if len(table) > 1 else []
    if d.failed or d.problems:
        lines += ["", f"{len(d.failed)} studies failed, {d.problems} problems in all: see `dictamen cohort check`."]
    return lines


def _mm(spacing: Sequence[float]) -> str:
    return " x ".join(f"{value:.3g}" for value in spacing) + " mm"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]
