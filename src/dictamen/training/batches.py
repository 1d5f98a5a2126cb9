"""Batches of patches: which studies, which place, which supervision. A pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import floor
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from dictamen.cohort.sampling import Box, StratifiedSampler, patch_start, start_containing
from dictamen.cohort.store import Cohort, Kind
from dictamen.losses.ball_plan import BallPlan, plan_of
from dictamen.supervision.from_findings import constraints
from dictamen.supervision.image_planes import ImageOrder
from dictamen.supervision.ledger import Ledger
from dictamen.supervision.patch import PatchSupervision
from dictamen.supervision.rasterise import StudyPatch, StudyRegions, StudySupervisor, collate
from dictamen.supervision.study_patch import block_means, coarser
from dictamen.training.augmentation import Augmenter
from dictamen.training.config import TrainConfig
from dictamen.training.image_order import image_planes
from dictamen.training.plan import Plan

REGIONS_KEPT = 4096
"""Studies whose region geometry stays in memory, about 100 kB each."""
PATCH_KINDS: tuple[Kind, ...] = ("organs", "image")
AT_LOWER_RESOLUTION = 0.5
"""How often a region that is larger than a patch is seen as a whole, at half, a third or a quarter of the resolution;
otherwise a piece of it, of which a report says an upper bound alone."""
COARSEST = 4
Made = TypeVar("Made", covariant=True)
PREFETCH = 4
"""Batches made ahead of the step that needs them."""


@dataclass(frozen=True)
class Batch:
    """One batch: the studies with masks, then those with reports.

    Attributes:
        image: [B, 1, X, Y, Z] float32, normalised.
        state: [B, L, X, Y, Z], what is known of each voxel.
        reports: regions of the studies with reports and of the lesion labels; None: no such study in the batch.
        plan: where their lesions are searched.
        ledger: what was counted.
    """

    image: Tensor
    state: Tensor
    reports: PatchSupervision | None
    plan: BallPlan | None
    ledger: Ledger = field(default_factory=Ledger)


class BatchMaker:
    """Makes the batch of any step.

    Of several processes, each makes its share of a batch that many times as large, with as many of its masks as the
    others, give or take one: the patches of a step are those of one process with the larger batch.

    Args:
        image_order: from which end the slices are numbered that reports name; None: not known.
        rank, processes: which of how many.
    """

    def __init__(
        self,
        cohort: Cohort,
        plan: Plan,
        supervisor: StudySupervisor,
        config: TrainConfig,
        *,
        image_order: ImageOrder | None = None,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.image_order = image_order
        self.rank, self.processes = rank, processes
        self.cohort = cohort
        self.plan = plan
        self.supervisor = supervisor
        self.config = config
        self.augment = Augmenter(config.augmentation)
        self.draws = {
            name: _Draw(name, getattr(plan, name), plan.positive, config)
            for name in ("masks", "reports")
            if getattr(plan, name)
        }
        self.regions = lru_cache(maxsize=REGIONS_KEPT)(self._regions)

    def batch(self, step: int) -> Batch:
        """The batch of `step`: the same for the same seed, whatever was computed before."""
        drawn = self._drawn(step)
        images, patches, ledger = [], [], Ledger()
        for slot, (group, position) in enumerate(drawn):
            rng = np.random.default_rng((self.config.seed, step, slot * self.processes + self.rank))
            study_id = self.draws[group].study(position, rng)
            voxels, known = (
                self._mask_patch(study_id, rng) if group == "masks" else self._report_patch(study_id, rng, ledger)
            )
            image, patch = self._augmented(voxels, known, rng)
            images.append(image)
            patches.append(patch)
        everything, first = collate(patches), sum(group == "masks" for group, _ in drawn)
        reports = everything.narrow(first, len(self.plan.targets)) if first < len(patches) else None
        return Batch(torch.stack(images), everything.state, reports, plan_of(reports) if reports else None, ledger)

    def _drawn(self, step: int) -> list[tuple[str, int]]:
        """Group and position in its endless list of each of this process's patches of a step, masks first."""
        size = self.config.batch_size * self.processes
        masks = self.config.masks_per_batch * self.processes if "reports" in self.draws else size
        if "masks" not in self.draws:
            masks = 0
        elif step < self.config.first_report_step:
            masks = size
        begin, end = floor(step * masks), floor((step + 1) * masks)
        first = step * size - begin
        everyone = [
            *(("masks", position) for position in range(begin, end)),
            *(("reports", position) for position in range(first, first + size - (end - begin))),
        ]
        return everyone[self.rank :: self.processes]

    def _mask_patch(self, study_id: str, rng: np.random.Generator) -> tuple[np.ndarray, StudyPatch]:
        study, size = self.cohort.study(study_id), self.config.patch_size
        lesions = [
            box for target in self.plan.targets for box in study.component_boxes.get(f"lesion:{target.name}", ())
        ]
        organs = [study.boxes[f"organ:{organ}"] for organ in self.plan.organ_labels if f"organ:{organ}" in study.boxes]
        box = self._box(lesions, organs, rng)
        start = patch_start(study.shape, size, box=box, rng=rng)
        patch = self.supervisor.patch_from_masks(
            study.patch("organs", start, size),
            study.patch("lesions", start, size),
            study.organ_names_annotated,
            study.lesion_names_annotated,
            start=start,
            shape=study.shape,
            spacing_mm=study.spacing_mm,
        )
        return study.patch("image", start, size), patch

    def _report_patch(self, study_id: str, rng: np.random.Generator, ledger: Ledger) -> tuple[np.ndarray, StudyPatch]:
        study, size, regions = self.cohort.study(study_id), self.config.patch_size, self.regions(study_id)
        box = self._box(regions.positive_boxes, regions.other_boxes, rng)
        factor = 1
        if box is None:
            start = patch_start(study.shape, size, rng=rng)
        else:  # a region that is cut by the patch loses its lower bound and its lesions
            factor = _coarseness(box, size) if rng.random() < AT_LOWER_RESOLUTION else 1
            start = start_containing(study.shape, [n * factor for n in size], box, rng=rng)
        x, y, z = (n * factor for n in size)
        organs, image = (study.patch(kind, start, (x, y, z)) for kind in PATCH_KINDS)
        patch = self.supervisor.patch_from_regions(regions, organs, start, (x, y, z), ledger=ledger)
        return (image, patch) if factor == 1 else (block_means(image, factor), coarser(patch, factor))

    def _box(self, lesions: Sequence[Box], others: Sequence[Box], rng: np.random.Generator) -> Box | None:
        """What the patch is centred on: a lesion (or region with one), an organ (or clear region), or nothing."""
        chance = rng.random()
        if chance >= 1 - self.config.anywhere:
            return None
        choices = lesions if lesions and (chance < self.config.lesion_centred or not others) else others
        return choices[int(rng.integers(len(choices)))] if choices else None

    def _regions(self, study_id: str) -> StudyRegions:
        report = self.cohort.findings(study_id)
        study = self.cohort.study(study_id)
        known, deferred = constraints(report, self.supervisor.targets) if report else ([], [])
        return self.supervisor.regions(
            study.level("organs", 1),
            study.affine,
            known,
            deferred,
            annotated_organs=study.organ_names_annotated,
            images=image_planes(study, self.image_order),
            study_id=study_id,
        )

    def _augmented(self, image: np.ndarray, patch: StudyPatch, rng: np.random.Generator) -> tuple[Tensor, StudyPatch]:
        normalised = torch.from_numpy(self.config.window.apply(image))[None]
        labels = torch.from_numpy(np.stack([patch.state, patch.region]))
        normalised, labels, zoom = self.augment(normalised, labels, rng=rng)
        state, region = labels.numpy()
        return normalised, replace(patch, state=state, region=region, spacing_mm=patch.spacing_mm / zoom)


def _coarseness(box: Box, size: Sequence[int]) -> int:
    """Voxels that become one along each axis, so that the box fits; 1 where no allowed number is enough."""
    needed = int(np.ceil(((box[1] - box[0]) / np.asarray(size)).max()))
    return needed if needed <= COARSEST else 1


class _Draw:
    """Studies of one group in turn, those with a target lesion `positive_share` of the time."""

    def __init__(self, name: str, studies: Sequence[str], positive: Collection[str], config: TrainConfig) -> None:
        halves = {
            f"{name} with lesion": [study for study in studies if study in positive],
            f"{name} without": [study for study in studies if study not in positive],
        }
        self.samplers = [StratifiedSampler({key: ids}, {key: 1}, config.seed) for key, ids in halves.items() if ids]
        self.share = config.positive_share

    def study(self, position: int, rng: np.random.Generator) -> str:
        """The study at a position of the endless shuffled list of its half."""
        sampler = self.samplers[0 if rng.random() < self.share else -1]
        return sampler.batch(position)[0][1]


class Maker(Protocol[Made]):
    """Makes the batch of any step."""

    def batch(self, step: int) -> Made:
        """The same for the same step, whatever was computed before."""


def stream(maker: Maker[Made], *, start: int, stop: int, threads: int) -> Iterator[Made]:
    """Batches of steps [start, stop) in order, made ahead in threads: reading and numpy release Python's lock."""
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="batches") as pool:
        pending: list[Future[Made]] = []
        try:
            for step in range(start, stop + PREFETCH):
                if step < stop:
                    pending.append(pool.submit(maker.batch, step))
                if step >= start + PREFETCH or step >= stop:
                    if not pending:
                        return
                    yield pending.pop(0).result()
        finally:
            for future in pending:
                future.cancel()
