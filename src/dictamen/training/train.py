"""`train`: from a cohort to a run folder."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lightning_fabric import seed_everything

from dictamen.cohort.store import Cohort
from dictamen.evaluation.tag_page import tag_page
from dictamen.files import output_folder, write_text
from dictamen.training.config import TrainConfig, to_toml
from dictamen.training.fabric import launch
from dictamen.training.loop import Progress, Trainer
from dictamen.training.plan import make_plan
from dictamen.training.record import write_run
from dictamen.training.tag_cases import segmenter_cases

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """What a run ended with.

    Attributes:
        run: the run folder.
        steps: optimiser steps in all.
        score: the best validation score in [0, 1]; None without validation.
        thresholds: operating threshold of each label, chosen on validation.
        seconds: wall time of this call.
        warnings: what a user should know.
        first: whether this is the process that writes; the others know no score.
    """

    run: Path
    steps: int
    score: float | None
    thresholds: dict[str, float]
    seconds: float
    warnings: tuple[str, ...]
    first: bool = True


def train(
    cohort: str | Path | Cohort,
    output: str | Path,
    config: TrainConfig | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TrainResult:
    """Train a model on a cohort and write a run folder.

    Args:
        cohort: a cohort folder, or an open cohort.
        output: the run folder: config.toml, metrics.jsonl, timing.jsonl, run.json, checkpoints/, model/; tag_maps.html
            where a pretrained encoder's maps were attached.
        config: see `TrainConfig`; defaults where None.
        resume: go on from the newest checkpoint; the result equals that of a run without interruption.
        overwrite: accept a folder that holds files; an older run in it is replaced.
        progress: called after each step.

    Raises:
        UsageError: the folder is not empty, the checkpoint has another configuration, unknown preset or device.
        InputError: no study to train on, or the loss is no longer finite.
        ResourceError: disk full or not writable.
    """
    started = time.monotonic()
    config = config or TrainConfig()
    opened = cohort if isinstance(cohort, Cohort) else Cohort.open(Path(cohort))
    plan = make_plan(opened, config)
    for warning in plan.warnings:
        logger.warning(warning)
    run = Path(output)
    fabric = launch(
        accelerator=config.accelerator, devices=config.devices, nodes=config.nodes, precision=config.precision
    )
    seed_everything(config.seed, verbose=False)
    trainer = Trainer(fabric, opened, plan, run, config)
    # nothing is written, and no older run replaced, before network and checkpoint are known to fit the configuration
    if fabric.is_global_zero:
        output_folder(run, resume=resume, overwrite=overwrite)
    if resume:
        trainer.restore()
    elif fabric.is_global_zero:
        shutil.rmtree(run / "checkpoints", ignore_errors=True)
    if fabric.is_global_zero:
        write_text(run / "config.toml", to_toml(config))
    fabric.barrier()
    trainer.fit(progress=progress)
    score = trainer.state.best_score if trainer.state.best_score >= 0 else None
    if fabric.is_global_zero and trainer.tags:
        shown = segmenter_cases(
            trainer.ema.model, trainer.tags.tags, opened, plan.validation, config, device=fabric.device
        )
        write_text(run / "tag_maps.html", tag_page("Tag maps", shown, values={}))
    if fabric.is_global_zero:
        write_run(
            run / "run.json",
            device=str(fabric.device),
            seed=config.seed,
            studies={"masks": plan.masks, "reports": plan.reports, "validation": plan.validation},
            warnings=plan.warnings,
            steps=trainer.state.step,
            validation_score=score,
            supervision=list(config.supervision),
            region_dilation=asdict(trainer.dilation),
            image_order=trainer.image_order,
            processes=fabric.world_size,
        )
    return TrainResult(
        run=run,
        steps=trainer.state.step,
        score=score,
        thresholds={name: point.voxel for name, point in zip(plan.labels, trainer.operating_points, strict=True)},
        seconds=time.monotonic() - started,
        warnings=plan.warnings,
        first=fabric.is_global_zero,
    )
