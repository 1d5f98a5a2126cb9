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

    The cases of a step and their jitter are pure functions of (seed, step).

    Args:
        cases: crops; those without an answered region are left out.
        config: steps, rates, weights of the terms.
        objective: another loss, for comparison; then all cases are used.
        progress: called with (steps done, steps in all).
        log: called every `log_every` steps with the step and the mean of each term.

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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        refiner = Refiner()
    mean = ExponentialMovingAverage(refiner, decay=config.ema_decay)
    optimizer = torch.optim.AdamW(refiner.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.steps + 1, pct_start=0.1
    )
    sums: dict[str, float] = {}
    for step in range(config.steps):
        optimizer.zero_grad(set_to_none=True)
        numbers = _batch(step, used, config)
        for part in _parts(numbers, used):
            share, cases_now = len(part) / len(numbers), tensors(*(used[number] for number in part))
            image = _jittered(cases_now.image, step, part[0], config)
            terms = loss_of(_logits(refiner, image, cases_now), cases_now, part)
            (share * terms["total"]).backward()  # type: ignore[no-untyped-call]  # torch's annotation lacks it
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + share * float(value.detach())
        torch.nn.utils.clip_grad_norm_(refiner.parameters(), config.gradient_clip)
        optimizer.step()
        schedule.step()
        mean.update(refiner)
        if (step + 1) % config.log_every == 0 or step + 1 == config.steps:
            sums = _flush(sums, step + 1, config, log)
        if progress:
            progress(step + 1, config.steps)
    trained: Refiner = mean.model  # type: ignore[assignment]  # a copy of what it was made of
    return trained.eval()


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


def _flush(sums: dict[str, float], step: int, config: RefineConfig, log: Log | None) -> dict[str, float]:
    seen = (step - 1) % config.log_every + 1
    means = {name: value / seen for name, value in sums.items()}
    if not all(np.isfinite(value) for value in means.values()):
        raise InputError(
            "The loss of the refiner is no longer finite.", where=f"step {step}", next_step="lower the learning rate"
        )
    if log:
        log(step, means)
    return {}
