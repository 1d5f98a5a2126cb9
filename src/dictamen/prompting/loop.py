"""The training of a prompted network: the loop of `training`, with texts."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from dictamen.anatomy import asking
from dictamen.errors import InputError, UsageError
from dictamen.losses.overlap import masked_dice_bce
from dictamen.losses.prompts import exclusion_loss, hierarchy_loss, presence_bce, sentence_contrast
from dictamen.losses.total import LossWeights, report_losses
from dictamen.models import precision, presets, prompt_presets
from dictamen.models.card import Architecture, ModelCard, TrainingStudies
from dictamen.models.ema import ExponentialMovingAverage
from dictamen.models.name_encoder import load_name_encoder
from dictamen.models.package import save_model
from dictamen.models.prompt_settings import PromptArchitecture
from dictamen.models.prompted import PromptedNetwork, PromptedOutput
from dictamen.prompting.batches import PromptBatch, PromptBatchMaker
from dictamen.prompting.config import PromptConfig
from dictamen.prompting.plan import PromptPlan, output_labels
from dictamen.prompting.validation import validate
from dictamen.supervision.ledger import Ledger
from dictamen.training import checkpoint
from dictamen.training.batches import stream
from dictamen.training.checkpoint import TrainingState
from dictamen.training.loop import Progress
from dictamen.training.operating_point import OperatingPoint
from dictamen.training.record import MetricsLog
from dictamen.training.schedule import learning_rate

DEEP_DECAY = 0.5
"""Weight of a level of deep supervision over that of the next finer one (SAT: 2^-i, normalised)."""


class PromptTrainer:
    """One prompted network, its optimiser and its data; `restore` goes to a checkpoint, `fit` runs the steps left."""

    def __init__(self, fabric: Fabric, plan: PromptPlan, run: Path, config: PromptConfig) -> None:
        self.fabric, self.plan, self.run, self.config = fabric, plan, run, config
        self.precision = precision.resolve(config.precision, fabric.device, training=True)
        self.architecture, network = _network(config, labels=len(plan.labels))
        precision.arrange(network, self.precision)
        presets.check_patch(config.patch_size, network.divisor)
        self.ema = ExponentialMovingAverage(network, decay=config.ema_decay)
        fabric.to_device(self.ema.model)
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=config.weight_decay)
        self.network, self.optimizer = fabric.setup(network, optimizer)
        self.state = TrainingState(network, self.ema, optimizer)
        losses = config.losses
        self.weights = LossWeights(
            report=losses.reports,
            volume=losses.volume,
            ball=losses.ball,
            absence=losses.absence,
            attenuation=0.0,  # it needs each lesion's organ as an output of its own
            presence=losses.presence,
            volume_mode=losses.volume_mode,
            ball_mode=losses.ball_mode,
        )

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Of each label: the best validation's, or 0.5."""
        points = self.state.best_points or (OperatingPoint(),) * len(self.plan.labels)
        return tuple(point.voxel for point in points)

    def restore(self) -> None:
        """Go to the newest checkpoint of the run, where there is one."""
        checkpoint.restore(self.run / "checkpoints", self.state, self.config)

    def fit(self, *, progress: Progress | None) -> None:
        """Run the steps from the present one to the end."""
        config, folder = self.config, self.run / "checkpoints"
        log = MetricsLog(self.run / "metrics.jsonl", from_step=self.state.step)
        maker = PromptBatchMaker(self.plan, config)
        ledger, since = Ledger(), _Means()
        for batch in stream(maker, start=self.state.step, stop=config.steps, threads=config.loader_threads):
            since.add(self.step(batch))
            self.state.step += 1
            ledger = ledger + batch.ledger
            step = self.state.step
            if step % config.log_every == 0 or step == config.steps:
                rate = learning_rate(step - 1, config)
                log.write(step=step, event="train", learning_rate=rate, **since.flush(step))
            if step % config.validate_every == 0 or step == config.steps:
                self._validate(log)
                log.write(step=step, event="supervision", **ledger.to_json())
                ledger = Ledger()
            if step % config.checkpoint_every == 0 or step == config.steps:
                checkpoint.save(folder, self.state, config)
            if progress:
                progress(step, config.steps, f"{len(batch.texts)} prompts")
        if self.state.best_score < 0:
            self._save_model()

    def step(self, batch: PromptBatch) -> dict[str, Tensor]:
        """One optimiser step; the terms of the loss, detached, still on the device."""
        terms = self.losses(batch)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.state.step, self.config)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(terms["total"])
        self.fabric.clip_gradients(self.network, self.optimizer, max_norm=self.config.gradient_clip)
        self.optimizer.step()
        self.ema.update(self.state.model)
        return {name: value.detach() for name, value in terms.items()}

    def losses(self, batch: PromptBatch) -> dict[str, Tensor]:
        """The terms of the loss and their "total", with gradient."""
        device, extra = self.fabric.device, self.config.prompt_losses
        image = batch.image.to(device, memory_format=precision.memory_format(self.precision))
        state = batch.state.to(device)
        output: PromptedOutput = self.network(image, batch.texts)
        terms = report_losses(
            output.logits,
            None,
            state,
            batch.reports.to(device) if batch.reports is not None else None,
            self.weights,
            teacher_logits=self._teacher_logits(image, batch),
            plan=batch.plan.to(device) if batch.plan is not None else None,
        )
        added = {
            "levels": (extra.levels, deep_supervision(output.levels, state)),
            "present": (extra.presence, presence_bce(output.presence, batch.presence.to(device))),
        }
        if extra.hierarchy > 0:
            added["hierarchy"] = (extra.hierarchy, hierarchy_loss(output.logits, batch.below.to(device)))
        if extra.exclusion > 0:
            added["exclusion"] = (extra.exclusion, exclusion_loss(output.logits, batch.apart.to(device)))
        if extra.sentences > 0:
            sentences = batch.sentences.to(device)
            told = sentence_contrast(output.logits, state, sentences)
            shared = [
                exclusion_loss(output.logits[[b]], torch.combinations(row.nonzero()[:, 0]))
                for b, row in enumerate(sentences)
            ]
            added["sentences"] = (extra.sentences, told + torch.stack(shared).mean())
        total = terms["total"] + sum((weight * term for weight, term in added.values()), terms["total"].new_zeros(()))
        return {**terms, **{name: term for name, (_, term) in added.items()}, "total": total}

    @torch.no_grad()
    def _teacher_logits(self, image: Tensor, batch: PromptBatch) -> Tensor | None:
        """What the mean weights think of the lesions of reports, where one is to be placed."""
        if not (self.config.losses.teacher and batch.plan and batch.plan.rows and batch.reports is not None):
            return None
        studies, labels = batch.reports.region.shape[:2]
        with self.fabric.autocast():
            output: PromptedOutput = self.ema.model(image[-studies:], batch.texts[:labels])
        return output.logits.float()

    def _validate(self, log: MetricsLog) -> None:
        self._write_table()
        result = validate(self._mean(), self.plan, self.config, device=self.fabric.device)
        if result is None:
            return
        log.write(step=self.state.step, event="validation", **result.to_json())
        if result.score > self.state.best_score:
            self.state.best_score = result.score
            self.state.best_points = tuple(OperatingPoint(t, t) for t in result.thresholds)
            self._save_model()

    def _write_table(self) -> None:
        self._mean().write_table([asking.texts(label)[0] for label in self.plan.labels])

    def _mean(self) -> PromptedNetwork:
        model = self.ema.model
        if not isinstance(model, PromptedNetwork):
            raise UsageError("The mean network is no prompted one.", got=type(model).__name__)
        return model

    def _save_model(self) -> None:
        """RUN/model: the mean weights now, with the thresholds of the best validation."""
        self._write_table()
        plan, config = self.plan, self.config
        reports = sum(s.cohort.findings(i) is not None for s in plan.sources for i in s.studies)
        card = ModelCard(
            architecture=Architecture(preset=config.preset, out_channels=len(plan.labels), prompts=self.architecture),
            labels=output_labels(plan, self.thresholds),
            spacing_mm=plan.spacing_mm,
            patch_size=config.patch_size,
            intensity=config.window,
            supervision={
                "studies": len(plan.training_ids),
                "reports": reports if "reports" in config.supervision else 0,
            },
            training_studies=TrainingStudies.of(plan.training_ids),
            validation={"score": self.state.best_score} if self.state.best_score >= 0 else {},
        )
        save_model(self.run / "model", self.ema.model, card)


class _Means:
    """Means of the loss terms since the last line of the log; tensors are read once a line, not a step."""

    def __init__(self) -> None:
        self.terms: list[dict[str, Tensor]] = []
        self.begun = time.monotonic()

    def add(self, terms: dict[str, Tensor]) -> None:
        """Those of one step."""
        self.terms.append(terms)

    def flush(self, step: int) -> dict[str, float]:
        """The means, which are then forgotten.

        Raises:
            InputError: one of them is no number.
        """
        means = {name: float(torch.stack([one[name] for one in self.terms]).mean()) for name in self.terms[0]}
        if wrong := [name for name, value in means.items() if not math.isfinite(value)]:
            raise InputError(
                "The loss is no longer finite.",
                where=f"step {step}",
                got=", ".join(wrong),
                next_step="resume from the last checkpoint with a lower learning_rate, or with precision=32-true",
            )
        seconds = (time.monotonic() - self.begun) / len(self.terms)
        self.terms, self.begun = [], time.monotonic()
        return {**means, "seconds_per_step": seconds}


def _network(config: PromptConfig, *, labels: int) -> tuple[PromptArchitecture, PromptedNetwork]:
    """The network, with the encoder of names of `text_encoder` where one is given; that one stays as it is, so that
    names which no cohort has keep their place among the others."""
    made = config.architecture
    if config.text_encoder is None:
        return made, prompt_presets.build(made, in_channels=1, labels=labels)
    names = load_name_encoder(config.text_encoder)
    made = made.model_copy(update={"text": names.card.text, "dimension": names.dimension})
    network = prompt_presets.build(made, in_channels=1, labels=labels)
    network.text.load_state_dict(names.network.state_dict())
    network.text.requires_grad_(bool(config.train_text))
    return made, network


def deep_supervision(levels: tuple[Tensor, ...], state: Tensor) -> Tensor:
    """Masked Dice + BCE of the coarser levels, fine to coarse, level i with weight 2^-i, normalised.

    The state of a coarse voxel is that of the fine voxel at its middle.
    """
    weights = [DEEP_DECAY ** (place + 1) for place in range(len(levels))]
    total = state.new_zeros((), dtype=torch.float32)
    for weight, level in zip(weights, levels, strict=True):
        x, y, z = (slice(n // m // 2, None, n // m) for n, m in zip(state.shape[2:], level.shape[2:], strict=True))
        total = total + weight / sum(weights) * masked_dice_bce(level, state[:, :, x, y, z], batch_dice=True)
    return total
