"""`anatomy pretrain`: from names, definitions and relations of anatomy to an encoder of names."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dictamen.anatomy.knowledge import Knowledge
from dictamen.anatomy.knowledge import load as load_knowledge
from dictamen.cohort.store import Cohort
from dictamen.files import output_folder, write_text
from dictamen.losses.multi_positive import multi_positive_loss
from dictamen.models import name_encoder
from dictamen.models.ema import ExponentialMovingAverage
from dictamen.models.look_encoder import LookEncoder
from dictamen.models.name_encoder import NameEncoder, NameEncoderCard, save_name_encoder
from dictamen.models.words import PADDING
from dictamen.pretraining.held_out import divide
from dictamen.pretraining.knowledge_config import KnowledgeConfig
from dictamen.pretraining.knowledge_measure import measure
from dictamen.pretraining.knowledge_texts import KnowledgeTexts
from dictamen.pretraining.looks import LookMaker, look_loss, measure_looks
from dictamen.pretraining.looks import build as build_looks
from dictamen.training import checkpoint
from dictamen.training.checkpoint import TrainingState
from dictamen.training.config import to_toml
from dictamen.training.loop import Progress
from dictamen.training.record import MetricsLog

PIECES_STD = 0.1
"""Of the table of words and trigrams at the start: what is never met then adds little to what was learned."""


@dataclass(frozen=True)
class KnowledgeResult:
    """What teaching ended with.

    Attributes:
        run: the run folder; `models.name_encoder.load_name_encoder(run)` reads it.
        metrics: `knowledge_measure.measure`.
        seconds: wall time of this call.
    """

    run: Path
    steps: int
    metrics: dict[str, float]
    seconds: float


def pretrain_knowledge(
    output: str | Path,
    config: KnowledgeConfig | None = None,
    *,
    knowledge: Knowledge | None = None,
    cohort: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> KnowledgeResult:
    """Teach an encoder the names, definitions and relations of anatomy and write a run folder.

    Args:
        output: the run folder: config.toml, metrics.jsonl, checkpoints/, model/.
        knowledge: all concepts; those that come with dictamen where None.
        cohort: with organ masks: names are then taught what their structures look like, too.
        resume: go on from the newest checkpoint; the result equals that of a run without interruption.
        overwrite: accept a folder that holds files; an older run in it is replaced.
        progress: called after each step.

    Raises:
        InputError: no cohort, or one whose training studies have no organ masks.
        UsageError: the folder is not empty, or the checkpoint has another configuration.
        ResourceError: disk full or not writable.
    """
    started, run = time.monotonic(), Path(output)
    config, knowledge = config or KnowledgeConfig(), knowledge or load_knowledge()
    taught = divide(knowledge, share=config.hold_out, seed=config.seed, whole=config.hold_out_whole)
    texts = KnowledgeTexts(knowledge, taught, config)
    looks = LookMaker(Cohort.open(cohort), knowledge, config) if cohort is not None else None
    state = _start(config, with_looks=looks is not None)
    output_folder(run, resume=resume, overwrite=overwrite)
    if resume:
        checkpoint.restore(run / "checkpoints", state, config)
    else:
        shutil.rmtree(run / "checkpoints", ignore_errors=True)
    write_text(run / "config.toml", to_toml(config))
    log = MetricsLog(run / "metrics.jsonl", from_step=state.step)
    while state.step < config.steps:
        loss = _step(state, texts, looks, config)
        state.step += 1
        last = state.step == config.steps
        if last or state.step % config.log_every == 0:
            log.write(step=state.step, event="knowledge", loss=float(loss))
        if last or state.step % config.checkpoint_every == 0:
            checkpoint.save(run / "checkpoints", state, config)
        if progress:
            progress(state.step, config.steps, "names, definitions and relations")
    network, look = _parts(_ema(state).model)
    card = NameEncoderCard(
        text=config.text,
        dimension=config.dimension,
        concepts=len(knowledge),
        names=sum(len(words) for words in taught.names.values()),
        knowledge_sha256=_hash(knowledge),
    )
    encoder = NameEncoder(network, card)
    metrics = measure(encoder, knowledge, taught, seed=config.seed)
    if looks is not None and look is not None:
        metrics |= measure_looks(look, encoder, looks, knowledge)
    log.write(step=state.step, event="validation", **metrics)
    save_name_encoder(run / "model", network, card.model_copy(update={"metrics": metrics}))
    return KnowledgeResult(run, config.steps, metrics, time.monotonic() - started)


def _start(config: KnowledgeConfig, *, with_looks: bool) -> TrainingState:
    torch.manual_seed(config.seed)
    network = nn.ModuleDict({"names": name_encoder.build(config.text, dimension=config.dimension)})
    if with_looks:
        network["look"] = build_looks(config.look, dimension=config.dimension)
    table, others = [], []
    for name, parameter in network.named_parameters():
        if name.endswith("pieces.weight"):
            with torch.no_grad():
                parameter.normal_(std=PIECES_STD)[PADDING] = 0
            table.append(parameter)
        elif parameter.requires_grad:
            others.append(parameter)
    optimizer = torch.optim.AdamW([{"params": others}, {"params": table}], weight_decay=config.weight_decay)
    return TrainingState(network, ExponentialMovingAverage(network, decay=config.ema_decay), optimizer)


def _parts(network: nn.Module) -> tuple[nn.Module, LookEncoder | None]:
    """The encoders of names and of looks."""
    parts = dict(network.named_children())
    look = parts.get("look")
    return parts["names"], look if isinstance(look, LookEncoder) else None


def _step(state: TrainingState, texts: KnowledgeTexts, looks: LookMaker | None, config: KnowledgeConfig) -> Tensor:
    """One optimiser step; the loss."""
    warm_up = min(1.0, (state.step + 1) / max(config.warm_up_steps, 1))
    rate = config.learning_rate * warm_up * (1 - state.step / config.steps)
    for group, times in zip(state.optimizer.param_groups, (1.0, config.pieces_rate), strict=True):
        group["lr"] = rate * times
    names, look = _parts(state.model)
    batch = texts.batch(state.step)
    embedded = _read(names, batch.texts)
    loss = multi_positive_loss(
        embedded,
        embedded[: batch.positive.shape[1]],
        positive=batch.positive,
        ignored=batch.ignored,
        temperature=config.temperature,
    )
    if looks is not None and look is not None:
        seen = looks.batch(state.step)
        asked = looks.concepts
        said = _read(names, texts.names(asked, state.step))
        found = look(seen.image, seen.labels, seen.structures)
        loss = loss + config.look.weight * look_loss(found, seen.concepts, said, asked, config.temperature)
    state.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(state.model.parameters(), config.gradient_clip)
    state.optimizer.step()
    _ema(state).update(state.model)
    return loss.detach()


def _read(network: nn.Module, texts: list[str]) -> Tensor:
    """Embeddings of texts; short and long ones apart, since each group is padded to its longest."""
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    half = 3 * len(order) // 4
    parts = [network([texts[place] for place in places]) for places in (order[:half], order[half:]) if places]
    return torch.cat(parts)[torch.tensor(order).argsort()]


def _ema(state: TrainingState) -> ExponentialMovingAverage:
    if not isinstance(state.ema, ExponentialMovingAverage):
        raise TypeError(type(state.ema).__name__)
    return state.ema


def _hash(knowledge: Knowledge) -> str:
    rows = [(c.id, c.words, c.definition, sorted(c.relations.items())) for c in knowledge]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
