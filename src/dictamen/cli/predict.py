"""`dictamen predict RUN INPUT -o OUT`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dictamen.inference.predict import PredictResult

FAILURES_SHOWN = 10
"""Failed studies named on the terminal; failed.jsonl has them all."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("predict", help="Segment volumes with a trained model.")(predict)


def predict(
    run: Annotated[
        str, typer.Argument(help="Run folder of `dictamen train`, its model folder, or a name of `dictamen models`.")
    ],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT", help="NIfTI, NRRD, MetaImage or DICOM: file, folder or zip; studies.csv; cohort."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", help='What to look for, in words: "left kidney"; repeat it for several.'),
    ] = None,
    prompts: Annotated[Path | None, typer.Option(help="A file of prompts, one a line.")] = None,
    overlap: Annotated[
        str,
        typer.Option(
            help="Where prompts overlap: hierarchy (the finer one), argmax, independent (a mask for each beside)."
        ),
    ] = "hierarchy",
    split: Annotated[str | None, typer.Option(help="Only this split of a cohort or table: train, val, test.")] = None,
    series: Annotated[
        str,
        typer.Option(
            help="Which DICOM series of a study: only (refuse several), largest, thinnest, all, a number, a UID."
        ),
    ] = "only",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    precision: Annotated[
        str,
        typer.Option(help="auto (bfloat16 where the device computes in it, else float32), bf16-mixed or 32-true."),
    ] = "auto",
    jobs: Annotated[int, typer.Option(help="Processes on a CPU; one process already uses all cores.")] = 1,
    preview: Annotated[bool, typer.Option("--preview", help="Also write a picture a study.")] = False,
    slicer: Annotated[
        bool, typer.Option("--slicer", help="Also write a .seg.nrrd for 3D Slicer, with names and colours.")
    ] = False,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="Also write volume and Hounsfield units of each label.")
    ] = False,
    save_probabilities: Annotated[
        bool, typer.Option("--save-probabilities", help="Also write a probability map a label.")
    ] = False,
    dicom: Annotated[
        bool, typer.Option("--dicom", help="Also write a DICOM SEG and SR, of studies that came as DICOM.")
    ] = False,
    labelmap: Annotated[
        bool, typer.Option("--labelmap", help="The SEG as a label map: smaller, but few viewers read it yet.")
    ] = False,
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Nothing of the patient in SEG and SR (PS3.15 basic profile).")
    ] = False,
    near_organs: Annotated[
        Path | None,
        typer.Option(
            metavar="ORGANS",
            help="Look only near the organs of the labels: folder of organ masks (STUDY.nii.gz or STUDY/), or cohort.",
        ),
    ] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Average over mirror images: 4x slower.")] = False,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Run the network code that a `custom` model names.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Skip studies that are done.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier prediction.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write OUT/<study_id>.nii.gz on each input's own grid, labels.json, lesions.csv, studies.jsonl."""
    from dictamen.cli.progress import bar
    from dictamen.errors import InputError, UsageError
    from dictamen.inference.asked import POLICIES, read_prompts
    from dictamen.inference.predict import Products
    from dictamen.inference.predict import predict as run_prediction
    from dictamen.inference.study import Settings
    from dictamen.models.precision import PRECISIONS

    if (labelmap or deidentify) and not dicom:
        raise UsageError("--labelmap and --deidentify are about DICOM out.", next_step="add --dicom")
    policy = next((one for one in POLICIES if one == overlap), None)
    if policy is None:
        raise UsageError("The policy is unknown.", got=f"--overlap {overlap}", expected=f"one of {', '.join(POLICIES)}")
    number_format = next((one for one in PRECISIONS if one == precision), None)
    if number_format is None:
        raise UsageError(
            "The precision is unknown.", got=f"--precision {precision}", expected=f"one of {', '.join(PRECISIONS)}"
        )
    asked = [*(prompt or ()), *(read_prompts(prompts) if prompts else ())]
    with bar("predicting") as progress:
        result = run_prediction(
            run,
            source,
            output,
            resume=resume,
            overwrite=overwrite,
            device=device,
            products=Products(
                preview=preview,
                slicer=slicer,
                statistics=statistics,
                probabilities=save_probabilities,
                dicom=dicom,
                form="labelmap" if labelmap else "binary",
                deidentify=deidentify,
            ),
            split=split,
            series=series,
            near_organs=near_organs,
            jobs=jobs,
            settings=Settings(mirror=mirror, precision=number_format),
            trust_code=trust_code,
            prompts=asked,
            policy=policy,
            progress=lambda done, total: progress(done, total, ""),
        )
    if as_json:
        typer.echo(json.dumps(_facts(result)))
    else:
        for remark in result.remarks:
            typer.echo(f"Note: {remark}.", err=True)
        _tell(result)
    if not result.predicted and not result.skipped:
        first = result.failed[0]
        raise InputError(
            "No study could be predicted.",
            where=output / "failed.jsonl",
            got=f"{len(result.failed)} failed; the first: {first.study_id}: {first.error['what']}",
        )


def _facts(result: PredictResult) -> dict[str, object]:
    return {
        "output": str(result.output),
        "labels": {str(value): name for value, name in result.labels.items()},
        "predicted": list(result.predicted),
        "skipped": list(result.skipped),
        "failed": [failure.to_json() for failure in result.failed],
        "lesions": result.lesions,
        "seconds": round(result.seconds, 2),
        "remarks": list(result.remarks),
    }


def _tell(result: PredictResult) -> None:
    for failure in result.failed[:FAILURES_SHOWN]:
        details = " ".join(
            f"{name}: {text}." for name, text in failure.error.items() if name in ("where", "got", "expected", "next")
        )
        typer.echo(f"Failed: {failure.study_id}: {failure.error.get('what', '')} {details}", err=True)
    if len(result.failed) > FAILURES_SHOWN:
        typer.echo(f"... and {len(result.failed) - FAILURES_SHOWN} more, see failed.jsonl", err=True)
    skipped = f", {len(result.skipped)} were there already" if result.skipped else ""
    typer.echo(
        f"{len(result.predicted)} studies predicted in {result.seconds:.0f} s{skipped}, {len(result.failed)} failed; "
        f"{result.lesions} lesions. Label maps, lesions.csv and studies.jsonl are in {result.output}"
    )
