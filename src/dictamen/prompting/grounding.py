"""One study and its report: where each finding is, in the words of the report, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dictamen.anatomy import asking
from dictamen.anatomy.regions import bounding_box
from dictamen.imaging.geometry import back_to
from dictamen.imaging.volume import Volume
from dictamen.inference import lesions as table
from dictamen.inference import postprocess
from dictamen.inference.encoded import EncodedVolume
from dictamen.inference.lesions import Lesion
from dictamen.inference.native import NativeGrid, shifted
from dictamen.inference.probability_maps import ProbabilityMaps
from dictamen.inference.prompt_study import encode
from dictamen.inference.sliding import Tile
from dictamen.inference.study import Settings
from dictamen.models.card import ModelCard
from dictamen.models.prompted import PromptedNetwork
from dictamen.reports.phrases import describe, phrases, refers, sentence_span
from dictamen.reports.schema import Finding, ReportFindings

MOST_TEXTS = 3
"""Ways in which a finding is asked for; their answers are averaged."""
FOUND = 0.5
"""Probability from which a voxel is painted."""
SENTENCE = 200
"""Characters of a sentence that is asked as it is; longer ones speak of more than one thing."""

Mask = npt.NDArray[np.bool_]
Map = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Grounded:
    """One finding of a report in its scan.

    Attributes:
        number: of the finding in the label map, from 1.
        finding: what the report says; its span tells where.
        told_apart: whether the words mean it and no other finding of the report.
        sure: in [0, 1]: mean probability of its voxels x agreement of the size x of the place; 0 where nothing was
            painted.
        presence: the model's probability that something of these words is in the scan.
        peak: the highest probability of all voxels.
        mean_probability: of the painted voxels.
        size_agreement: smaller over larger of the stated and the painted largest diameter; None without a stated size.
        place_agreement: share of the painted voxels in or near the stated organ, as the model sees it; None where it
            does not know the organ.
        volume_mm3: painted.
        lesion: measured on the painted voxels; None where nothing was painted.
        peak_mm: where the highest probability lies, RAS+.
    """

    number: int
    finding: Finding
    told_apart: bool
    sure: float
    presence: float
    peak: float
    mean_probability: float
    size_agreement: float | None
    place_agreement: float | None
    volume_mm3: float
    lesion: Lesion | None
    peak_mm: tuple[float, float, float]

    def to_json(self) -> dict[str, Any]:
        """A line of findings.jsonl: no text of the report, its offsets only."""
        finding, lesion = self.finding, self.lesion
        return {
            "study_id": finding.study_id,
            "value": self.number,
            "span": list(finding.span),
            "kind": finding.kind,
            "structure": finding.structure,
            "side": finding.side,
            "parts": list(finding.parts),
            "existence": finding.existence,
            "stated_diameters_mm": list(finding.diameters_mm),
            "found": lesion is not None,
            "told_apart": self.told_apart,
            **{name: _rounded(getattr(self, name)) for name in (
                "sure", "presence", "peak", "mean_probability", "size_agreement", "place_agreement",
            )},
            "volume_mm3": round(self.volume_mm3, 1),
            "diameters_mm": [
                round(value, 1) for value in (lesion.diameter_mm_1, lesion.diameter_mm_2, lesion.diameter_mm_3)
            ] if lesion else [],
            "centroid_mm": [round(value, 1) for value in lesion.centroid_mm] if lesion else None,
            "peak_mm": [round(value, 1) for value in self.peak_mm],
        }  # fmt: skip


@dataclass(frozen=True)
class GroundedStudy:
    """All findings of one study.

    Attributes:
        labels: [1, X, Y, Z] on the grid of the input: the number of the finding at each voxel.
        canonical_image, canonical_labels: the same in RAS+ order, for pictures.
    """

    labels: Volume
    canonical_image: Volume
    canonical_labels: npt.NDArray[np.uint16]
    findings: tuple[Grounded, ...]


def ground_study(
    model: PromptedNetwork,
    card: ModelCard,
    volume: Volume,
    report: ReportFindings,
    text: str | None,
    settings: Settings,
) -> GroundedStudy:
    """Paint each finding of a report that is there, or possibly there, now.

    Args:
        model: on the device to use.
        volume: [C, X, Y, Z] in Hounsfield units, any orientation and spacing.
        text: of the report, for its own sentences; None: the findings alone.

    Raises:
        InputError: the volume has another number of channels than the model.
    """
    canonical, coarse, encoded = encode(model, card, volume, settings)
    painter, organs = _Painter(canonical, coarse, settings), _Organs(encoded, model, card)
    wanted = [finding for finding in report.findings if refers(finding)]
    asked = [ways(finding, [other for other in wanted if other is not finding], text) for finding in wanted]
    for finding, (texts, told_apart) in zip(wanted, asked, strict=True):
        probability, presence = _answer(encoded, model, texts)
        painter.paint(finding, probability, presence, organs.of(finding), told_apart=told_apart)
    return painter.result(volume)


def ways(finding: Finding, others: Sequence[Finding], text: str | None) -> tuple[tuple[str, ...], bool]:
    """How a finding is asked for, and whether that means it and no other: its own sentence where it speaks of nothing
    else, and the fullest phrases; else all that is known of it."""
    told = phrases(finding, others)
    texts = list(told[: MOST_TEXTS - 1]) or [describe(finding)]
    if text is not None:
        start, end = sentence_span(text, finding.span)
        if end - start <= SENTENCE and not any(start <= other.span[0] < end for other in others):
            texts.append(text[start:end])
    return tuple(dict.fromkeys(asking.normal(one) for one in texts)), bool(told)


def _answer(encoded: EncodedVolume, model: PromptedNetwork, texts: Sequence[str]) -> tuple[Map, float]:
    """Mean probability and presence over the ways to ask."""
    with torch.inference_mode():
        embeddings = model.embed(texts)
    answers = list(encoded.ask(embeddings))
    probability: Map = torch.stack([answer.logits for answer in answers]).sigmoid().mean(0).numpy()
    return probability, float(np.mean([answer.presence for answer in answers]))


class _Organs:
    """Where the model sees the organs of findings; each is asked once."""

    def __init__(self, encoded: EncodedVolume, model: PromptedNetwork, card: ModelCard) -> None:
        self.encoded, self.model, self.names = encoded, model, card.names
        self.found: dict[str, Mask | None] = {}

    def of(self, finding: Finding) -> Mask | None:
        """None where the model was not trained on the organ, or sees none."""
        sided = [f"{finding.structure}_{finding.side}"] if finding.side in ("left", "right") else []
        label = next((name for name in (*sided, finding.structure) if name in self.names), None)
        if label is None:
            return None
        if label not in self.found:
            with torch.inference_mode():
                answer = next(iter(self.encoded.ask(self.model.embed([asking.texts(label)[0]]))))
            organ: Mask = answer.logits.numpy() >= 0
            self.found[label] = organ if organ.any() else None
        return self.found[label]


class _Painter:
    """Paints one finding after the other; a voxel belongs to the finding that is most probable there."""

    def __init__(self, canonical: Volume, coarse: Volume, settings: Settings) -> None:
        self.canonical, self.coarse, self.settings = canonical, coarse, settings
        self.native = NativeGrid(canonical, coarse)
        self.labels = np.zeros(canonical.shape, dtype=np.uint16)
        self.best = np.zeros(canonical.shape, dtype=np.float16)
        self.made: list[Grounded] = []

    def paint(
        self, finding: Finding, probability: Map, presence: float, organ: Mask | None, *, told_apart: bool
    ) -> None:
        """Paint the connected parts that hold most of the probability, as many as the finding counts lesions."""
        number = len(self.made) + 1
        found = _kept(probability, finding)
        place = None
        if organ is not None and found.any():
            zone = postprocess.organ_zone(organ, self.coarse.spacing_mm, margin_mm=self.settings.organ_margin_mm)
            place = float((found & zone).sum() / found.sum())
        self._to_native(number, np.where(found, probability, 0.0).astype(np.float32))
        x, y, z = np.unravel_index(int(probability.argmax()), probability.shape)
        peak = self.coarse.affine @ np.array([x, y, z, 1.0])
        self.made.append(
            Grounded(
                number=number,
                finding=finding,
                told_apart=told_apart,
                sure=0.0,
                presence=presence,
                peak=float(probability.max()),
                mean_probability=float(probability[found].mean()) if found.any() else 0.0,
                size_agreement=None,
                place_agreement=place,
                volume_mm3=0.0,
                lesion=None,
                peak_mm=(float(peak[0]), float(peak[1]), float(peak[2])),
            )
        )

    def _to_native(self, number: int, probability: Map) -> None:
        maps = ProbabilityMaps(self.coarse.shape)
        logits = torch.from_numpy(probability).clamp(1e-6, 1 - 1e-6).logit()
        maps.add(Tile((0, 0, 0), logits[None]))
        part = self.native.part(maps, 0, FOUND)
        if part is None:
            return
        box, values = part
        highest = self.best[box]
        wins = (values >= FOUND) & (values > highest)
        self.labels[box][wins] = number
        highest[wins] = values[wins]

    def result(self, volume: Volume) -> GroundedStudy:
        """All findings, measured on the voxels that are theirs in the end."""
        small = self.labels.astype(np.uint8) if len(self.made) <= np.iinfo(np.uint8).max else self.labels
        return GroundedStudy(
            labels=back_to(Volume(small[None], self.canonical.affine, volume.study_id), volume),
            canonical_image=self.canonical,
            canonical_labels=self.labels,
            findings=tuple(self._measured(one) for one in self.made),
        )

    def _measured(self, one: Grounded) -> Grounded:
        own = self.labels == one.number
        box = bounding_box(own)
        if box is None:
            return one
        (lesion,) = table.measure(
            own[box].astype(np.uint8),
            1,
            image=self.canonical.array[0][box],
            probability=self.best[box],
            affine=shifted(self.canonical.affine, box),
            study_id=self.canonical.study_id,
            label=f"finding {one.number}",
            structure=one.finding.structure,
        )
        stated = max(one.finding.diameters_mm, default=0.0)
        size = None
        if stated and one.finding.count.hi == 1:
            painted = max(lesion.diameter_mm_1, lesion.diameter_mm_3)
            size = min(stated, painted) / max(stated, painted)
        agreed = [value for value in (size, one.place_agreement) if value is not None]
        return replace(
            one,
            sure=float(np.prod([one.mean_probability, *agreed])),
            size_agreement=size,
            volume_mm3=lesion.volume_mm3,
            lesion=lesion,
        )


def _kept(probability: Map, finding: Finding) -> Mask:
    """The parts above the threshold, those with most probability first, at most as many as there are lesions."""
    labelled, count = postprocess.components(probability >= FOUND)
    most = finding.count.hi
    if count <= most:
        return np.asarray(labelled > 0)
    mass = np.bincount(labelled.ravel(), weights=probability.ravel(), minlength=count + 1)
    mass[0] = 0
    best = np.argsort(-mass)[: int(most)]
    return np.isin(labelled, best)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
