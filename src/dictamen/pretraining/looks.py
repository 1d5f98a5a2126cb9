"""Structures of a cohort beside their names: patches with organ masks. A pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dictamen.anatomy.knowledge import Knowledge
from dictamen.cohort.sampling import StratifiedSampler, patch_start
from dictamen.cohort.store import Cohort, StudyArrays
from dictamen.errors import InputError
from dictamen.losses.multi_positive import multi_positive_loss
from dictamen.models.look_encoder import LookEncoder
from dictamen.models.name_encoder import NameEncoder
from dictamen.models.presets import build_backbone, check_patch, divisors
from dictamen.pretraining.knowledge_config import KnowledgeConfig, LookSettings

LEAST_VOXELS = 8
"""Of a structure in a patch; fewer say little of what it looks like."""
VIEWS = 4
"""Patches of each validation study."""


@dataclass(frozen=True)
class Looks:
    """B patches and the S structures seen in them.

    Attributes:
        image: [B, 1, X, Y, Z] float32, normalised.
        labels: [B, X, Y, Z], values of the cohort's organ label map.
        structures: [S, 2], each a patch and a value of its label map.
        concepts: S, what each is.
    """

    image: Tensor
    labels: Tensor
    structures: Tensor
    concepts: tuple[str, ...]


class LookMaker:
    """Makes patches of a cohort's training studies, and those of validation.

    Attributes:
        concepts: all that the cohort's label map has a value for.

    Raises:
        InputError: no training study with organ masks that the knowledge has names for.
    """

    def __init__(self, cohort: Cohort, knowledge: Knowledge, config: KnowledgeConfig) -> None:
        self.cohort, self.config = cohort, config
        self.values = {value: name for value, name in cohort.info.organ_labels.items() if name in knowledge}
        self.training, self.validation = (cohort.ids(split, having=["organs"]) for split in ("train", "val"))
        if not self.training or not self.values:
            raise InputError(
                "The cohort shows no structures.",
                where=cohort.path,
                got=f"{len(self.training)} training studies with organ masks, {len(self.values)} organs with a name",
                expected="training studies with organ masks",
                next_step="build the cohort with an `organs` column, or leave the cohort out",
            )
        self.concepts = tuple(sorted(set(self.values.values())))
        self._sampler = StratifiedSampler({"studies": self.training}, {"studies": config.look.batch}, config.seed)

    def batch(self, step: int) -> Looks:
        """The patches of `step`, each around a structure drawn at random."""
        rngs = [np.random.default_rng((self.config.seed, step, slot)) for slot in range(self.config.look.batch)]
        ids = [study_id for _, study_id in self._sampler.batch(step)]
        return self._looks([self._patch(study_id, rng) for study_id, rng in zip(ids, rngs, strict=True)])

    def views(self) -> list[Looks]:
        """Patches of the validation studies, always the same."""
        return [
            self._looks([self._patch(study_id, np.random.default_rng((place, view)))])
            for place, study_id in enumerate(self.validation)
            for view in range(VIEWS)
        ]

    def _patch(self, study_id: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, StudyArrays]:
        study, size = self.cohort.study(study_id), self.config.look.patch_size
        boxes = [box for name, box in sorted(study.boxes.items()) if name.startswith("organ:")]
        box = boxes[int(rng.integers(len(boxes)))] if boxes else None
        start = patch_start(study.shape, size, box=box, rng=rng)
        image = self.config.window.apply(study.patch("image", start, size))
        return image, study.patch("organs", start, size), study

    def _looks(self, made: Sequence[tuple[np.ndarray, np.ndarray, StudyArrays]]) -> Looks:
        structures, concepts = [], []
        for place, (_, labels, study) in enumerate(made):
            values, voxels = np.unique(labels, return_counts=True)
            for value, count in zip(values.tolist(), voxels.tolist(), strict=True):
                name = self.values.get(value)
                if name in study.organ_names_annotated and name is not None and count >= LEAST_VOXELS:
                    structures.append((place, value))
                    concepts.append(name)
        return Looks(
            image=torch.from_numpy(np.stack([image for image, _, _ in made]))[:, None],
            labels=torch.from_numpy(np.stack([labels for _, labels, _ in made]).astype(np.int64)),
            structures=torch.tensor(structures, dtype=torch.long).view(-1, 2),
            concepts=tuple(concepts),
        )


def build(settings: LookSettings, *, dimension: int) -> LookEncoder:
    """A fresh encoder of looks.

    Raises:
        UsageError: an unknown preset, or a patch that it can't halve often enough.
    """
    check_patch(settings.patch_size, divisors(settings.preset))
    backbone = build_backbone(settings.preset, in_channels=1, features=settings.features)
    return LookEncoder(backbone, channels=settings.features, dimension=dimension)


def look_loss(
    looks: Tensor, concepts: Sequence[str], names: Tensor, owners: Sequence[str], temperature: float
) -> Tensor:
    """Contrast of S looks [S, D] with M names [M, D], both ways; positive where the concept is the same."""
    same = [[concept == owner for owner in owners] for concept in concepts]
    positive = torch.tensor(same, dtype=torch.bool).view(len(looks), len(names))
    none = torch.zeros_like(positive)
    there = multi_positive_loss(looks, names, positive=positive, ignored=none, temperature=temperature)
    back = multi_positive_loss(names, looks, positive=positive.T, ignored=none.T, temperature=temperature)
    return (there + back) / 2


@torch.no_grad()
def measure_looks(encoder: LookEncoder, names: NameEncoder, maker: LookMaker, knowledge: Knowledge) -> dict[str, float]:
    """Of structures in validation studies: share whose nearest preferred name is theirs, among all of the cohort.

    `looks`: any of the names; `looks_of_sides`: of those with a side, the right one of the two. Empty without
    validation studies.
    """
    encoder.eval()
    ids = maker.concepts
    table = names.embed([knowledge[name].name for name in ids])
    right, sides = [], []
    for view in maker.views():
        if not view.concepts:
            continue
        scores = functional.normalize(encoder(view.image, view.labels, view.structures), dim=1) @ table.T
        for row, concept in zip(scores, view.concepts, strict=True):
            right.append(ids[int(row.argmax())] == concept)
            mirror = next(iter(knowledge[concept].relations.get("mirror_of", ())), None)
            if mirror in ids:
                sides.append(bool(row[ids.index(concept)] > row[ids.index(mirror)]))
    shares = {"looks": right, "looks_of_sides": sides}
    return {name: sum(hits) / len(hits) for name, hits in shares.items() if hits}
