"""What is known of one patch, prompt by prompt: from masks, from reports, from anatomy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import numpy as np

from dictamen.cohort.arrays import FILL
from dictamen.cohort.sampling import Box, patch_start, start_containing
from dictamen.cohort.store import StudyArrays
from dictamen.losses.prompts import ABSENT, PRESENT, UNKNOWN
from dictamen.prompting import absence
from dictamen.prompting.config import PromptConfig
from dictamen.prompting.plan import Source
from dictamen.prompting.stacking import only, stacked
from dictamen.supervision.from_findings import constraints
from dictamen.supervision.ledger import Ledger
from dictamen.supervision.patch import NEGATIVE, POSITIVE
from dictamen.supervision.patch import UNKNOWN as UNKNOWN_VOXEL
from dictamen.supervision.prompt_states import is_lesion, parsed
from dictamen.supervision.rasterise import StudyPatch, StudyRegions, StudySupervisor
from dictamen.supervision.referents import Referent, mask_components, referents
from dictamen.supervision.study_patch import block_means, coarser, without_regions

Item = TypeVar("Item")
STUDIES_KEPT = 4096
"""Studies whose region geometry stays in memory, about 100 kB each."""
ALL_KNOWN = 0.999
"""Share of a patch's voxels inside the study that must be negative for "it is not in this patch"."""
COARSEST = 4
AT_LOWER_RESOLUTION = 0.5
"""As in training with fixed labels: a region larger than a patch is seen whole, at lower resolution, so often."""


@dataclass(frozen=True)
class Case:
    """One patch and its prompts.

    Attributes:
        image: [X, Y, Z], HU.
        keys: what is asked: labels of the run, and sentences ("study#finding"), which no other study has.
        texts: one of the ways to ask each of them.
        patch: supervision, labels in the order of `keys`.
        presence: of each key in the patch, see `losses.prompts`.
        sentences: whether each is a sentence of the study's report.
    """

    image: np.ndarray
    keys: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    patch: StudyPatch
    presence: tuple[int, ...]
    sentences: tuple[bool, ...]


@dataclass(frozen=True)
class _Known:
    """What a study's report says, placed in the study once; `denied` are the labels that it says are not there."""

    labels: tuple[str, ...]
    regions: StudyRegions | None
    referents: tuple[Referent, ...]
    denied: frozenset[str]


class CaseMaker:
    """Makes patches of one cohort."""

    def __init__(self, source: Source, labels: Sequence[str], config: PromptConfig) -> None:
        self.source, self.labels, self.config = source, tuple(labels), config
        info = source.cohort.info
        self.lesions = tuple(label for label in self.labels if is_lesion(label))
        self.supervisor = StudySupervisor(
            [parsed(label) for label in self.lesions], (), info.organ_labels, info.lesion_labels
        )
        self.known = lru_cache(maxsize=STUDIES_KEPT)(self._known)

    def case(self, study_id: str, rng: np.random.Generator, ledger: Ledger) -> Case:
        """A random patch of a study."""
        study = self.source.cohort.study(study_id)
        known = self.known(study_id)
        size, factor = self.config.patch_size, 1
        box, whole = self._box(study, known, rng)
        if box is None or not whole:
            start = patch_start(study.shape, size, box=box, rng=rng)
        else:
            factor = _coarseness(box, size) if rng.random() < AT_LOWER_RESOLUTION else 1
            start = start_containing(study.shape, [n * factor for n in size], box, rng=rng)
        x, y, z = (n * factor for n in size)
        image = study.patch("image", start, (x, y, z))
        view = self._view(study, known, start, (x, y, z), rng)
        image[~absence.inside(view, start, (x, y, z))] = FILL["image"]
        made = self._supervised(study, known, start, (x, y, z), view, ledger, rng)
        if factor > 1:
            image, made = block_means(image, factor), replace(made, patch=coarser(made.patch, factor))
        return replace(made, image=image)

    def _box(self, study: StudyArrays, known: _Known, rng: np.random.Generator) -> tuple[Box | None, bool]:
        """What the patch is about, and whether it must hold all of it (a region of a report)."""
        chance = rng.random()
        if chance >= 1 - self.config.anywhere:
            return None, False
        wholes = [one.box for one in known.referents if one.box is not None]
        wholes += list(known.regions.positive_boxes) if known.regions is not None else []
        lesions = [box for label in self.lesions for box in study.component_boxes.get(f"lesion:{label}", ())]
        organs = [box for name, box in study.boxes.items() if name.startswith("organ:")]
        if chance < self.config.lesion_centred and (wholes or lesions):
            pick = int(rng.integers(len(wholes) + len(lesions)))
            return (wholes[pick], True) if pick < len(wholes) else (lesions[pick - len(wholes)], False)
        return (organs[int(rng.integers(len(organs)))], False) if organs else (None, False)

    def _view(
        self,
        study: StudyArrays,
        known: _Known,
        start: tuple[int, int, int],
        size: tuple[int, int, int],
        rng: np.random.Generator,
    ) -> Box:
        """What the patch shows of the study: sometimes it ends before something, as scans do. Regions of reports are
        never cut: they speak of the whole."""
        view = absence.view_of(start, size, study.shape)
        whole = known.regions is not None or any(one.regions is not None for one in known.referents)
        if rng.random() >= self.config.cut_views or whole:
            return view
        return absence.cut_view(list(study.boxes.values()), view, rng)

    def _supervised(
        self,
        study: StudyArrays,
        known: _Known,
        start: tuple[int, int, int],
        size: tuple[int, int, int],
        view: Box,
        ledger: Ledger,
        rng: np.random.Generator,
    ) -> Case:
        """The prompts of a patch: what is there, what is not there, and what the report says."""
        organs, lesions = study.patch("organs", start, size), study.patch("lesions", start, size)
        names = (study.organ_names_annotated, study.lesion_names_annotated)
        inside = absence.inside(view, start, size)
        reported = [label for label in known.labels if known.regions is not None]
        plain = [label for label in self.labels if label not in reported]
        if "masks" not in self.config.supervision:
            plain = [label for label in plain if not is_lesion(label)]
        state = self.source.states.states(organs, lesions, *names, wanted=plain)
        boxes = {name.removeprefix("organ:"): box for name, box in study.boxes.items()}
        for i, label in enumerate(plain):
            unknown = state[i] == UNKNOWN_VOXEL
            if unknown.any() and (
                label in known.denied
                or absence.not_there(label, boxes, study.organ_names_annotated, view, study.spacing_mm)
            ):
                state[i][unknown] = NEGATIVE
        state[:, ~inside] = UNKNOWN_VOXEL
        there = [i for i in range(len(plain)) if (state[i] == POSITIVE).any()]
        absent = [i for i in range(len(plain)) if i not in there and (state[i] == NEGATIVE).any()]
        there = _drawn(there, self.config.positives, rng)
        absent = _drawn(absent, max(1, round(self.config.negatives * len(there))), rng)
        chosen = sorted([*there, *absent])
        parts: list[tuple[str, tuple[str, ...], StudyPatch, bool]] = []
        for i in chosen:
            parts.append((plain[i], (), without_regions(state[i : i + 1].copy(), study.spacing_mm), False))
        if reported and known.regions is not None:
            of_labels = self.supervisor.patch_from_regions(known.regions, organs, start, size, ledger=ledger)
            for label in reported:
                parts.append((label, (), only(of_labels, self.lesions.index(label)), False))
        for one in _drawn(list(known.referents), self.config.sentences, rng):
            key = f"{study.study_id}#{one.index}"
            parts.append((key, one.texts, self._sentence(one, study, organs, start, size, inside, ledger), True))
        patch = stacked([part for _, _, part, _ in parts], size, study.spacing_mm)
        seen = absence.within(view, start, absence.SEEN_DEPTH)
        presence = tuple(_presence(patch, place, inside, seen) for place in range(len(parts)))
        return Case(
            image=np.zeros(0),
            keys=tuple(key for key, _, _, _ in parts),
            texts=tuple(texts for _, texts, _, _ in parts),
            patch=patch,
            presence=presence,
            sentences=tuple(sentence for _, _, _, sentence in parts),
        )

    def _sentence(
        self,
        one: Referent,
        study: StudyArrays,
        organs: np.ndarray,
        start: tuple[int, int, int],
        size: tuple[int, int, int],
        inside: np.ndarray,
        ledger: Ledger,
    ) -> StudyPatch:
        """A sentence's voxels, or its region; all else is another thing."""
        if one.regions is not None:
            asker = StudySupervisor([_SENTENCE], (), self.supervisor.organ_names, {})
            return asker.patch_from_regions(one.regions, organs, start, size, ledger=ledger)
        state = np.full((1, *size), NEGATIVE, dtype=np.uint8)
        crop = one.lesion.crop(start, size) if one.lesion is not None else None
        if crop is not None:
            state[0][crop[0]][crop[1]] = POSITIVE
        state[:, ~inside] = UNKNOWN_VOXEL
        ledger.use("sentence", "lesion of a mask")
        return without_regions(state, study.spacing_mm)

    def _known(self, study_id: str) -> _Known:
        """Regions of the lesion labels that no mask of the study teaches, and the findings that can be asked for."""
        cohort = self.source.cohort
        report, study = cohort.findings(study_id), cohort.study(study_id)
        if "reports" not in self.config.supervision or report is None:
            return _Known((), None, (), frozenset())
        denied = absence.denied(self.labels, report)
        if not study.has("organs"):
            return _Known((), None, (), denied)
        organs, names = study.level("organs", 1), cohort.info.organ_labels
        masked = "masks" in self.config.supervision and study.has("lesions")
        annotated = (study.organ_names_annotated, study.lesion_names_annotated if masked else ())
        labels = tuple(label for label in self.lesions if not self.source.states.teaches(label, *annotated))
        regions = None
        if labels:
            targets = [parsed(label) for label in labels]
            made, deferred = constraints(report, targets)
            regions = self.supervisor.regions(
                organs, study.affine, made, deferred,
                annotated_organs=study.organ_names_annotated, study_id=study_id,
            )  # fmt: skip
        components = (
            mask_components(study.level("lesions", 1), self.supervisor.lesion_labels, study.spacing_mm)
            if masked and self.config.sentences
            else []
        )
        asked = (
            referents(
                report, cohort.report(study_id), organs, names, study.affine, components, self.supervisor.dilation
            )
            if self.config.sentences
            else []
        )
        return _Known(labels, regions, tuple(asked), denied)


_SENTENCE = parsed("lesion")
"""The one output of a sentence; its regions carry all that is known of it."""


def _coarseness(box: Box, size: Sequence[int]) -> int:
    """Voxels that become one along each axis, so that the box fits; 1 where no allowed number is enough."""
    needed = int(np.ceil(((box[1] - box[0]) / np.asarray(size)).max()))
    return needed if needed <= COARSEST else 1


def _drawn(items: list[Item], most: int, rng: np.random.Generator) -> list[Item]:
    """At most so many of the items, at random."""
    if len(items) <= most:
        return items
    return [items[place] for place in sorted(rng.permutation(len(items))[:most].tolist())]


def _presence(patch: StudyPatch, label: int, inside: np.ndarray, seen: tuple[slice, slice, slice]) -> int:
    """Whether a prompt's thing is in the patch, as far as masks and regions tell; what is seen at the border alone may
    be or not be."""
    state = patch.state[label]
    certain = (patch.volume_lo[label] > 0) & (patch.weight[label] > 0)
    if (state[seen] == POSITIVE).any() or certain.any():
        return PRESENT
    known = int((state[inside] == NEGATIVE).sum())
    absent = known >= ALL_KNOWN * max(1, int(inside.sum())) and not (state == POSITIVE).any()
    return ABSENT if absent else UNKNOWN
