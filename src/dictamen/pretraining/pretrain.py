"""`pretrain`: from pairs of scan and report to an encoder that knows tags."""

from __future__ import annotations

import logging
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric, seed_everything
from torch import Tensor, nn

from dictamen.cohort.store import Cohort
from dictamen.errors import InputError
from dictamen.evaluation.tag_page import MOST_STUDIES, TagCase, tag_page
from dictamen.files import output_folder, write_text
from dictamen.losses.contrastive import soft_targets
from dictamen.losses.tag_recognition import tag_recognition_loss
from dictamen.models import presets
from dictamen.models.card import TrainingStudies
from dictamen.models.deepest import Encoder
from dictamen.models.ema import ExponentialMovingAverage
from dictamen.models.pair_model import PairModel
from dictamen.models.pretrained import BACKBONE, TABLE, PretrainedCard, save_pretrained
from dictamen.models.tag_heads import similarity_maps
from dictamen.pretraining.config import PretrainConfig
from dictamen.pretraining.gather import gathered
from dictamen.pretraining.measure import measure
from dictamen.pretraining.pairs import PairMaker, Pairs
from dictamen.training import checkpoint
from dictamen.training.batches import stream
from dictamen.training.checkpoint import TrainingState
from dictamen.training.config import to_toml
from dictamen.training.fabric import launch
from dictamen.training.loop import Progress
from dictamen.training.record import MetricsLog, write_run
from dictamen.training.tag_cases import tag_case

logger = logging.getLogger(__name__)

SMALL_VIEW = 0.5
"""A view that shows less than this share of the median study mostly misses what its report speaks of."""


@dataclass(frozen=True)
class PretrainResult:
    """What a pretraining run ended with.

    Attributes:
        run: the run folder.
        tags: names of the tags that were learned.
        metrics: on the validation studies (`measure.measure`).
        seconds: wall time of this call.
        warnings: what a user should know.
        first: whether this is the process that writes; the others measure nothing.
    """

    run: Path
    steps: int
    tags: tuple[str, ...]
    metrics: dict[str, float]
    seconds: float
    warnings: tuple[str, ...]
    first: bool = True


def pretrain(
    cohort: str | Path | Cohort,
    output: str | Path,
    config: PretrainConfig | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PretrainResult:
    """Pretrain an encoder on a cohort's scans and reports and write a run folder; no mask is used.

    Args:
        cohort: a cohort folder, or an open cohort; its training studies need the text of their reports.
        output: the run folder: config.toml, metrics.jsonl, run.json, checkpoints/, model/, report.html.
        config: see `PretrainConfig`; defaults where None.
        resume: go on from the newest checkpoint; the result equals that of a run without interruption.
        overwrite: accept a folder that holds files; an older run in it is replaced.
        progress: called after each step.

    Raises:
        UsageError: the folder is not empty, the checkpoint has another configuration, a network that has no known
            deepest features.
        InputError: too few pairs, no tag, or the loss is no longer finite.
        ResourceError: disk full or not writable.
    """
    started = time.monotonic()
    config = config or PretrainConfig()
    opened = cohort if isinstance(cohort, Cohort) else Cohort.open(Path(cohort))
    fabric = launch(
        accelerator=config.accelerator, devices=config.devices, nodes=config.nodes, precision=config.precision
    )
    maker = PairMaker(opened, config, rank=fabric.global_rank, processes=fabric.world_size)
    warnings = _warnings(maker)
    for warning in warnings:
        logger.warning(warning)
    run, first = Path(output), fabric.is_global_zero
    seed_everything(config.seed, verbose=False)
    pretrainer = _Pretrainer(fabric, maker, config)
    if first:
        output_folder(run, resume=resume, overwrite=overwrite)
    if resume:
        checkpoint.restore(run / "checkpoints", pretrainer.state, config)
    elif first:
        shutil.rmtree(run / "checkpoints", ignore_errors=True)
    if first:
        write_text(run / "config.toml", to_toml(config))
    fabric.barrier()
    metrics = pretrainer.fit(run, progress if first else None)
    names = tuple(tag.name for tag in maker.tags)
    if first:
        pretrainer.save(run / "model", metrics)
        write_text(run / "report.html", tag_page("Pretraining", pretrainer.cases(), values=metrics))
        write_run(
            run / "run.json",
            device=str(fabric.device),
            seed=config.seed,
            studies={"pairs": maker.training, "validation": maker.validation},
            warnings=warnings,
            steps=config.steps,
            metrics=metrics,
            tags=list(names),
            processes=fabric.world_size,
        )
    fabric.barrier()
    return PretrainResult(run, config.steps, names, metrics, time.monotonic() - started, warnings, first)


class _Pretrainer:
    """One pair model, its mean weights, its optimiser and its data."""

    def __init__(self, fabric: Fabric, maker: PairMaker, config: PretrainConfig) -> None:
        self.fabric, self.maker, self.config = fabric, maker, config
        backbone = presets.build_backbone(config.preset, in_channels=1, **config.network)
        presets.check_patch(config.patch_size, presets.divisors(config.preset, **config.network))
        example = torch.zeros(1, 1, *config.patch_size)
        self.names, self.channels = _explore(backbone, example)
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad_(name in self.names)  # the decoder is not trained
        model = PairModel(
            backbone,
            channels=self.channels,
            phrases=[tag.phrases() for tag in maker.tags],
            head=config.head,
            text=config.text,
            dimension=config.dimension,
            one_projection=config.recognition == 0,
        )
        self.contrast = model.contrast
        self.ema = ExponentialMovingAverage(model, decay=config.ema_decay)
        fabric.to_device(self.ema.model)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=config.weight_decay)
        self.model, self.optimizer = fabric.setup(model, optimizer)
        self.state = TrainingState(model, self.ema, optimizer)

    def fit(self, run: Path, progress: Progress | None) -> dict[str, float]:
        """Run the steps from the present one to the end; the metrics of the mean weights, in the first process."""
        config, first = self.config, self.fabric.is_global_zero
        log = MetricsLog(run / "metrics.jsonl", from_step=self.state.step) if first else None
        for pairs in stream(self.maker, start=self.state.step, stop=config.steps, threads=config.loader_threads):
            terms = self.step(pairs)
            self.state.step += 1
            step = self.state.step
            if step % config.log_every == 0 or step in (1, config.steps):
                values = {name: float(value) for name, value in terms.items()}
                _check_finite(values, step)
                if log:
                    log.write(step=step, event="pretrain", learning_rate=_learning_rate(step - 1, config), **values)
            if first and (step % config.checkpoint_every == 0 or step == config.steps):
                checkpoint.save(run / "checkpoints", self.state, config)
            if progress:
                progress(step, config.steps, "pairs of scan and report")
        if log is None:
            return {}
        metrics = measure(self._mean(), self.maker, device=self.fabric.device)
        log.write(step=self.state.step, event="validation", **metrics)
        return metrics

    def step(self, pairs: Pairs) -> dict[str, Tensor]:
        """One optimiser step; the terms of the loss, detached, still on the device."""
        config, device = self.config, self.fabric.device
        for group in self.optimizer.param_groups:
            group["lr"] = _learning_rate(self.state.step, config)
        found = self.model(pairs.image.to(device), pairs.texts)
        image, text, logits, target, weight = (
            gathered(self.fabric, tensor)
            for tensor in (
                found.image,
                found.text,
                found.scores.logits,
                pairs.target.to(device),
                pairs.weight.to(device),
            )
        )
        targets = soft_targets(target, weight) if config.soft_targets else None
        terms = {
            "contrastive": self.contrast(image, text, targets),
            "recognition": tag_recognition_loss(
                logits, target, weight, gamma_negative=config.gamma_negative, clip=config.clip
            ),
        }
        total = config.contrastive * terms["contrastive"] + config.recognition * terms["recognition"]
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(total)
        self.fabric.clip_gradients(self.model, self.optimizer, max_norm=config.gradient_clip)
        self.optimizer.step()
        self.ema.update(self.state.model)
        return {name: value.detach() for name, value in {**terms, "total": total}.items()}

    def save(self, folder: Path, metrics: dict[str, float]) -> None:
        """The encoder's mean weights, its heads and the tag table; nothing of the decoder, which was not trained."""
        config, model = self.config, self._mean()
        tensors = {
            name: value
            for name, value in model.state_dict().items()
            if not name.startswith(BACKBONE) or name.removeprefix(BACKBONE) in self.names
        }
        with torch.no_grad():
            tensors[TABLE] = model.tag_embeddings()
        x, y, z = (side * config.shrink for side in self.maker.cohort.info.spacing_mm)
        card = PretrainedCard(
            preset=config.preset,
            network=config.network,
            channels=self.channels,
            dimension=config.dimension,
            head=config.head,
            tags=tuple(tag.name for tag in self.maker.tags),
            text=config.text,
            spacing_mm=(x, y, z),
            patch_size=config.patch_size,
            intensity=config.window,
            training_studies=TrainingStudies.of(self.maker.training),
            metrics=metrics,
        )
        save_pretrained(folder, tensors, card)

    @torch.no_grad()
    def cases(self) -> list[TagCase]:
        """Maps of the first validation studies, to be shown."""
        model, maker = self._mean(), self.maker
        shrink = self.config.shrink
        x, y, z = (side * shrink for side in maker.cohort.info.spacing_mm)
        found = []
        for number, study_id in enumerate(maker.validation[:MOST_STUDIES], start=1):
            pairs, study = maker.validation_pairs([study_id]), maker.cohort.study(study_id)
            seen = model(pairs.image.to(self.fabric.device), pairs.texts)
            organs = study.patch("organs", maker.start(study), [side * shrink for side in self.config.patch_size])
            found.append(
                tag_case(
                    maker.cohort,
                    study_id,
                    maker.tags,
                    similarity_maps(seen.cells, seen.tags)[0],
                    title=f"Validation study {number}",
                    image=pairs.image[0, 0].numpy(),
                    organs=organs[::shrink, ::shrink, ::shrink],
                    spacing_mm=(x, y, z),
                )
            )
        return found

    def _mean(self) -> PairModel:
        model = self.ema.model
        if not isinstance(model, PairModel):
            raise TypeError(type(model).__name__)
        return model


def _explore(backbone: nn.Module, example: Tensor) -> tuple[frozenset[str], int]:
    """Names of the encoder's tensors, and the channels of its deepest features."""
    encoder = Encoder(backbone)
    with torch.no_grad():
        return encoder.names(example), encoder(example).shape[1]


def _learning_rate(step: int, config: PretrainConfig) -> float:
    """Linear warm-up, then a half cosine to zero."""
    warm_up = min(1.0, (step + 1) / max(config.warm_up_steps, 1))
    return config.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * step / config.steps))


def _warnings(maker: PairMaker) -> tuple[str, ...]:
    found = []
    if len(maker.validation) < 2:
        found.append("fewer than two validation studies have a report: nothing is measured")
    size = [side * maker.config.shrink for side in maker.config.patch_size]
    shares = sorted(
        math.prod(min(side, extent) / extent for side, extent in zip(size, maker.cohort.study(i).shape, strict=True))
        for i in maker.training
    )
    if shares[len(shares) // 2] < SMALL_VIEW:
        found.append(
            f"a view shows {shares[len(shares) // 2]:.0%} of the median study, while its report speaks of all of it: "
            "raise `shrink` or `patch_size`"
        )
    return tuple(found)


def _check_finite(values: dict[str, float], step: int) -> None:
    wrong = [name for name, value in values.items() if not math.isfinite(value)]
    if wrong:
        raise InputError(
            "The loss is no longer finite.",
            where=f"step {step}",
            got=", ".join(wrong),
            next_step="resume from the last checkpoint with a lower learning_rate, or with precision=32-true",
        )
