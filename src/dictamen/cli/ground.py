"""`dictamen ground RUN INPUT -o OUT`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ground", help="Paint each finding of a report into its scan, and say how sure it is.")(ground)


def ground(
    run: Annotated[Path, typer.Argument(help="Run folder of `dictamen train --supervision prompts`.")],
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="NIfTI or DICOM: file, folder or zip; studies.csv; cohort.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    reports: Annotated[
        Path | None,
        typer.Option(
            help="csv, jsonl, parquet (study_id, report) or folder of .txt; one .txt for one study; "
            "default: those of the cohort or studies.csv."
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only this split of a cohort or table: train, val, test.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    no_pages: Annotated[bool, typer.Option("--no-pages", help="No HTML pages; they quote the reports.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Skip studies that are done.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write OUT/<study_id>.nii.gz (value = number of the finding), findings.jsonl and pages/<study_id>.html."""
    from dictamen.cli.progress import bar
    from dictamen.errors import InputError
    from dictamen.prompting.ground import ground as run_grounding

    with bar("grounding") as progress:
        result = run_grounding(
            run,
            source,
            output,
            reports=reports,
            resume=resume,
            overwrite=overwrite,
            device=device,
            split=split,
            pages=not no_pages,
            progress=lambda done, total: progress(done, total, ""),
        )
    if as_json:
        facts = {
            "output": str(result.output),
            "grounded": list(result.grounded),
            "skipped": list(result.skipped),
            "failed": [failure.to_json() for failure in result.failed],
            "findings": result.findings,
            "found": result.found,
            "seconds": round(result.seconds, 2),
        }
        typer.echo(json.dumps(facts))
    else:
        for failure in result.failed:
            typer.echo(f"Failed: {failure.study_id}: {failure.error.get('what', '')}", err=True)
        typer.echo(
            f"{len(result.grounded)} studies grounded in {result.seconds:.0f} s, {len(result.failed)} failed; "
            f"{result.found} of {result.findings} findings painted. "
            f"findings.jsonl{'' if no_pages else ' and pages'} in {result.output}"
        )
    if not result.grounded and not result.skipped and result.failed:
        first = result.failed[0]
        raise InputError(
            "No study could be grounded.",
            where=output / "failed.jsonl",
            got=f"{len(result.failed)} failed; the first: {first.study_id}: {first.error['what']}",
        )
