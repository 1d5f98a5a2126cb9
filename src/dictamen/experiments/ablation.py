"""What pretraining brings on a cohort, and which part of it: encoders x maps x labels x seeds; resumable."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from dictamen.anatomy import vocabulary
from dictamen.cohort.store import Cohort
from dictamen.errors import InputError, UsageError
from dictamen.experiments.ablation_table import ablation_table
from dictamen.experiments.fine_tune import FineTuning, OrganViews, build_network, fine_tune, measure_organs
from dictamen.files import output_folder, write_json, write_text
from dictamen.models.pretrained import Pretrained, load_pretrained
from dictamen.pretraining.config import PretrainConfig
from dictamen.pretraining.pairs import PairMaker
from dictamen.pretraining.pretrain import pretrain
from dictamen.training.config import merged, settings_of, to_toml

Progress = Callable[[int, int, str], None]

ENCODERS: Mapping[str, dict[str, Any]] = {
    "scratch": {},
    "contrast": {"recognition": 0.0},
    "tags": {"contrastive": 0.0, "head": "pooling"},
    "tags-query": {"contrastive": 0.0, "head": "query"},
    "both": {"head": "pooling"},
    "both-query": {"head": "query"},
}
"""Changes of the pretraining's settings; `scratch` is not pretrained."""
MAPS = "+maps"
MAY_GROW = frozenset(["arms", "fractions", "seeds"])
"""Settings that a resumed comparison may change: what is done stays comparable."""
ARMS = tuple(f"{name}{maps}" for name in ENCODERS for maps in ("", MAPS))


class AblationConfig(BaseModel):
    """What is compared, and how the segmenters are trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pretrain: PretrainConfig = PretrainConfig()
    arms: tuple[str, ...] = ARMS
    organs: tuple[str, ...] | None = None  # None: those of the cohort's organs that are tags
    fractions: tuple[float, ...] = (0.01, 0.05, 0.1, 1.0)  # of the training studies whose label maps are used
    seeds: int = Field(default=5, ge=1)  # each draws other labels, initial weights and batches, alike for every arm
    steps: int = Field(default=1000, ge=1)  # of fine-tuning; with fewer, every arm is noise
    batch: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=1.5e-3, gt=0)
    tag_maps: float = Field(default=0.4, ge=0)  # weight of the loss of maps
    split: str = "test"


@dataclass(frozen=True)
class AblationResult:
    """What an ablation ended with.

    Attributes:
        folder: OUT/seed_<n>/<encoder>/ (pretraining runs), OUT/seed_<n>/<arm>_<labels>.json, table.md, summary.json.
        table: markdown.
    """

    folder: Path
    table: str


def resolve_ablation(file: Path | None = None, assignments: Iterable[str] = (), **values: object) -> AblationConfig:
    """Defaults, then the toml `file`, then `values`, then `key=value` assignments (`pretrain.steps=400`).

    Raises:
        UsageError: an unknown key, arm, or a value out of range.
    """
    config = settings_of(AblationConfig, merged(file, assignments, values), file=file)
    if unknown := [arm for arm in config.arms if arm not in ARMS]:
        raise UsageError("There is no such arm.", got=", ".join(unknown), expected=", ".join(ARMS))
    if not config.fractions or any(not 0 < fraction <= 1 for fraction in config.fractions):
        raise UsageError("`fractions` must lie above 0 and at most at 1.", got=config.fractions)
    return config


def ablate(
    cohort: str | Path | Cohort,
    output: str | Path,
    config: AblationConfig | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> AblationResult:
    """Pretrain each encoder, fine-tune each arm on few and many label maps, with each seed, and compare them.

    Args:
        cohort: its training studies need reports and organ masks, those of `config.split` organ masks.
        output: the folder; the table is written anew after each result.
        resume: skip what is done.
        progress: called with (done, all, what was done).

    Raises:
        UsageError: the folder is not empty, or holds a comparison with other settings; an organ that the cohort lacks.
        InputError: no study to train or to measure on.
    """
    config = config or AblationConfig()
    opened = cohort if isinstance(cohort, Cohort) else Cohort.open(Path(cohort))
    maker = PairMaker(opened, config.pretrain)
    views = OrganViews(maker, _organs(opened, maker, config))
    train, test = opened.ids("train", having=("organs",)), opened.ids(config.split, having=("organs",))
    if not train or not test:
        raise InputError(
            "There is nothing to compare on.",
            where=opened.path,
            got=f"{len(train)} training and {len(test)} {config.split} studies with organ masks",
        )
    counts = sorted({max(1, round(fraction * len(train))) for fraction in config.fractions})
    folder = output_folder(Path(output), resume=resume, overwrite=overwrite)
    if resume:
        _same_settings(folder / "config.toml", config)
    write_text(folder / "config.toml", _toml(config))
    jobs = [(seed, arm, count) for seed in range(config.seeds) for arm in config.arms for count in counts]
    for done, (seed, arm, count) in enumerate(jobs):
        file = folder / f"seed_{seed}" / f"{arm}_{count}.json"
        if not (resume and file.is_file()):
            studies = [train[index] for index in np.random.default_rng(seed).permutation(len(train))[:count]]
            pretrained = _encoder(opened, folder / f"seed_{seed}", arm.removesuffix(MAPS), config, seed, resume=resume)
            write_json(file, _run(views, pretrained, studies, test, arm.endswith(MAPS), config, seed))
            _write_table(folder, config, train=len(train), test=len(test), organs=views.organs)
        if progress:
            progress(done + 1, len(jobs), f"seed {seed}, {arm}, {count} labels")
    return AblationResult(folder, _write_table(folder, config, train=len(train), test=len(test), organs=views.organs))


def _same_settings(file: Path, config: AblationConfig) -> None:
    """Results of other settings must not stand in one table; more arms, labels and seeds may join."""
    if not file.is_file():
        return
    saved = resolve_ablation(file)
    changed = [
        name
        for name in AblationConfig.model_fields
        if name not in MAY_GROW and getattr(saved, name) != getattr(config, name)
    ]
    if changed:
        raise UsageError(
            "The comparison was started with other settings.",
            where=file,
            got=", ".join(changed),
            next_step="resume with --config of that file, or use another folder",
        )


def _toml(config: AblationConfig) -> str:
    """As `resolve_ablation` reads it back."""
    own = config.model_dump(mode="json", exclude_none=True, exclude={"pretrain"})
    inner = to_toml(config.pretrain).replace("\n[", "\n[pretrain.")
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in own.items()) + f"\n[pretrain]\n{inner}"


def _run(
    views: OrganViews,
    pretrained: Pretrained | None,
    studies: Sequence[str],
    test: Sequence[str],
    maps: bool,
    config: AblationConfig,
    seed: int,
) -> dict[str, Any]:
    """Fine-tune one arm and measure it."""
    started = time.monotonic()
    network, matched = build_network(views, pretrained, maps=maps, seed=seed)
    settings = FineTuning(config.steps, config.batch, config.learning_rate, config.tag_maps)
    fine_tune(network, matched, views, studies, settings, seed=seed)
    return {**asdict(measure_organs(network, views, test)), "seconds": time.monotonic() - started}


def _encoder(
    cohort: Cohort, folder: Path, name: str, config: AblationConfig, seed: int, *, resume: bool
) -> Pretrained | None:
    """The pretrained encoder of this name and seed, made where it is not there yet."""
    if not ENCODERS[name]:
        return None
    run = folder / name
    if not (run / "model" / "pretrained.json").is_file():
        changes = {**ENCODERS[name], "seed": seed}
        settings = PretrainConfig.model_validate({**config.pretrain.model_dump(), **changes})
        pretrain(cohort, run, settings, resume=resume and run.exists(), overwrite=True)
    return load_pretrained(run)


def _organs(cohort: Cohort, maker: PairMaker, config: AblationConfig) -> tuple[str, ...]:
    """The output channels."""
    words = vocabulary.load()
    known = {words.whole(name)[0] for name in cohort.info.organ_labels.values()}
    tags = dict.fromkeys(tag.structure for tag in maker.tags if tag.attribute is None)
    wanted = config.organs if config.organs is not None else tuple(name for name in tags if name in known)
    if unknown := [organ for organ in wanted if organ not in known]:
        raise UsageError(
            "The cohort has no mask of an organ.", got=", ".join(unknown), expected=", ".join(sorted(known))
        )
    if not wanted:
        raise UsageError(
            "No organ of the cohort is a tag of its reports.", expected="`organs`", next_step='--set organs=["liver"]'
        )
    return wanted


def _write_table(folder: Path, config: AblationConfig, *, train: int, test: int, organs: Sequence[str]) -> str:
    """table.md and summary.json of what is done so far."""
    results: dict[str, dict[int, dict[int, dict[str, Any]]]] = {}
    encoders: dict[str, dict[int, dict[str, float]]] = {}
    for seed in range(config.seeds):
        for file in sorted((folder / f"seed_{seed}").glob("*.json")):
            arm, _, count = file.stem.rpartition("_")
            results.setdefault(arm, {}).setdefault(int(count), {})[seed] = _read(file)
        for name in ENCODERS:
            card = folder / f"seed_{seed}" / name / "model" / "pretrained.json"
            if card.is_file():
                log = (card.parent.parent / "metrics.jsonl").read_text(encoding="utf-8").partition("\n")[0]
                metrics = {**_read(card)["metrics"], "first_contrastive": json.loads(log)["contrastive"]}
                encoders.setdefault(name, {})[seed] = metrics
    arms = [arm for arm in ARMS if arm in results]
    table = ablation_table(
        {arm: results[arm] for arm in arms},
        encoders,
        organs=organs,
        train=train,
        test=test,
        batch=config.pretrain.batch,
    )
    write_json(folder / "summary.json", {"arms": results, "encoders": encoders})
    write_text(folder / "table.md", table)
    return table


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
