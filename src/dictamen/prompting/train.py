"""`train_prompts`: from one or several cohorts to a run folder whose model is asked in words."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from lightning_fabric import seed_everything

from dictamen.cohort.store import Cohort
from dictamen.errors import UsageError
from dictamen.files import output_folder, write_text
from dictamen.prompting.config import PromptConfig
from dictamen.prompting.loop import PromptTrainer
from dictamen.prompting.plan import make_plan
from dictamen.training.config import to_toml
from dictamen.training.fabric import launch
from dictamen.training.loop import Progress
from dictamen.training.record import write_run
from dictamen.training.train import TrainResult

logger = logging.getLogger(__name__)


def train_prompts(
    cohorts: Sequence[str | Path | Cohort],
    output: str | Path,
    config: PromptConfig | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TrainResult:
    """Train a prompted network on one or several cohorts and write a run folder.

    Args:
        cohorts: cohort folders, or open cohorts; their labels are united through the vocabulary.
        output, resume, overwrite, progress: as of `training.train.train`.
        config: see `PromptConfig`; defaults where None.

    Raises:
        UsageError: the folder is not empty, the checkpoint has another configuration, several devices, cohorts on
            different grids, a label that no mask teaches.
        InputError: no study to train on, or the loss is no longer finite.
        ResourceError: disk full or not writable.
    """
    started = time.monotonic()
    config = config or PromptConfig()
    if config.devices != 1 or config.nodes != 1:
        raise UsageError("A prompted network trains on one device.", got=f"devices={config.devices}")
    opened = [cohort if isinstance(cohort, Cohort) else Cohort.open(Path(cohort)) for cohort in cohorts]
    plan = make_plan(opened, config)
    for warning in plan.warnings:
        logger.warning(warning)
    run = Path(output)
    fabric = launch(accelerator=config.accelerator, devices=1, nodes=1, precision=config.precision)
    seed_everything(config.seed, verbose=False)
    trainer = PromptTrainer(fabric, plan, run, config)
    output_folder(run, resume=resume, overwrite=overwrite)
    if resume:
        trainer.restore()
    else:
        shutil.rmtree(run / "checkpoints", ignore_errors=True)
    write_text(run / "config.toml", to_toml(config))
    trainer.fit(progress=progress)
    score = trainer.state.best_score if trainer.state.best_score >= 0 else None
    write_run(
        run / "run.json",
        device=str(fabric.device),
        seed=config.seed,
        studies={
            "training": plan.training_ids,
            "validation": [study for source in plan.sources for study in source.validation],
        },
        warnings=plan.warnings,
        steps=trainer.state.step,
        validation_score=score,
        supervision=list(config.supervision),
        cohorts=len(opened),
        labels=plan.taught,
    )
    return TrainResult(
        run=run,
        steps=trainer.state.step,
        score=score,
        thresholds=dict(zip(plan.labels, trainer.thresholds, strict=True)),
        seconds=time.monotonic() - started,
        warnings=plan.warnings,
    )
