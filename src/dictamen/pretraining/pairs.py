"""Batches of pairs of scan and report. A pure function of (seed, step)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dictamen.cohort.sampling import StratifiedSampler
from dictamen.cohort.store import Cohort, StudyArrays
from dictamen.errors import InputError, UsageError
from dictamen.pretraining.config import PretrainConfig
from dictamen.reports.named_organs import named_organs
from dictamen.reports.schema import ReportFindings
from dictamen.supervision.tags import Tag, choose_tags, tag_targets

AIR_HU = -1024
"""Beyond the volume, as the store has it."""
BYTES_PER_VOXEL = 2
KEPT_BYTES = 2 << 30
"""Volumes that stay in memory, at the training spacing: some hundred CTs; beyond that they are read each time."""
READ = 65_536
"""Reports whose findings stay in memory."""
SCALE_BY, SHIFT_BY = 0.1, 0.05
"""Random contrast and brightness, as in training."""


@dataclass(frozen=True)
class Pairs:
    """B pairs.

    Attributes:
        image: [B, 1, X, Y, Z] float32, normalised.
        texts: the reports.
        target, weight: [B, K] of the tags.
    """

    image: Tensor
    texts: tuple[str, ...]
    target: Tensor
    weight: Tensor


class PairMaker:
    """Makes the pairs of any step, and those of validation.

    Args:
        rank, processes: which of how many; each makes its share of a batch, in the order of processes.

    Raises:
        InputError: fewer training studies with report text than a batch holds, or no tag that they can teach.
        UsageError: a tag of `config.tags` that is none.
    """

    def __init__(self, cohort: Cohort, config: PretrainConfig, *, rank: int = 0, processes: int = 1) -> None:
        self.cohort, self.config = cohort, config
        share = config.batch // processes
        self.slots = range(rank * share, (rank + 1) * share)
        self.training = self._with_text("train")
        self.validation = self._with_text("val")
        if len(self.training) < config.batch:
            raise InputError(
                "The cohort has too few pairs of scan and report.",
                where=cohort.path,
                got=f"{len(self.training)} training studies with the text of their report",
                expected=f"{config.batch}, the pairs of a batch, or more",
                next_step="lower `batch`, or add reports to the cohort",
            )
        self._read = lru_cache(maxsize=READ)(self._read_report)
        self._volumes: dict[str, npt.NDArray[np.integer]] = {}
        self._sampler = StratifiedSampler({"pairs": self.training}, {"pairs": config.batch}, config.seed)
        self.tags = self._tags()

    def batch(self, step: int) -> Pairs:
        """This process's pairs of `step`; no study is in a batch twice unless the list of studies ends within it."""
        everyone = [study_id for _, study_id in self._sampler.batch(step)]
        drawn = [everyone[slot] for slot in self.slots]
        rngs = [np.random.default_rng((self.config.seed, step, slot)) for slot in self.slots]
        images = [self.changed(self.view(study_id, rng), rng) for study_id, rng in zip(drawn, rngs, strict=True)]
        return self._pairs(drawn, images)

    def validation_pairs(self, study_ids: Sequence[str]) -> Pairs:
        """Pairs of these studies, seen at their centre and unchanged."""
        return self._pairs(study_ids, [self.view(study_id) for study_id in study_ids])

    def view(self, study_id: str, rng: np.random.Generator | None = None) -> npt.NDArray[np.float32]:
        """The normalised image [X, Y, Z] around the centre of a study, shifted at random with `rng`."""
        study, config = self.cohort.study(study_id), self.config
        size = [side * config.shrink for side in config.patch_size]
        voxels = config.window.apply(self._patch(study, self.start(study, rng), size))
        return block_means(voxels, config.shrink)

    def _patch(self, study: StudyArrays, start: Sequence[int], size: Sequence[int]) -> npt.NDArray[np.integer]:
        """As `study.patch`, of a volume that is kept in memory as long as there is room."""
        if study.study_id not in self._volumes:
            kept = sum(volume.nbytes for volume in self._volumes.values())
            if kept + math.prod(study.shape) * BYTES_PER_VOXEL > KEPT_BYTES:
                return study.patch("image", start, size)
            self._volumes[study.study_id] = study.level("image", 1)
        return cut(self._volumes[study.study_id], start, size, fill=AIR_HU)

    def start(self, study: StudyArrays, rng: np.random.Generator | None = None) -> list[int]:
        """First voxel of the view; a shifted view may reach beyond the volume, where there is air."""
        size = np.array(self.config.patch_size) * self.config.shrink
        start = (np.array(study.shape) - size) / 2
        if rng is not None:
            reach = np.maximum(self.config.shift * size, start)
            start = start + rng.uniform(-reach, reach)
        return [int(value) for value in np.rint(start)]

    def _pairs(self, study_ids: Sequence[str], images: Sequence[npt.NDArray[np.float32]]) -> Pairs:
        known = [self._read(study_id) for study_id in study_ids]
        rows = [
            tag_targets(report, self.tags, named=named, unmentioned=self.config.unmentioned) for report, named in known
        ]
        return Pairs(
            image=torch.from_numpy(np.stack(images))[:, None],
            texts=tuple(self.cohort.report(study_id) or "" for study_id in study_ids),
            target=torch.from_numpy(np.stack([target for target, _ in rows])),
            weight=torch.from_numpy(np.stack([weight for _, weight in rows])),
        )

    def changed(self, image: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Contrast, brightness and noise; no flip, since reports speak of sides."""
        scale, shift = 1 + rng.uniform(-SCALE_BY, SCALE_BY), rng.uniform(-SHIFT_BY, SHIFT_BY)
        noise = rng.standard_normal(image.shape, dtype=np.float32) * self.config.noise_std
        return np.asarray(image * scale + shift + noise, dtype=np.float32)

    def _read_report(self, study_id: str) -> tuple[ReportFindings, frozenset[str]]:
        report = self.cohort.findings(study_id) or ReportFindings(study_id=study_id)
        return report, named_organs(self.cohort.report(study_id) or "")

    def _with_text(self, split: str) -> tuple[str, ...]:
        return tuple(i for i in self.cohort.ids(split, having=("report",)) if (self.cohort.report(i) or "").strip())

    def _tags(self) -> tuple[Tag, ...]:
        config = self.config
        if config.tags is not None:
            try:
                return tuple(Tag.parse(name) for name in config.tags)
            except InputError as error:
                raise UsageError(
                    f"`tags` names something else: {error.what}", got=error.got, expected=error.expected
                ) from error
        known = [self._read(study_id) for study_id in self.training]
        chosen = choose_tags(known, unmentioned=config.unmentioned, fewest=config.fewest)
        if not chosen:
            raise InputError(
                "The reports teach no tag.",
                where=self.cohort.path,
                expected=f"a tag that at least {config.fewest} reports say is there, and as many that it is not",
                next_step="lower `fewest`, set unmentioned=absent for captions, or name `tags`",
            )
        return chosen


def cut(
    volume: npt.NDArray[np.integer], start: Sequence[int], size: Sequence[int], *, fill: int
) -> npt.NDArray[np.integer]:
    """Voxels [start, start + size) of `volume`, `fill` where they lie outside."""
    out = np.full(size, fill, dtype=volume.dtype)
    first = [max(0, begin) for begin in start]
    last = [min(n, begin + side) for n, begin, side in zip(volume.shape, start, size, strict=True)]
    if all(a < b for a, b in zip(first, last, strict=True)):
        inside = tuple(slice(a - begin, b - begin) for a, b, begin in zip(first, last, start, strict=True))
        out[inside] = volume[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    return out


def block_means(voxels: npt.NDArray[np.float32], factor: int) -> npt.NDArray[np.float32]:
    """Means of blocks of factor^3 voxels."""
    if factor == 1:
        return voxels
    x, y, z = (side // factor for side in voxels.shape)
    blocks = voxels.reshape(x, factor, y, factor, z, factor)
    return np.asarray(blocks.mean(axis=(1, 3, 5)), dtype=np.float32)
