"""`dictamen review COHORT`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("review", help="Score masks region by region on a web page of this machine.")(review)


def review(
    cohort: Annotated[Path, typer.Argument(help="Cohort folder, made by `dictamen cohort build`.")],
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Folder of masks to look at, of any tool (nnU-Net, TotalSegmentator, <study_id>.nii.gz, "
            "<study_id>/<structure>.nii.gz); default: the cohort's own."
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            help="Folder of another tool's masks: with `--scheme disagreement`, regions are where they differ."
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Structure to score; may be left out where there is one.")] = None,
    scheme: Annotated[
        str, typer.Option(help="How to cut it: slab, slab_sector, parts, surface_patch, supervoxel, disagreement.")
    ] = "surface_patch",
    regions: Annotated[int, typer.Option(min=1, max=127, help="Number of slabs, patches or supervoxels.")] = 6,
    band_mm: Annotated[
        float,
        typer.Option(min=0.1, help="Regions reach so far out of the mask; more where masks miss whole ends."),
    ] = 6.0,
    feedback: Annotated[
        str | None, typer.Option(help="Feedback database (file or URL); default: feedback.sqlite of the cohort.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    second_reads: Annotated[
        float, typer.Option(min=0, max=1, help="Share of studies that every rater reads, for agreement.")
    ] = 0.15,
) -> None:
    """Print the address of the page and serve it until Ctrl-C; nothing but this machine can reach it."""
    from dictamen.anatomy.region_scheme import RegionScheme, part_names
    from dictamen.cohort.store import Cohort
    from dictamen.errors import UsageError
    from dictamen.review.masks import MaskSource, only_label
    from dictamen.review.session import Session
    from dictamen.review.store import open_store

    try:
        from dictamen.review.guard import new_token
        from dictamen.review.server import free_port, serve
    except ImportError as error:
        raise UsageError(
            "The review page needs a web server.", got="not installed", next_step="pip install 'dictamen[review]'"
        ) from error

    opened = Cohort.open(cohort)
    source = MaskSource(opened, masks, compare)
    chosen = only_label(source, label, set())
    cut = RegionScheme(scheme, regions, band_mm=band_mm)  # type: ignore[arg-type]  # checked there
    if scheme == "disagreement" and compare is None:
        raise UsageError("`disagreement` needs a second mask.", next_step="name the other tool's masks with --compare")
    if scheme == "parts":
        part_names(chosen)
    session = Session(opened, source, chosen, cut, open_store(cohort, feedback), second_reads)
    port, token = port or free_port(), new_token()
    typer.echo(f"{len(session.studies)} studies, {chosen}, {scheme}. Feedback: {session.store.where}")
    typer.echo(f"Open http://127.0.0.1:{port}/?token={token}")
    typer.echo("Ctrl-C ends it; every answer is saved as it is given.")
    serve(session, port=port, token=token)
