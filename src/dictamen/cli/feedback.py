"""`dictamen feedback export | import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Cohort = Annotated[Path, typer.Argument(help="Cohort folder.")]
Database = Annotated[
    str | None, typer.Option("--feedback", help="Feedback database (file or URL); default: that of the cohort.")
]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Take feedback out of a cohort, or into it.", no_args_is_help=True)
    group.command("export")(export)
    group.command("import")(import_)
    group.command("infer")(infer)
    app.add_typer(group, name="feedback")


def export(
    cohort: Cohort,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write (.jsonl).")],
    feedback: Database = None,
) -> None:
    """Write all feedback as JSON lines, taken-back answers included."""
    from dictamen.files import write_text
    from dictamen.review.store import export_jsonl, open_store

    lines = list(export_jsonl(open_store(cohort, feedback)))
    write_text(output, "".join(lines))
    typer.echo(f"{len(lines)} records written to {output}")


def import_(
    cohort: Cohort,
    source: Annotated[Path, typer.Argument(help="File written by `dictamen feedback export`.")],
    feedback: Database = None,
) -> None:
    """Add the records of a file; those that are known already are left out."""
    from dictamen.cohort.manifest import COHORT_JSON
    from dictamen.cohort.store import Cohort as OpenCohort
    from dictamen.errors import InputError
    from dictamen.review.store import open_store, read_jsonl

    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("The feedback can't be read.", where=source, got=type(error).__name__) from error
    records = read_jsonl(lines, source)
    new = open_store(cohort, feedback).add(records)
    typer.echo(f"{new} records added, {len(records) - new} were known already")
    if (cohort / COHORT_JSON).is_file():
        unknown = sorted({record.study_id for record in records} - set(OpenCohort.open(cohort).ids()))
        if unknown:
            some = ", ".join(unknown[:3]) + (" ..." if len(unknown) > 3 else "")
            typer.echo(f"{len(unknown)} of their studies are not in this cohort: {some}", err=True)


def infer(
    cohort: Cohort,
    label: Annotated[str, typer.Option(help="Structure whose masks are judged.")],
    masks: Annotated[Path | None, typer.Option(help="Folder of masks of any tool; default: the cohort's own.")] = None,
    remarks: Annotated[
        Path | None, typer.Option(help='CSV with columns study_id, remark: "misses the upper pole", "leaks into ..."')
    ] = None,
    compare: Annotated[Path | None, typer.Option(help="Folder of another tool's masks.")] = None,
    scheme: Annotated[str, typer.Option(help="Regions for --compare.")] = "surface_patch",
    regions: Annotated[int, typer.Option(min=1, max=127, help="Number of them.")] = 6,
    band_mm: Annotated[
        float, typer.Option(min=0.1, help="As of `dictamen review`, where people score the same regions.")
    ] = 6.0,
    feedback: Database = None,
) -> None:
    """Add answers that nobody has to give: reports (removed organs, stated lengths), remarks, another tool's masks."""
    from dictamen.anatomy.region_scheme import RegionScheme
    from dictamen.cohort.store import Cohort as OpenCohort
    from dictamen.review.inferred import from_comparison, from_remarks, from_reports
    from dictamen.review.masks import MaskSource, only_label
    from dictamen.review.store import open_store

    opened = OpenCohort.open(cohort)
    source = MaskSource(opened, masks)
    label = only_label(source, label, set())
    answers = {"reports": from_reports(opened, source, label)}
    if remarks is not None:
        answers["remarks"] = from_remarks(source, label, _remarks(remarks))
    if compare is not None:
        cut = RegionScheme(scheme, regions, band_mm=band_mm)  # type: ignore[arg-type]  # checked there
        answers["comparison"] = from_comparison(source, MaskSource(opened, compare), label, cut)
    new = open_store(cohort, feedback).add([one for found in answers.values() for one in found])
    told = ", ".join(f"{len(found)} from {origin}" for origin, found in answers.items())
    typer.echo(f"{new} records added ({told}).")


def _remarks(path: Path) -> dict[str, list[str]]:
    import csv

    from dictamen.errors import InputError

    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError("The remarks can't be read.", where=path, got=type(error).__name__) from error
    found: dict[str, list[str]] = {}
    for row in rows:
        if not row.get("study_id") or row.get("remark") is None:
            raise InputError("A row of the remarks is not complete.", where=path, expected="columns study_id, remark")
        found.setdefault(row["study_id"], []).append(row["remark"])
    return found
