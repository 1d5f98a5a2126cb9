"""One study: from a volume in Hounsfield units to labels on its own grid, lesions and scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from time import monotonic

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
from dictamen.inference.native import NativeGrid, shifted
from dictamen.inference.near_organs import OrganMasks, organs_of_labels
from dictamen.inference.postprocess import LabelArray, Layer
from dictamen.inference.probability_maps import Box, ProbabilityMaps
from dictamen.inference.sides import mirror_axes, mirror_partners
from dictamen.inference.sliding import OVERLAP, slide
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
        mirror: average over mirror images along x and y, 4x slower; labels with a side change it.
        smallest_mm3: smaller lesions are dropped.
        organ_margin_mm: lesions that keep farther from their organ are dropped.
        near_organs: look only so near to the organs of the labels, whose masks are given with each study.
    """

    device: str = "auto"
    precision: Precision = "auto"
    overlap: float = OVERLAP
    mirror: bool = False
    smallest_mm3: float = postprocess.SMALLEST_LESION_MM3
    organ_margin_mm: float = postprocess.ORGAN_MARGIN_MM
    near_organs: bool = False


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
        seconds_network: spent on windows and their blending; all else is before and after.
    """

    labels: Volume
    canonical_labels: LabelArray
    canonical_image: Volume
    lesions: tuple[Lesion, ...]
    scores: dict[str, float]
    scores_by_side: dict[str, dict[str, float]] = field(default_factory=dict)
    probabilities: Volume | None = None
    instances: Volume | None = None
    seconds_network: float = 0.0


def label_values(card: ModelCard) -> dict[int, str]:
    """Value in the label map -> label name: the output channels from 1 on."""
    return dict(enumerate(card.names, start=1))


def segment(
    model: nn.Module,
    card: ModelCard,
    volume: Volume,
    settings: Settings,
    *,
    organs: OrganMasks | None = None,
    keep_probabilities: bool = False,
    keep_instances: bool = False,
) -> StudyPrediction:
    """Predict one volume.

    Args:
        model: on the device to use, as `models.package.load_model` gives it.
        volume: [C, X, Y, Z] in Hounsfield units, any orientation and spacing.
        organs: look only in and near those of the model's labels.

    Raises:
        InputError: the volume has another number of channels than the model, or an organ has no mask.
    """
    check_channels(volume, card)
    canonical = to_canonical(volume)
    coarse = resample(canonical, spacing_mm=card.spacing_mm)
    maps = ProbabilityMaps(coarse.shape)
    region = organs.around(organs_of_labels(card), coarse, settings.organ_margin_mm) if organs else None
    started = monotonic()
    for tile in slide(
        model,
        coarse.array,
        patch_size=card.patch_size,
        device=next(model.parameters()).device,
        precision=settings.precision,
        overlap=settings.overlap,
        mirror=mirror_axes(card.names) if settings.mirror else (),
        partners=mirror_partners(card.names),
        normalise=card.intensity.apply,
        air=card.intensity.air,
        region=region,
    ):
        maps.add(tile)
    seconds_network = monotonic() - started
    found = _Reader(card, settings, canonical, coarse, maps).read(
        volume, keep_probabilities=keep_probabilities, keep_instances=keep_instances
    )
    return replace(found, seconds_network=seconds_network)


def check_channels(volume: Volume, card: ModelCard) -> None:
    """Refuse a volume that has another number of channels than the model.

    Raises:
        InputError: it has.
    """
    if volume.array.shape[0] != card.architecture.in_channels:
        raise InputError(
            "The image has another number of channels than the model.",
            where=volume.study_id,
            got=volume.array.shape[0],
            expected=card.architecture.in_channels,
        )


class _Reader:
    """Turns probabilities on the training grid into labels, lesions and scores on the native one."""

    def __init__(
        self, card: ModelCard, settings: Settings, canonical: Volume, coarse: Volume, maps: ProbabilityMaps
    ) -> None:
        self.card, self.settings = card, settings
        self.canonical, self.coarse, self.maps = canonical, coarse, maps
        self.native = NativeGrid(canonical, coarse)
        self.numbered: list[tuple[int, Box, npt.NDArray[np.int32]]] = []
        self.organ_channels = [c for c, label in enumerate(card.labels) if label.kind == "organ"]
        self.lesion_channels = [c for c, label in enumerate(card.labels) if label.kind == "lesion"]
        self.organs = postprocess.combine(
            postprocess.empty_labels(coarse.shape, len(card.labels)),
            (
                self._layer(c, box, maps.inside(c, box))
                for c in self.organ_channels
                if (box := maps.box(c, card.labels[c].threshold)) is not None
            ),
        )

    def read(self, volume: Volume, *, keep_probabilities: bool, keep_instances: bool) -> StudyPrediction:
        scores = {label.name: self.maps.highest(c) for c, label in enumerate(self.card.labels)}
        by_side: dict[str, dict[str, float]] = {}
        sides = {c: self._side_of(self.card.labels[c]) for c in self.lesion_channels}
        for channel in self.lesion_channels:
            label = self.card.labels[channel]
            near = self._near_organ(channel)
            scores[label.name] = float(near.max())
            if side_of := sides[channel]:
                by_side[label.name] = table.scores_by_side(near, self.coarse.affine, side_of, at_least=PRIOR)
        labels = postprocess.combine(
            postprocess.empty_labels(self.canonical.shape, len(self.card.labels)),
            (
                self._layer(c, *found)
                for c in self.organ_channels
                if (found := self.native.part(self.maps, c, self.card.labels[c].threshold)) is not None
            ),
        )
        lesions: list[Lesion] = []
        layers = (self._lesion_layer(c, *found, sides[c], lesions) for c, found in self._lesion_parts())
        postprocess.combine(labels, layers)
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

    def _layer(self, channel: int, box: Box, probability: Probabilities) -> Layer:
        return Layer(channel + 1, probability >= self.card.labels[channel].threshold, probability, box)

    def _lesion_parts(self) -> Iterator[tuple[int, tuple[Box, Probabilities]]]:
        for channel in self.lesion_channels:
            found = self.native.part(self.maps, channel, self.card.labels[channel].threshold)
            if found is not None:
                yield channel, found

    def _near_organ(self, channel: int) -> Probabilities:
        """Remove lesions that keep away from their organ; give the probabilities of what is near it."""
        label, probability = self.card.labels[channel], self.maps[channel]
        values = [c + 1 for c in self.organ_channels if _same_organ(self.card.labels[c], label)]
        organ = np.isin(self.organs, values)
        if not organ.any():  # nobody can say what lies outside
            return probability
        zone = postprocess.organ_zone(organ, self.coarse.spacing_mm, margin_mm=self.settings.organ_margin_mm)
        found = probability >= label.threshold
        kept = postprocess.near(found, zone)
        self.maps.remove(channel, found & ~kept)
        return np.where(zone | kept, probability, np.float16(0.0))

    def _side_of(self, label: OutputLabel) -> SideOf | None:
        if label.structure is None or not is_paired(label.structure):
            return None
        names = {c + 1: self.card.labels[c].structure or self.card.labels[c].name for c in self.organ_channels}
        return table.side_finder(
            label.structure, organs=self.organs, names=names, image=self.coarse.array[0], affine=self.coarse.affine
        )

    def _lesion_layer(
        self, channel: int, box: Box, probability: Probabilities, side_of: SideOf | None, lesions: list[Lesion]
    ) -> Layer:
        label, affine = self.card.labels[channel], shifted(self.canonical.affine, box)
        labelled, count = postprocess.lesion_components(
            probability >= label.threshold,
            voxel_mm3=abs(float(np.linalg.det(affine[:3, :3]))),
            smallest_mm3=self.settings.smallest_mm3,
            probability=probability,
            least_peak=label.lesion_threshold,
        )
        numbers = np.where(labelled > 0, labelled.astype(np.int32) + len(lesions), 0).astype(np.int32)
        self.numbered.append((channel + 1, box, numbers))
        lesions += table.measure(
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
        return Layer(channel + 1, labelled > 0, probability, box)

    def _instances(self, labels: LabelArray, volume: Volume) -> Volume:
        """Lesions by number, each where its label is the one that won."""
        instances = np.zeros(labels.shape, dtype=np.int32)
        for value, box, numbers in self.numbered:
            won = (numbers > 0) & (labels[box] == value)
            instances[box][won] = numbers[won]
        return back_to(Volume(instances[None], self.canonical.affine, volume.study_id), volume)

    def _on_input_grid(self, labels: LabelArray, volume: Volume) -> Volume:
        return back_to(Volume(labels[None], self.canonical.affine, volume.study_id), volume)

    def _all_on(self, volume: Volume) -> Volume:
        channels = np.stack([self.native.whole(self.maps[c]) for c in range(len(self.card.labels))])
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
