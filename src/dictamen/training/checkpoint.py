"""Checkpoints: one safetensors file each, written atomically, holding all that a resumed run needs.

Model, EMA and optimiser tensors are flattened to named tensors; numbers and the configuration stand in the header as
JSON. Never pickle. Batches, augmentation and learning rate are pure functions of (seed, step), so no generator state is
kept but torch's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dictamen.errors import InputError, UsageError
from dictamen.files import atomic_path
from dictamen.training.operating_point import OperatingPoint

KEPT = 2
"""Checkpoints kept: the newest, and the one before in case the newest is damaged by the file system."""
GENERATOR = "torch.generator"
RESUMABLE_CHANGES = frozenset({"accelerator", "loader_threads", "checkpoint_every", "log_every"})
"""Keys that may differ on resume: they change where and how often, not what is computed."""


@dataclass
class TrainingState:
    """What changes from step to step."""

    model: torch.nn.Module
    ema: torch.nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    best_score: float = -1.0
    best_points: tuple[OperatingPoint, ...] = ()


def save(folder: Path, state: TrainingState, config: BaseModel) -> Path:
    """Write `folder`/step_<n>.safetensors and remove all but the newest `KEPT`.

    Raises:
        ResourceError: disk full or folder not writable; older checkpoints are untouched.
    """
    facts = {
        "config": config.model_dump(mode="json"),
        "step": state.step,
        "best_score": state.best_score,
        "best_points": state.best_points,
    }
    path = folder / f"step_{state.step:08d}.safetensors"
    with atomic_path(path) as temporary:
        save_file(_tensors(state), temporary, metadata={"dictamen": json.dumps(facts)})
    for old in sorted(folder.glob("step_*.safetensors"))[:-KEPT]:
        old.unlink()
    return path


def restore(folder: Path, state: TrainingState, config: BaseModel) -> bool:
    """Load the newest readable checkpoint into `state`; False where there is none.

    Raises:
        UsageError: the checkpoint was made with another configuration (the keys that differ are named).
        InputError: no checkpoint can be read, or its tensors don't fit the model.
    """
    paths = sorted(folder.glob("step_*.safetensors"), reverse=True)
    problems = []
    for path in paths:
        try:
            tensors, facts = _read(path)
        except (SafetensorError, OSError, KeyError, ValueError, TypeError, RecursionError) as error:
            problems.append(f"{path.name}: {error}")
            continue
        _same_configuration(facts["config"], config, path)
        _load(state, tensors, path)
        state.step, state.best_score, state.best_points = (
            facts["step"],
            facts["best_score"],
            tuple(OperatingPoint(*point) for point in facts["best_points"]),
        )
        return True
    if problems:
        raise InputError(
            "No checkpoint can be read.",
            where=folder,
            got="; ".join(problems),
            next_step="start again with --overwrite",
        )
    return False


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["dictamen"])
        return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 - not a mapping


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    tensors = {f"model.{name}": value for name, value in state.model.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in state.ema.state_dict().items()}
    for index, values in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in values.items()}
    tensors[GENERATOR] = torch.get_rng_state()
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _load(state: TrainingState, tensors: Mapping[str, Tensor], path: Path) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    try:
        state.model.load_state_dict(part("model."))
        state.ema.load_state_dict(part("ema."))
    except RuntimeError as error:
        raise InputError(
            "The checkpoint does not fit the network.",
            where=path,
            got=error,
            next_step="resume with the preset it was trained with",
        ) from error
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in part("optimizer.").items():
        index, _, field = name.partition(".")
        moments.setdefault(int(index), {})[field] = value
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    torch.set_rng_state(tensors[GENERATOR])


def _same_configuration(saved: Mapping[str, Any], config: BaseModel, path: Path) -> None:
    now = config.model_dump(mode="json")
    with suppress(ValidationError):  # settings that are newer than the checkpoint had their default when it was made
        saved = type(config).model_validate(saved).model_dump(mode="json")
    changed = [key for key in now if key not in RESUMABLE_CHANGES and saved.get(key) != now[key]]
    if changed:
        raise UsageError(
            "The run was started with another configuration.",
            where=path.parent.parent,
            got=", ".join(f"{key}={now[key]}" for key in changed),
            expected=", ".join(f"{key}={saved.get(key)}" for key in changed),
            next_step="resume with the same settings, or train into another folder",
        )
