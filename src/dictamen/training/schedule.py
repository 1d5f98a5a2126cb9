"""The learning rate and the reports' weight of a step: pure functions, so that resume needs no state."""

from __future__ import annotations

from dictamen.training.config import TrainConfig


def learning_rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, polynomial decay over the whole run, and a lower rate once reports join.

    Source: the recipe of the report-supervision paper (arXiv 2507.05582): warm-up, power .9, second stage slower.
    """
    warm_up = min(1.0, (step + 1) / max(config.warm_up_steps, 1))
    decay: float = (1.0 - step / config.steps) ** config.decay_power
    in_second_stage = config.first_report_step <= step and 0 < config.first_report_step < config.steps
    return config.learning_rate * warm_up * decay * (config.second_stage_rate if in_second_stage else 1.0)


def report_weight(step: int, config: TrainConfig) -> float:
    """Weight of everything that reports say: `losses.reports`, reached linearly within `report_ramp_steps`."""
    since = step - config.first_report_step + 1
    return config.losses.reports * min(1.0, max(since, 0) / max(config.report_ramp_steps, 1))
