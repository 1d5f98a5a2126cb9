"""Train, predict and evaluate every arm with every seed; resumable, each arm x seed in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from dictamen.cohort.store import Cohort
from dictamen.errors import InputError
from dictamen.evaluation.compare import Arms as Measured
from dictamen.evaluation.evaluate import evaluate
from dictamen.evaluation.result import Evaluation
from dictamen.experiments.arms import Arm
from dictamen.experiments.page import experiment_page
from dictamen.experiments.result import ExperimentResult
from dictamen.experiments.table import Comparison, compare
from dictamen.files import output_folder, write_json, write_text
from dictamen.inference.predict import predict
from dictamen.pretraining.config import resolve as pretrain_config
from dictamen.pretraining.pretrain import pretrain
from dictamen.training.config import TrainConfig
from dictamen.training.plan import make_plan
from dictamen.training.train import train

Progress = Callable[[int, int, str], None]
PRETRAINING_SHARES = {"preset", "network", "patch_size", "window", "steps", "precision", "accelerator"}
"""Settings of the training that its pretraining has too."""


def run_experiment(
    cohort: str | Path | Cohort,
    output: str | Path,
    arms: Sequence[Arm],
    *,
    seeds: Sequence[int] = (0,),
    base: TrainConfig | None = None,
    split: str = "test",
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ExperimentResult:
    """Run every arm with every seed on a cohort and compare them on its `split`.

    Args:
        cohort: a cohort folder, or an open cohort; its test studies need masks (or reports) as truth.
        output: the experiment's folder.
        arms: see `arms.arm_grid`.
        seeds: each seed draws other masks, initial weights and batches, the same for every arm.
        base: settings that all arms share.
        resume: skip what is done; a training that was interrupted goes on.
        progress: called with (steps done, steps in all, what is running).

    Raises:
        UsageError: the folder is not empty and neither `resume` nor `overwrite` is set.
        InputError: no test study, or nothing to train on.
    """
    opened = cohort if isinstance(cohort, Cohort) else Cohort.open(Path(cohort))
    if not opened.ids(split):
        raise InputError("The split has no studies to compare on.", where=opened.path, got=split)
    base = base or TrainConfig()
    for arm in arms:
        make_plan(opened, arm.config(base, seed=seeds[0]))  # a wrong setting shows now, not after hours of training
    folder = output_folder(Path(output), resume=resume, overwrite=overwrite)
    evaluations: dict[str, list[Evaluation]] = {arm.name: [] for arm in arms}
    jobs = [(arm, seed) for seed in seeds for arm in arms]
    for index, (arm, seed) in enumerate(jobs):
        title = f"{arm.title}, seed {seed}" if len(seeds) > 1 else arm.title
        step = _offset(progress, index * base.steps, len(jobs) * base.steps, title)
        evaluations[arm.name].append(
            _run(opened, folder / arm.name / f"seed_{seed}", arm, base, seed=seed, split=split, progress=step)
        )
    comparisons = _compare(arms, evaluations)
    result = ExperimentResult(
        folder, tuple(arms), tuple(seeds), {name: tuple(found) for name, found in evaluations.items()}, comparisons
    )
    write_text(folder / "table.md", "\n".join(comparison.markdown() for comparison in comparisons.values()))
    write_json(folder / "summary.json", {label: comparison.to_json() for label, comparison in comparisons.items()})
    write_text(folder / "index.html", experiment_page(opened, result, base))
    return result


def _run(
    cohort: Cohort, folder: Path, arm: Arm, base: TrainConfig, *, seed: int, split: str, progress: Progress
) -> Evaluation:
    """Train (or go on, or skip), predict, evaluate."""
    run, predictions, pretrained = folder / "run", folder / "predictions", None
    if arm.pretraining is not None:
        pretrained = folder / "pretraining"
        alike = base.model_dump(include=PRETRAINING_SHARES)
        settings = pretrain_config(None, (), **{**alike, **arm.pretraining, "seed": seed})
        pretrain(cohort, pretrained, settings, resume=pretrained.exists())
    config = arm.config(base, seed=seed, pretrained=pretrained)
    train(cohort, run, config, resume=run.exists(), progress=progress)
    predict(run, cohort.path, predictions, split=split, resume=predictions.exists())
    return evaluate(predictions, cohort, folder / "evaluation", split=split, overwrite=True)


def _offset(progress: Progress | None, done_before: int, total: int, title: str) -> Progress:
    def update(done: int, _: int, words: str) -> None:
        if progress:
            progress(done_before + done, total, f"{title} ({words})")

    return update


def _compare(arms: Sequence[Arm], evaluations: dict[str, list[Evaluation]]) -> dict[str, Comparison]:
    labels = dict.fromkeys(
        label for found in evaluations.values() for evaluation in found for label in evaluation.labels
    )
    comparisons = {}
    for label in labels:
        try:
            measured = Measured(evaluations, label)
        except InputError:
            continue  # an organ label that only some studies have annotated may share no study
        comparisons[label] = compare(measured, evaluations, label, arms)
    return comparisons
