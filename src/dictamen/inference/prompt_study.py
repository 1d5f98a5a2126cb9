"""One study asked in words: each prompt from the model's grid to its place on the input's, then forgotten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from dictamen.errors import UsageError
from dictamen.imaging.geometry import back_to, resample, to_canonical
from dictamen.imaging.volume import Volume
from dictamen.inference import lesions as table
from dictamen.inference import postprocess
from dictamen.inference.asked import Policy, Prompts
from dictamen.inference.encoded import Answer, EncodedVolume
from dictamen.inference.lesions import Lesion
from dictamen.inference.native import NativeGrid, shifted
from dictamen.inference.probability_maps import Box, Map, ProbabilityMaps
from dictamen.inference.sliding import Tile
from dictamen.inference.study import Settings, StudyPrediction, check_channels, is_paired
from dictamen.models.card import ModelCard
from dictamen.models.prompted import PromptedNetwork

Mask = npt.NDArray[np.bool_]
Sink = Callable[[int, Volume, Volume | None], None]
"""Called with (index of the prompt, its mask, its probabilities where asked for), on the input's grid."""


@dataclass(frozen=True)
class PromptedStudy:
    """What the prompts found in one study.

    Attributes:
        prediction: as of any model; its label map follows the policy.
        presence: name -> probability that it is in the study.
        volumes_mm3: name -> volume of its mask, before masks were laid over each other.
    """

    prediction: StudyPrediction
    presence: dict[str, float]
    volumes_mm3: dict[str, float]


def segment_prompts(
    model: PromptedNetwork,
    card: ModelCard,
    prompts: Prompts,
    embeddings: torch.Tensor,
    volume: Volume,
    settings: Settings,
    *,
    policy: Policy = "hierarchy",
    keep_instances: bool = False,
    keep_probabilities: bool = False,
    sink: Sink | None = None,
) -> PromptedStudy:
    """Ask a volume all prompts.

    The image is encoded once; memory does not grow with the number of prompts.

    Args:
        model: on the device to use.
        card: `prompts.card(...)` of the model's.
        embeddings: of `prompts.texts`, [N, E].
        volume: [C, X, Y, Z] in Hounsfield units, any orientation and spacing.
        sink: takes each prompt's mask, and its probabilities with `keep_probabilities`.

    Raises:
        InputError: the volume has another number of channels than the model.
        UsageError: mirror images were asked for: left and right would be confused.
    """
    if settings.mirror:
        raise UsageError("Prompts can't be answered on mirror images: they know left from right.", got="--mirror")
    canonical, coarse, encoded = encode(model, card, volume, settings)
    reader = _Reader(card, prompts, settings, policy, canonical, coarse, volume)
    for answer in encoded.ask(embeddings):
        reader.take(answer, sink, keep_probabilities=keep_probabilities)
    return reader.result(keep_instances=keep_instances, seconds_network=encoded.seconds)


def encode(
    model: PromptedNetwork, card: ModelCard, volume: Volume, settings: Settings
) -> tuple[Volume, Volume, EncodedVolume]:
    """The volume in canonical orientation, at the model's spacing, and its features.

    Raises:
        InputError: the volume has another number of channels than the model.
    """
    check_channels(volume, card)
    canonical = to_canonical(volume)
    coarse = resample(canonical, spacing_mm=card.spacing_mm)
    encoded = EncodedVolume(
        model,
        coarse.array,
        patch_size=card.patch_size,
        precision=settings.precision,
        overlap=settings.overlap,
        normalise=card.intensity.apply,
    )
    return canonical, coarse, encoded


class _Reader:
    """Paints one answer after the other."""

    def __init__(
        self,
        card: ModelCard,
        prompts: Prompts,
        settings: Settings,
        policy: Policy,
        canonical: Volume,
        coarse: Volume,
        volume: Volume,
    ) -> None:
        self.card, self.prompts, self.settings, self.policy = card, prompts, settings, policy
        self.canonical, self.coarse, self.volume = canonical, coarse, volume
        self.native = NativeGrid(canonical, coarse)
        self.labels = np.zeros(canonical.shape, dtype=np.uint16)
        self.best = np.zeros(canonical.shape, dtype=np.float16)
        self.numbers = np.zeros(canonical.shape, dtype=np.int32)
        self.lesions: list[Lesion] = []
        self.scores: dict[str, float] = {}
        self.presence: dict[str, float] = {}
        self.volumes: dict[str, float] = {}
        self.voxel_mm3 = abs(float(np.linalg.det(canonical.affine[:3, :3])))

    def take(self, answer: Answer, sink: Sink | None, *, keep_probabilities: bool) -> None:
        """Find the place of one answer on the native grid and paint it."""
        label = self.card.labels[answer.index]
        maps = ProbabilityMaps(self.coarse.shape)
        maps.add(Tile((0, 0, 0), answer.logits[None]))
        self.scores[label.name], self.presence[label.name] = maps.highest(0), answer.presence
        found = self.native.part(maps, 0, label.threshold)
        self.volumes[label.name] = 0.0
        box: Box = (slice(0, 0), slice(0, 0), slice(0, 0))
        mask: Mask = np.zeros((0, 0, 0), dtype=bool)
        if found is not None:
            box, probability = found
            mask = (
                self._lesions(answer.index, box, probability)
                if label.kind == "lesion"
                else (probability >= label.threshold)
            )
            self.volumes[label.name] = round(float(np.count_nonzero(mask)) * self.voxel_mm3, 1)
            self._paint(answer.index + 1, box, mask, probability)
        if sink is not None:
            whole = self.native.whole(maps[0]) if keep_probabilities else None
            sink(answer.index, self._placed(box, mask), self._probabilities(whole))

    def _paint(self, value: int, box: Box, mask: Mask, probability: Map) -> None:
        """Lay a mask into the label map by the policy."""
        there, highest = self.labels[box], self.best[box]
        wins = mask & (probability > highest)
        if self.policy != "argmax":
            below = self.prompts.below
            wins = mask & (below[value, there] | ((probability > highest) & ~below[there, value]))
        there[wins] = value
        highest[wins] = probability[wins]

    def _lesions(self, index: int, box: Box, probability: Map) -> Mask:
        """Measure the lesions that a prompt found; their voxels."""
        label, affine = self.card.labels[index], shifted(self.canonical.affine, box)
        labelled, count = postprocess.lesion_components(
            probability >= label.threshold,
            voxel_mm3=self.voxel_mm3,
            smallest_mm3=self.settings.smallest_mm3,
            probability=probability,
            least_peak=label.lesion_threshold,
        )
        inside = labelled > 0
        self.numbers[box][inside] = labelled[inside].astype(np.int32) + len(self.lesions)
        side_of = None
        if label.structure is not None and is_paired(label.structure):
            none = np.zeros(self.coarse.shape, dtype=np.uint8)
            side_of = table.side_finder(
                label.structure, organs=none, names={}, image=self.coarse.array[0], affine=self.coarse.affine
            )
        self.lesions += table.measure(
            labelled,
            count,
            image=self.canonical.array[0][box],
            probability=probability,
            affine=affine,
            study_id=self.canonical.study_id,
            label=label.name,
            structure=label.structure,
            side_of=side_of,
        )
        return np.asarray(inside)

    def _placed(self, box: Box, mask: Mask) -> Volume:
        """A mask on the grid of the input."""
        whole = np.zeros(self.canonical.shape, dtype=np.uint8)
        whole[box] = mask
        return back_to(Volume(whole[None], self.canonical.affine, self.volume.study_id), self.volume)

    def _probabilities(self, whole: Map | None) -> Volume | None:
        if whole is None:
            return None
        canonical = Volume(whole[None], self.canonical.affine, self.volume.study_id)
        return back_to(canonical, self.volume, labels=False, outside=0.0)

    def result(self, *, keep_instances: bool, seconds_network: float) -> PromptedStudy:
        """All that was found."""
        small = self.labels.astype(np.uint8) if len(self.card.labels) <= np.iinfo(np.uint8).max else self.labels
        lesion_values = [v for v, label in enumerate(self.card.labels, start=1) if label.kind == "lesion"]
        instances = None
        if keep_instances:
            shown = np.where(np.isin(self.labels, lesion_values), self.numbers, 0)
            instances = back_to(Volume(shown[None], self.canonical.affine, self.volume.study_id), self.volume)
        prediction = StudyPrediction(
            labels=back_to(Volume(small[None], self.canonical.affine, self.volume.study_id), self.volume),
            canonical_labels=self.labels,
            canonical_image=self.canonical,
            lesions=tuple(self.lesions),
            scores=self.scores,
            instances=instances,
            seconds_network=seconds_network,
        )
        return PromptedStudy(prediction, self.presence, self.volumes)
