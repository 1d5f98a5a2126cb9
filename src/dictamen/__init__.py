"""Train 3D medical segmentation models from what radiologists already dictate. Research use only.

Python mirrors the verbs of the command line; each name is imported when it is first used.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dictamen.cohort.build import build_cohort
    from dictamen.cohort.store import Cohort
    from dictamen.errors import DictamenError, InputError, ResourceError, UsageError
    from dictamen.evaluation.audit import audit
    from dictamen.evaluation.evaluate import evaluate
    from dictamen.experiments.experiment import run_experiment
    from dictamen.inference.predict import predict
    from dictamen.interval import Interval
    from dictamen.phantom.generate import write_phantom
    from dictamen.pretraining.config import PretrainConfig
    from dictamen.pretraining.pretrain import pretrain
    from dictamen.prompting.config import PromptConfig
    from dictamen.prompting.ground import ground
    from dictamen.prompting.train import train_prompts
    from dictamen.refinement.refine import refine
    from dictamen.reports.rules import read_report
    from dictamen.review.store import FeedbackStore
    from dictamen.training.config import TrainConfig
    from dictamen.training.train import train

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
"""torch reads it when it is imported: large tensors lie in large pages. Maps of a 3D network are fetched from the
system anew in each layer, and in pages of 4 kB that takes a quarter of a processor's time."""

_HOMES = {
    "Cohort": "dictamen.cohort.store",
    "DictamenError": "dictamen.errors",
    "FeedbackStore": "dictamen.review.store",
    "InputError": "dictamen.errors",
    "Interval": "dictamen.interval",
    "PretrainConfig": "dictamen.pretraining.config",
    "PromptConfig": "dictamen.prompting.config",
    "ResourceError": "dictamen.errors",
    "TrainConfig": "dictamen.training.config",
    "UsageError": "dictamen.errors",
    "audit": "dictamen.evaluation.audit",
    "build_cohort": "dictamen.cohort.build",
    "evaluate": "dictamen.evaluation.evaluate",
    "ground": "dictamen.prompting.ground",
    "predict": "dictamen.inference.predict",
    "pretrain": "dictamen.pretraining.pretrain",
    "read_report": "dictamen.reports.rules",
    "refine": "dictamen.refinement.refine",
    "run_experiment": "dictamen.experiments.experiment",
    "train": "dictamen.training.train",
    "train_prompts": "dictamen.prompting.train",
    "write_phantom": "dictamen.phantom.generate",
}

__all__ = [
    "Cohort",
    "DictamenError",
    "FeedbackStore",
    "InputError",
    "Interval",
    "PretrainConfig",
    "PromptConfig",
    "ResourceError",
    "TrainConfig",
    "UsageError",
    "audit",
    "build_cohort",
    "evaluate",
    "ground",
    "predict",
    "pretrain",
    "read_report",
    "refine",
    "run_experiment",
    "train",
    "train_prompts",
    "write_phantom",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dictamen' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
