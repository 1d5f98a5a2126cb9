"""Train a refiner on cases and what was said about them. Nothing here can see a truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dictamen.errors import InputError
from dictamen.losses.refinement import refinement_losses
from dictamen.models.ema import ExponentialMovingAverage
from dictamen.models.refiner import CONFIDENCE, Refiner
from dictamen.refinement.batch import CaseTensors, tensors
from dictamen.refinement.case import RefineCase
from dictamen.refinement.config import RefineConfig
from dictamen.supervision.region_targets import balanced

Objective = Callable[[Tensor, CaseTensors, list[int]], dict[str, Tensor]]
"""(logits [B, 1, X, Y, Z], the cases, their numbers) -> terms with "total"."""
POOL = 4
"""Cases of so many batches are sorted by size, so that those of one batch need little padding."""
TRIAL = 3
"""Starts are compared after a third of the steps, by the mean loss of the last third of those."""
APART = 1_000_003
"""Between the seeds of two starts."""
MOST_VOXELS = 2_000_000
"""At once: with their activations they take some 2 GB."""
Progress = Callable[[int, int], None]
Log = Callable[[int, dict[str, float]], None]


def train_refiner(
    cases: Sequence[RefineCase],
    config: RefineConfig,
    *,
    objective: Objective | None = None,
    progress: Progress | None = None,
    log: Log | None = None,
) -> Refiner:
    """Train on all cases that have feedback; the mean of the last weights is returned, in evaluation mode.

    Several first weights (`starts`) are tried where that is set, and the one with the lowest loss is kept.
    The cases of a step and their jitter are pure functions of (seed, step).

    Args:
        cases: crops; those without an answered region are left out.
        config: steps, rates, weights of the terms.
        objective: another loss, for comparison; then all cases are used.
        progress: called with (steps done, steps in all).
        log: called after the training, for every `log_every` steps, with the step and the mean of each term.

    Raises:
        InputError: no case has an answered region, or the loss is no longer finite.
    """
    used = list(cases) if objective else [case for case in cases if case.targets and case.targets.answered]
    if not used:
        raise InputError(
            "No region has been answered: there is nothing to learn from.",
            next_step="score regions with `dictamen review`, or import answers",
        )
    if objective is None and config.balance:
        tables = balanced([case.targets for case in used if case.targets])
        used = [replace(case, targets=table) for case, table in zip(used, tables, strict=True)]
    loss_of = objective or feedback_objective(config)
    trial = config.steps // TRIAL if config.starts > 1 else 0
    runs = [_Run(used, config, loss_of, start) for start in range(config.starts if trial else 1)]
    total = config.steps + trial * (len(runs) - 1)
    for number, run in enumerate(runs):
        for step in range(trial):
            run.advance(step)
            if progress:
                progress(number * trial + step + 1, total)
    best = min(runs, key=lambda run: run.recent_loss(trial // TRIAL))
    for step in range(trial, config.steps):
        best.advance(step)
        if progress:
            progress(total - config.steps + step + 1, total)
    if log:
        for last in [*range(config.log_every, config.steps, config.log_every), config.steps]:
            first = (last - 1) // config.log_every * config.log_every
            log(last, _means(best.terms[first:last]))
    trained: Refiner = best.mean.model  # type: ignore[assignment]  # a copy of what it was made of
    return trained.eval()


class _Run:
    """A refiner under training, from the `start`-th first weights."""

    def __init__(self, cases: Sequence[RefineCase], config: RefineConfig, loss_of: Objective, start: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed + start * APART)
            self.refiner = Refiner()
        self.cases, self.config, self.loss_of = cases, config, loss_of
        self.mean = ExponentialMovingAverage(self.refiner, decay=config.ema_decay)
        self.optimizer = torch.optim.AdamW(
            self.refiner.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, config.learning_rate, total_steps=config.steps + 1, pct_start=0.1
        )
        self.terms: list[dict[str, float]] = []

    def advance(self, step: int) -> None:
        """One step; the same cases for every start."""
        self.optimizer.zero_grad(set_to_none=True)
        numbers, sums = _batch(step, self.cases, self.config), dict[str, float]()
        for part in _parts(numbers, self.cases):
            share, cases_now = len(part) / len(numbers), tensors(*(self.cases[number] for number in part))
            image = _jittered(cases_now.image, step, part[0], self.config)
            terms = self.loss_of(_logits(self.refiner, image, cases_now), cases_now, part)
            (share * terms["total"]).backward()  # type: ignore[no-untyped-call]  # torch's annotation lacks it
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + share * float(value.detach())
        if not all(np.isfinite(value) for value in sums.values()):
            raise InputError(
                "The loss of the refiner is no longer finite.",
                where=f"step {step + 1}",
                next_step="lower the learning rate",
            )
        torch.nn.utils.clip_grad_norm_(self.refiner.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        self.schedule.step()
        self.mean.update(self.refiner)
        self.terms.append(sums)

    def recent_loss(self, steps: int) -> float:
        """Mean of the last `steps` losses, at least one; 0 before the first."""
        return _means(self.terms[-max(steps, 1) :]).get("total", 0.0)


def _means(terms: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(one[name] for one in terms) / len(terms) for name in (terms[0] if terms else ())}


def feedback_objective(config: RefineConfig) -> Objective:
    """The loss of region feedback."""
    weights = config.weights

    def loss(logits: Tensor, cases: CaseTensors, numbers: list[int]) -> dict[str, Tensor]:
        if cases.table is None:
            raise InputError("A case without feedback can't be trained on.", got=numbers)
        return refinement_losses(
            logits,
            mask=cases.mask,
            region=cases.region,
            band=cases.band,
            edge=cases.edge,
            inside=cases.inside,
            table=cases.table,
            weights=weights,
        )

    return loss


def _batch(step: int, cases: Sequence[RefineCase], config: RefineConfig) -> list[int]:
    """Cases of a step: consecutive places of permutations, one an epoch, so that all are seen equally often."""
    count, pool = len(cases), POOL * config.batch
    places = range(step * config.batch, (step + 1) * config.batch)
    orders = {}
    for epoch in {place // count for place in places}:
        order = np.random.default_rng([config.seed, epoch]).permutation(count).tolist()
        pools = [order[first : first + pool] for first in range(0, count, pool)]
        orders[epoch] = [one for mixed in pools for one in sorted(mixed, key=lambda number: cases[number].mask.size)]
    return [orders[place // count][place % count] for place in places]


def _parts(numbers: list[int], cases: Sequence[RefineCase]) -> list[list[int]]:
    """Cases of a step that go through the network together: at most `MOST_VOXELS` when padded, but at least one."""
    parts: list[list[int]] = []
    for number in numbers:
        together = [*parts[-1], number] if parts else [number]
        sides = np.max([cases[one].mask.shape for one in together], axis=0)
        if parts and len(together) * int(np.prod(sides)) <= MOST_VOXELS:
            parts[-1] = together
        else:
            parts.append([number])
    return parts


def _logits(refiner: Refiner, image: Tensor, cases: CaseTensors) -> Tensor:
    """Of each case by itself, as it will be refined: padding would enter the network's instance norms."""
    everywhere = CONFIDENCE * (2 * cases.mask - 1)
    for number, (x, y, z) in enumerate(cases.sides):
        crop = (slice(number, number + 1), slice(None), slice(x), slice(y), slice(z))
        everywhere[crop] = refiner(image[crop], cases.mask[crop], cases.edge[crop], cases.inside[crop])
    return everywhere


def _jittered(image: Tensor, step: int, first: int, config: RefineConfig) -> Tensor:
    """Another contrast and brightness of each case."""
    change = config.jitter * np.random.default_rng([config.seed, step, first]).uniform(
        -1, 1, (2, len(image), 1, 1, 1, 1)
    )
    gain, shift = torch.from_numpy(change).to(image.dtype)
    changed: Tensor = image * (1 + gain) + shift
    return changed.clamp(-1, 1)
