"""The training loop, to be read in one sitting."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from dictamen.cohort.store import Cohort
from dictamen.errors import InputError
from dictamen.losses.attenuation import STEP_HU
from dictamen.losses.total import LossWeights, Tissue, report_losses
from dictamen.models import precision, presets
from dictamen.models.card import Architecture, ModelCard, TrainingStudies
from dictamen.models.ema import ExponentialMovingAverage
from dictamen.models.package import save_model
from dictamen.models.pretrained import PretrainedCard, load_pretrained, start_from
from dictamen.supervision.ledger import Ledger
from dictamen.supervision.patch import POSITIVE
from dictamen.supervision.rasterise import StudySupervisor
from dictamen.training import checkpoint
from dictamen.training.batches import Batch, BatchMaker, stream
from dictamen.training.checkpoint import TrainingState
from dictamen.training.config import TrainConfig
from dictamen.training.dilation import choose_dilation
from dictamen.training.image_order import choose_order
from dictamen.training.operating_point import OperatingPoint
from dictamen.training.plan import Plan, output_labels
from dictamen.training.record import MetricsLog
from dictamen.training.schedule import learning_rate, report_weight
from dictamen.training.tag_supervision import matching, supervised_maps
from dictamen.training.validation import validate

Progress = Callable[[int, int, str], None]
"""Called after each step with (steps done, steps in all, a few words)."""


class Trainer:
    """One network, its optimiser and its data; `restore` goes to a checkpoint, `fit` runs what is left of the steps."""

    def __init__(self, fabric: Fabric, cohort: Cohort, plan: Plan, run: Path, config: TrainConfig) -> None:
        self.fabric, self.cohort, self.plan, self.run, self.config = fabric, cohort, plan, run, config
        self.precision = precision.resolve(config.precision, fabric.device, training=True)
        network = presets.build(
            config.preset,
            in_channels=1,
            out_channels=len(plan.labels),
            auxiliary_head=config.auxiliary_head,
            **config.network,
        )
        self.tags = self._start(network)
        self.matched = matching(self.tags.tags, plan.labels) if self.tags else ()
        precision.arrange(network, self.precision)
        presets.check_patch(config.patch_size, network.divisor)
        self.ema = ExponentialMovingAverage(network, decay=config.ema_decay)
        fabric.to_device(self.ema.model)
        optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        self.network, self.optimizer = fabric.setup(network, optimizer)
        self.state = TrainingState(network, self.ema, optimizer)
        self.dilation = choose_dilation(cohort, plan, config)
        self.image_order = choose_order(cohort, plan, config)
        self.supervisor = StudySupervisor(
            plan.targets,
            plan.organs,
            organ_names=cohort.info.organ_labels,
            lesion_names=cohort.info.lesion_labels,
            dilation=self.dilation,
        )
        self.weights = LossWeights(
            volume=config.losses.volume,
            ball=config.losses.ball,
            absence=config.losses.absence,
            attenuation=config.losses.attenuation,
            presence=config.losses.presence,
            volume_mode=config.losses.volume_mode,
            ball_mode=config.losses.ball_mode,
        )

    def _start(self, network: presets.SegmentationNetwork) -> PretrainedCard | None:
        """Begin with a pretrained encoder where one is named; its card where its tag maps were attached."""
        if self.config.pretrained is None:
            return None
        pretrained = load_pretrained(Path(self.config.pretrained))
        start_from(network, pretrained, preset=self.config.preset, tag_maps=self.config.tag_maps)
        return pretrained.card if self.config.tag_maps else None

    @property
    def operating_points(self) -> tuple[OperatingPoint, ...]:
        """Thresholds of each label: the best validation's, or 0.5."""
        return self.state.best_points or (OperatingPoint(),) * len(self.plan.labels)

    def restore(self) -> None:
        """Go to the newest checkpoint of the run, where there is one."""
        checkpoint.restore(self.run / "checkpoints", self.state, self.config)

    def fit(self, *, progress: Progress | None) -> None:
        """Run the steps from the present one to the end."""
        config, folder, first = self.config, self.run / "checkpoints", self.fabric.is_global_zero
        log = MetricsLog(self.run / "metrics.jsonl", from_step=self.state.step) if first else None
        maker = BatchMaker(
            self.cohort,
            self.plan,
            self.supervisor,
            config,
            image_order=self.image_order,
            rank=self.fabric.global_rank,
            processes=self.fabric.world_size,
        )
        ledger, window = Ledger(), _Window()
        for batch in stream(maker, start=self.state.step, stop=config.steps, threads=config.loader_threads):
            waited = window.mark_waited()
            terms = self.step(batch)
            self.state.step += 1
            ledger = ledger + batch.ledger
            window.add(terms, waited=waited)
            step = self.state.step
            if step % config.log_every == 0 or step == config.steps:
                values = window.flush()
                _check_finite(values, step)
                if log:
                    log.write(step=step, event="train", learning_rate=learning_rate(step - 1, config), **values)
            if step % config.validate_every == 0 or step == config.steps:
                everyone = self._gathered(ledger)
                if log:
                    self._validate(log)
                    log.write(step=step, event="supervision", **everyone.to_json())
                ledger = Ledger()
            if first and (step % config.checkpoint_every == 0 or step == config.steps):
                checkpoint.save(folder, self.state, config)
            if progress and first:
                progress(step, config.steps, "masks and reports" if step > config.first_report_step else "masks")
        if first and self.state.best_score < 0:
            self._save_model()
        self.fabric.barrier()

    def _gathered(self, ledger: Ledger) -> Ledger:
        """The ledgers of all processes, added."""
        if self.fabric.world_size == 1:
            return ledger
        everyone: list[Ledger] = [Ledger()] * self.fabric.world_size
        torch.distributed.all_gather_object(everyone, ledger)
        return sum(everyone, Ledger())

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """One optimiser step; the terms of the loss, detached, still on the device."""
        terms = self.losses(batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(terms["total"])
        self.update()
        return {name: value.detach() for name, value in terms.items()}

    def update(self) -> None:
        """Step along the gradients that were gathered, at the learning rate of the present step."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.state.step, self.config)
        self.fabric.clip_gradients(self.network, self.optimizer, max_norm=self.config.gradient_clip)
        self.optimizer.step()
        self.ema.update(self.state.model)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the loss and their "total", with gradient."""
        device = self.fabric.device
        image = batch.image.to(device, memory_format=precision.memory_format(self.precision), non_blocking=True)
        state = batch.state.to(device, non_blocking=True)
        output = self.network(image)
        terms = report_losses(
            output.logits,
            output.auxiliary,
            state,
            batch.reports.to(device) if batch.reports else None,
            replace(self.weights, report=report_weight(self.state.step, self.config)),
            teacher_logits=self._teacher_logits(image, batch),
            plan=batch.plan.to(device) if batch.plan else None,
            tissue=self._tissue(image, state, batch),
        )
        if output.maps is not None and self.matched:
            terms["tag_maps"] = supervised_maps(output.maps, state, self.matched)
            terms["total"] = terms["total"] + self.config.losses.tag_maps * terms["tag_maps"]
        return terms

    @torch.no_grad()
    def _teacher_logits(self, image: Tensor, batch: Batch) -> Tensor | None:
        """What the mean weights think of the lesions in the studies with reports, where a lesion is to be placed."""
        if not (self.config.losses.teacher and batch.plan and batch.plan.rows and batch.reports):
            return None
        studies, all_studies = sorted({study for study, _, _ in batch.plan.rows}), len(batch.reports.region)
        own = image[-all_studies:]
        with self.fabric.autocast():
            mean = cast(presets.SegmentationNetwork, self.ema.model)
            features = mean.features(own if len(studies) == all_studies else own[studies])
            logits: Tensor = mean.head(features)[:, : len(self.plan.targets)].float()
        if len(studies) == all_studies:
            return logits
        everywhere = logits.new_zeros((all_studies, *logits.shape[1:]))  # no lesion is searched in the others
        everywhere[studies] = logits
        return everywhere

    def _tissue(self, image: Tensor, state: Tensor, batch: Batch) -> Tissue | None:
        """Images and organ masks of the studies with reports, where a report says how dense a lesion is."""
        if batch.reports is None or not batch.reports.attenuation.any():  # on the host: nothing waits
            return None
        studies, none = len(batch.reports.region), torch.zeros_like(state[:1, :1])
        own = state[-studies:]
        organs = [own[:, [c]] if c is not None else none.expand_as(own[:, :1]) for c in self.plan.organ_channels]
        return Tissue(image[-studies:], torch.cat(organs, 1) == POSITIVE, self.config.window.scaled(STEP_HU))

    def _validate(self, log: MetricsLog) -> None:
        result = validate(self.ema.model, self.cohort, self.plan, self.config, device=self.fabric.device)
        if result is None:
            return
        log.write(step=self.state.step, event="validation", **result.to_json())
        if result.score > self.state.best_score:
            self.state.best_score, self.state.best_points = result.score, result.operating_points
            self._save_model()

    def _save_model(self) -> None:
        """RUN/model: the mean weights now, with the thresholds of the best validation."""
        plan, config = self.plan, self.config
        card = ModelCard(
            architecture=Architecture(
                preset=config.preset,
                out_channels=len(plan.labels),
                auxiliary_head=config.auxiliary_head,
                overrides=config.network,
                tags=self.tags.tags if self.tags else (),
                tag_dimension=self.tags.dimension if self.tags else 0,
                tag_channels=self.tags.channels if self.tags else 0,
            ),
            labels=output_labels(plan, self.operating_points),
            spacing_mm=self.cohort.info.spacing_mm,
            patch_size=config.patch_size,
            intensity=config.window,
            supervision={"masks": len(plan.masks), "reports": len(plan.reports)},
            training_studies=TrainingStudies.of((*plan.masks, *plan.reports)),
            validation={"score": self.state.best_score} if self.state.best_score >= 0 else {},
        )
        save_model(self.run / "model", self.ema.model, card)


class _Window:
    """Means of the loss terms and times since the last line of the log; tensors are read once a line, not a step."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.terms: list[dict[str, Tensor]] = []
        self.waited = 0.0
        self.begun = self.last = time.monotonic()

    def mark_waited(self) -> float:
        return time.monotonic() - self.last

    def add(self, terms: dict[str, Tensor], *, waited: float) -> None:
        self.terms.append(terms)
        self.waited += waited
        self.last = time.monotonic()

    def flush(self) -> dict[str, float]:
        seconds = time.monotonic() - self.begun
        means = {name: float(torch.stack([term[name] for term in self.terms]).mean()) for name in self.terms[0]}
        values = {
            **means,
            "seconds_per_step": seconds / len(self.terms),
            "waiting_share": self.waited / max(seconds, 1e-9),
        }
        self._reset()
        return values


def _check_finite(values: dict[str, float], step: int) -> None:
    wrong = [name for name, value in values.items() if not math.isfinite(value)]
    if wrong:
        raise InputError(
            "The loss is no longer finite.",
            where=f"step {step}",
            got=", ".join(wrong),
            next_step="resume from the last checkpoint with a lower learning_rate, or with precision=32-true",
        )
