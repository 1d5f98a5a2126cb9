"""Batches of patches of several cohorts, each asked for what is known of it. A pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from dictamen.anatomy import asking
from dictamen.cohort.sampling import StratifiedSampler
from dictamen.losses.ball_plan import BallPlan, plan_of
from dictamen.losses.prompts import UNKNOWN
from dictamen.prompting.cases import Case, CaseMaker
from dictamen.prompting.config import PromptConfig
from dictamen.prompting.plan import PromptPlan
from dictamen.prompting.stacking import spread
from dictamen.supervision.ledger import Ledger
from dictamen.supervision.patch import PatchSupervision
from dictamen.supervision.study_patch import StudyPatch, UInt8Array, collate
from dictamen.training.augmentation import Augmenter

LEFT_TO_RIGHT = 0
"""The axis along which a flip swaps the sides."""


@dataclass(frozen=True)
class PromptBatch:
    """B patches and the N texts that are asked of all of them; a text that says nothing of a patch is unknown there.

    Attributes:
        image: [B, 1, X, Y, Z] float32, normalised.
        keys: what each text stands for.
        texts: N, in normal form.
        state: [B, N, X, Y, Z].
        presence: [B, N], see `losses.prompts`.
        sentences: [B, N], 1 where the text is a sentence of the patch's study.
        reports: regions of the last patches and the first texts; None: no region in the batch.
        plan: where their lesions are searched.
        below, apart: pairs of texts: (part, whole), and those that share no voxel.
    """

    image: Tensor
    keys: tuple[str, ...]
    texts: tuple[str, ...]
    state: Tensor
    presence: Tensor
    sentences: Tensor
    reports: PatchSupervision | None
    plan: BallPlan | None
    below: Tensor
    apart: Tensor
    ledger: Ledger = field(default_factory=Ledger)


class PromptBatchMaker:
    """Makes the batch of any step: its patches come from the cohorts in turn."""

    def __init__(self, plan: PromptPlan, config: PromptConfig) -> None:
        self.plan, self.config = plan, config
        used = [source for source in plan.sources if source.studies]
        self.makers = [CaseMaker(source, plan.labels, config) for source in used]
        self.samplers = [StratifiedSampler({"studies": s.studies}, {"studies": 1}, config.seed) for s in used]
        self.flip = config.augmentation.flip[LEFT_TO_RIGHT]
        _, y, z = config.augmentation.flip
        self.augment = Augmenter(config.augmentation.model_copy(update={"flip": (0.0, y, z)}))

    def batch(self, step: int) -> PromptBatch:
        """The batch of `step`: the same for the same seed, whatever was computed before."""
        ledger, made = Ledger(), []
        rng = np.random.default_rng((self.config.seed, step, self.config.batch))
        for slot in range(self.config.batch):
            position, cohort = divmod(step * self.config.batch + slot, len(self.makers))
            own = np.random.default_rng((self.config.seed, step, slot))
            study_id = self.samplers[cohort].batch(position)[0][1]
            ledger.patches += 1
            made.append(self._augmented(self.makers[cohort].case(study_id, own, ledger), own))
        return self._collated(sorted(made, key=lambda pair: bool((pair[1].patch.weight > 0).any())), rng, ledger)

    def _augmented(self, case: Case, rng: np.random.Generator) -> tuple[Tensor, Case]:
        image = torch.from_numpy(self.config.window.apply(case.image))[None]
        labels = torch.from_numpy(np.stack([case.patch.state, case.patch.region]))
        if rng.random() < self.flip:
            image, labels = image.flip(LEFT_TO_RIGHT + 1), labels.flip(LEFT_TO_RIGHT + 2)
            case = _mirrored(case)
        image, labels, zoom = self.augment(image, labels, rng=rng)
        state, region = labels.numpy()
        patch = replace(case.patch, state=state, region=region, spacing_mm=case.patch.spacing_mm / np.float32(zoom))
        return image, replace(case, patch=patch)

    def _collated(self, made: Sequence[tuple[Tensor, Case]], rng: np.random.Generator, ledger: Ledger) -> PromptBatch:
        cases = [case for _, case in made]
        texts: dict[str, tuple[str, ...]] = {}
        in_region: dict[str, bool] = {}
        for case in cases:
            for place, key in enumerate(case.keys):
                texts.setdefault(key, case.texts[place])
                in_region[key] = in_region.get(key, False) or bool((case.patch.weight[place] > 0).any())
        keys = tuple(sorted(texts, key=lambda key: not in_region[key])) or (self.plan.labels[0],)
        place_of = {key: place for place, key in enumerate(keys)}
        patches: list[StudyPatch] = []
        presence: list[UInt8Array] = []
        sentences: list[UInt8Array] = []
        for case in cases:
            places = [place_of[key] for key in case.keys]
            patches.append(spread([case.patch], [places], len(keys)))
            for table, values, empty in ((presence, case.presence, UNKNOWN), (sentences, case.sentences, 0)):
                row = np.full(len(keys), empty, np.uint8)
                row[places] = values
                table.append(row)
        everything = collate(patches)
        first = next((i for i, case in enumerate(cases) if (case.patch.weight > 0).any()), len(cases))
        reports = everything.narrow(first, sum(in_region.values())) if first < len(cases) else None
        return PromptBatch(
            image=torch.stack([image for image, _ in made]),
            keys=keys,
            texts=tuple(self._text(key, texts.get(key, ()), rng) for key in keys),
            state=everything.state,
            presence=torch.from_numpy(np.stack(presence)),
            sentences=torch.from_numpy(np.stack(sentences)),
            reports=reports,
            plan=plan_of(reports) if reports is not None else None,
            below=_pairs(keys, asking.is_below, ordered=True),
            apart=_pairs(keys, asking.are_disjoint, ordered=False),
            ledger=ledger,
        )

    def _text(self, key: str, ways: Sequence[str], rng: np.random.Generator) -> str:
        """One way to ask for a label or for a finding."""
        if ways:
            return asking.normal(ways[int(rng.integers(len(ways)))])
        names = asking.texts(key)
        if len(names) > 1 and rng.random() < self.config.synonyms:
            return names[1 + int(rng.integers(len(names) - 1))]
        return names[0]


def _mirrored(case: Case) -> Case:
    """The prompts of the mirror image: left is right."""
    ways, keys = [], []
    for key, own in zip(case.keys, case.texts, strict=True):
        keys.append(f"{key} mirrored" if own else asking.mirror_label(key))
        ways.append(tuple(asking.mirrored(asking.normal(text)) for text in own))
    return replace(case, keys=tuple(keys), texts=tuple(ways))


def _pairs(keys: Sequence[str], related: Callable[[str, str], bool], *, ordered: bool) -> Tensor:
    """Pairs of keys that are related; sentences are related to nothing."""
    found = [
        (i, j)
        for i, one in enumerate(keys)
        for j, other in enumerate(keys)
        if i != j and (ordered or i < j) and "#" not in one + other and related(one, other)
    ]
    return torch.tensor(found, dtype=torch.long).view(-1, 2)
