"""The demo: a generated cohort, its reports read, two models trained, both evaluated, one page."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from dictamen.cohort.build import build_cohort
from dictamen.cohort.store import Cohort
from dictamen.experiments.arms import FEW, REPORTS, standard_arms
from dictamen.experiments.demo_page import demo_page
from dictamen.experiments.experiment import run_experiment
from dictamen.files import output_folder, write_text
from dictamen.phantom.generate import write_phantom
from dictamen.training.config import validated

Progress = Callable[[int, int, str], None]

STUDIES, MASKS, VALIDATION, TEST = 176, 6, 30, 40
"""Enough reports for a gain that is larger than its interval, and few enough to be generated in a minute."""
SCAN_SPACING_MM, TRAINING_SPACING_MM = 4.0, 5.0
"""Coarse, so that a patch holds both kidneys and both models learn within minutes on two cores. Lesions below 1 cm are
hardly visible at it."""
SETTINGS = {
    "steps": 1500,  # about 2 minutes a model on two cores
    "patch_size": (40, 40, 40),
    "targets": ("kidney_tumour",),  # one label: the smallest task that shows the idea
    "validate_every": 250,
    "validation_studies": VALIDATION,
}


def run_demo(
    output: str | Path,
    *,
    seed: int = 0,
    jobs: int = 2,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Run everything and return the path of the page.

    Args:
        output: folder for data/, cohort/, experiment/ and demo.html.
        seed: of the cohort and of the training.
        jobs: processes for generating and importing.
        resume: keep what an earlier, interrupted demo has finished.
        overwrite: accept a folder that holds files; its demo is replaced.
        progress: called with (done, total, what is going on).
    """
    started = time.monotonic()
    folder = output_folder(Path(output), resume=resume, overwrite=overwrite)
    data, cohort = folder / "data", folder / "cohort"
    if not (resume and (data / "studies.csv").exists()):
        write_phantom(
            data,
            studies=STUDIES,
            masks=MASKS,
            validation=VALIDATION,
            test=TEST,
            tasks=("kidney",),
            spacing_mm=SCAN_SPACING_MM,
            seed=seed,
            jobs=jobs,
            overwrite=overwrite,
            progress=_named(progress, "generating scans and reports"),
        )
    build_cohort(
        data / "studies.csv",
        cohort,
        spacing_mm=TRAINING_SPACING_MM,
        jobs=jobs,
        resume=resume,
        overwrite=overwrite,
        progress=_named(progress, "reading reports, building the cohort"),
    )
    arms = standard_arms(MASKS, (FEW, REPORTS))
    base = validated({**SETTINGS, "seed": seed})
    result = run_experiment(
        cohort,
        folder / "experiment",
        arms,
        seeds=(seed,),
        base=base,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )
    page = folder / "demo.html"
    write_text(page, demo_page(Cohort.open(cohort), result, base, minutes=(time.monotonic() - started) / 60))
    return page


def _named(progress: Progress | None, words: str) -> Callable[[int, int], None] | None:
    return (lambda done, total: progress(done, total, words)) if progress else None
