"""One study: from a volume in Hounsfield units to labels on its own grid, lesions and scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from dictamen.anatomy import vocabulary
from dictamen.errors import InputError
from dictamen.imaging.geometry import back_to, resample, to_canonical
from dictamen.imaging.volume import Volume
from dictamen.inference import lesions as table
from dictamen.inference import postprocess
from dictamen.inference.lesions import Lesion, SideOf
from dictamen.inference.postprocess import Mask
from dictamen.inference.sliding import OVERLAP, predict_probabilities
from dictamen.models.card import ModelCard, OutputLabel
from dictamen.models.precision import Precision
from dictamen.models.presets import PRIOR

Probabilities = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Settings:
    """How to predict; the defaults suit a first look and are what the figures were measured with.

    Attributes:
        device: "auto", "cpu", "cuda", "cuda:1".
        precision: "auto", "bf16-mixed" or "32-true", see `models.precision`.
        overlap: of neighbouring windows.
        mirror: average over mirror images along y and z, 4x slower.
        smallest_mm3: smaller lesions are dropped.
        organ_margin_mm: lesions that keep farther from their organ are dropped.
    """

    device: str = "auto"
    precision: Precision = "auto"
    overlap: float = OVERLAP
    mirror: bool = False
    smallest_mm3: float = postprocess.SMALLEST_LESION_MM3
    organ_margin_mm: float = postprocess.ORGAN_MARGIN_MM


@dataclass(frozen=True)
class StudyPrediction:
    """What was found in one study.

    Attributes:
        labels: label map [1, X, Y, Z] on the grid of the input; values are those of `label_values`.
        canonical_labels: the same on the RAS+ grid of `canonical_image`.
        canonical_image: the input in RAS+ order, HU.
        lesions: one row a lesion of every lesion label, measured before labels were laid over each other.
        scores: label -> largest probability (of lesions: near their organ), in [0, 1].
        scores_by_side: label of a paired organ -> side -> the same.
        probabilities: [L, X, Y, Z] on the grid of the input, where asked for.
        instances: [1, X, Y, Z] on the grid of the input, where asked for: the lesion at each voxel, numbered from 1 in
            the order of `lesions`.
    """

    labels: Volume
    canonical_labels: npt.NDArray[np.uint16]
    canonical_image: Volume
    lesions: tuple[Lesion, ...]
    scores: dict[str, float]
    scores_by_side: dict[str, dict[str, float]] = field(default_factory=dict)
    probabilities: Volume | None = None
    instances: Volume | None = None


def label_values(card: ModelCard) -> dict[int, str]:
    """Value in the label map -> label name: the output channels from 1 on."""
    return dict(enumerate(card.names, start=1))


def segment(
    model: nn.Module,
    card: ModelCard,
    volume: Volume,
    settings: Settings,
    *,
    keep_probabilities: bool = False,
    keep_instances: bool = False,
) -> StudyPrediction:
    """Predict one volume.

    Args:
        model: on the device to use, as `models.package.load_model` gives it.
        volume: [C, X, Y, Z] in Hounsfield units, any orientation and spacing.

    Raises:
        InputError: the volume has another number of channels than the model.
    """
    if volume.array.shape[0] != card.architecture.in_channels:
        raise InputError(
            "The image has another number of channels than the model.",
            where=volume.study_id,
            got=volume.array.shape[0],
            expected=card.architecture.in_channels,
        )
    canonical = to_canonical(volume)
    coarse = resample(canonical, spacing_mm=card.spacing_mm)
    probabilities = predict_probabilities(
        model,
        card.intensity.apply(coarse.array),
        patch_size=card.patch_size,
        device=next(model.parameters()).device,
        precision=settings.precision,
        overlap=settings.overlap,
        mirror=settings.mirror,
    )
    return _Reader(card, settings, canonical, coarse, probabilities).read(
        volume, keep_probabilities=keep_probabilities, keep_instances=keep_instances
    )


class _Reader:
    """Turns probabilities on the training grid into labels, lesions and scores on the native one."""

    def __init__(
        self, card: ModelCard, settings: Settings, canonical: Volume, coarse: Volume, probabilities: Probabilities
    ) -> None:
        self.card, self.settings = card, settings
        self.canonical, self.coarse, self.probabilities = canonical, coarse, probabilities
        self.numbered: list[tuple[int, npt.NDArray[np.intp], npt.NDArray[np.int32]]] = []
        self.organ_channels = [c for c, label in enumerate(card.labels) if label.kind == "organ"]
        self.lesion_channels = [c for c, label in enumerate(card.labels) if label.kind == "lesion"]
        self.organs = postprocess.combine(coarse.shape, (self._layer(c, probabilities[c]) for c in self.organ_channels))

    def read(self, volume: Volume, *, keep_probabilities: bool, keep_instances: bool) -> StudyPrediction:
        scores = {label.name: float(self.probabilities[c].max()) for c, label in enumerate(self.card.labels)}
        by_side: dict[str, dict[str, float]] = {}
        sides = {c: self._side_of(self.card.labels[c]) for c in self.lesion_channels}
        for channel in self.lesion_channels:
            label = self.card.labels[channel]
            near = self._near_organ(channel)
            scores[label.name] = float(near.max())
            if side_of := sides[channel]:
                by_side[label.name] = table.scores_by_side(near, self.coarse.affine, side_of, at_least=PRIOR)
        organs = postprocess.combine(
            self.canonical.shape, (self._layer(c, self._native(c)) for c in self.organ_channels)
        )
        lesions: list[Lesion] = []
        layers = (self._lesion_layer(c, sides[c], lesions) for c in self.lesion_channels)
        labels = postprocess.combine(self.canonical.shape, layers, onto=organs)
        return StudyPrediction(
            labels=self._on_input_grid(labels, volume),
            canonical_labels=labels,
            canonical_image=self.canonical,
            lesions=tuple(lesions),
            scores=scores,
            scores_by_side=by_side,
            probabilities=self._all_on(volume) if keep_probabilities else None,
            instances=self._instances(labels, volume) if keep_instances else None,
        )

    def _layer(self, channel: int, probability: npt.NDArray[Any]) -> tuple[int, Mask, npt.NDArray[Any]]:
        return channel + 1, probability >= self.card.labels[channel].threshold, probability

    def _near_organ(self, channel: int) -> Probabilities:
        """Remove lesions that keep away from their organ; give the probabilities of what is near it."""
        label, probability = self.card.labels[channel], self.probabilities[channel]
        values = [c + 1 for c in self.organ_channels if _same_organ(self.card.labels[c], label)]
        zone = postprocess.organ_zone(
            np.isin(self.organs, values), self.coarse.spacing_mm, margin_mm=self.settings.organ_margin_mm
        )
        found = probability >= label.threshold
        kept = postprocess.near(found, zone)
        probability[found & ~kept] = 0.0
        return np.where(zone | kept, probability, np.float16(0.0))

    def _side_of(self, label: OutputLabel) -> SideOf | None:
        if label.structure is None or not is_paired(label.structure):
            return None
        names = {c + 1: self.card.labels[c].structure or self.card.labels[c].name for c in self.organ_channels}
        return table.side_finder(
            label.structure, organs=self.organs, names=names, image=self.coarse.array[0], affine=self.coarse.affine
        )

    def _native(self, channel: int) -> npt.NDArray[np.floating[Any]]:
        """The probabilities of one channel [X, Y, Z] on the canonical native grid."""
        coarse = Volume(self.probabilities[channel][None], self.coarse.affine, self.canonical.study_id)
        native: npt.NDArray[np.floating[Any]] = resample(coarse, like=self.canonical, outside=0.0).array[0]
        return native

    def _lesion_layer(
        self, channel: int, side_of: SideOf | None, lesions: list[Lesion]
    ) -> tuple[int, Mask, npt.NDArray[Any]]:
        label, probability = self.card.labels[channel], self._native(channel)
        affine = self.canonical.affine
        labelled, count = postprocess.lesion_components(
            probability >= label.threshold,
            voxel_mm3=abs(float(np.linalg.det(affine[:3, :3]))),
            smallest_mm3=self.settings.smallest_mm3,
            probability=probability,
            least_peak=label.lesion_threshold,
        )
        places = np.flatnonzero(labelled)
        self.numbered.append((channel + 1, places, labelled.ravel()[places].astype(np.int32) + len(lesions)))
        lesions += table.measure(
            labelled,
            count,
            image=self.canonical.array[0],
            probability=probability,
            affine=affine,
            study_id=self.canonical.study_id,
            label=label.name,
            structure=label.structure,
            side_of=side_of,
        )
        return channel + 1, labelled > 0, probability

    def _instances(self, labels: npt.NDArray[np.uint16], volume: Volume) -> Volume:
        """Lesions by number, each where its label is the one that won."""
        instances = np.zeros(labels.size, dtype=np.int32)
        for value, places, numbers in self.numbered:
            won = labels.ravel()[places] == value
            instances[places[won]] = numbers[won]
        return back_to(Volume(instances.reshape(1, *labels.shape), self.canonical.affine, volume.study_id), volume)

    def _on_input_grid(self, labels: npt.NDArray[np.uint16], volume: Volume) -> Volume:
        small = labels.astype(np.uint8) if len(self.card.labels) <= np.iinfo(np.uint8).max else labels
        return back_to(Volume(small[None], self.canonical.affine, volume.study_id), volume)

    def _all_on(self, volume: Volume) -> Volume:
        channels = np.stack([self._native(c).astype(np.float16) for c in range(len(self.card.labels))])
        return back_to(Volume(channels, self.canonical.affine, volume.study_id), volume, labels=False, outside=0.0)


def is_paired(structure: str) -> bool:
    """Whether the whole organ has a left and a right one; False for words that the vocabulary doesn't know."""
    words = vocabulary.load()
    return structure in words and words.on_side(structure, "left") is not None


def _same_organ(organ: OutputLabel, lesion: OutputLabel) -> bool:
    """Whether the organ's label is the lesion's organ, or one side or part of it."""
    words = vocabulary.load()
    structure = organ.structure or organ.name
    if lesion.structure is None or structure not in words:
        return False
    return words.whole(structure)[0] == lesion.structure
