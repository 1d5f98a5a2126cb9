"""Fine-tune a segmenter of organs on a few label maps, from scratch or from a pretrained encoder, and measure it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dictamen.anatomy.regions import label_values
from dictamen.evaluation.surface import hausdorff, surface_distances
from dictamen.losses.overlap import masked_dice_bce
from dictamen.models import presets
from dictamen.models.presets import SegmentationNetwork
from dictamen.models.pretrained import Pretrained, start_from
from dictamen.models.tag_maps import attach_tag_maps
from dictamen.pretraining.pairs import PairMaker, block_means, cut
from dictamen.supervision.patch import NEGATIVE, POSITIVE, UNKNOWN
from dictamen.training.tag_supervision import matching, supervised_maps

WEIGHT_DECAY = 0.05
HALF = 0.5


@dataclass(frozen=True)
class FineTuning:
    """How the segmenter is trained.

    Attributes:
        steps, batch, learning_rate: AdamW, half a cosine down to zero.
        tag_maps: weight of the loss of tag maps, where there are maps.
    """

    steps: int
    batch: int
    learning_rate: float
    tag_maps: float


@dataclass(frozen=True)
class Measured:
    """Means over test studies that show an organ.

    Attributes:
        dice: of each organ; 0 counts where it is there and not found, or found and not there.
        hd95_mm: of each organ, where it is both there and found.
    """

    dice: dict[str, float]
    hd95_mm: dict[str, float]


class OrganViews:
    """Views of studies as pretraining sees them, with what is known of each voxel.

    Args:
        maker: of the pairs, whose views these are.
        organs: whole structures, one output channel each.
    """

    def __init__(self, maker: PairMaker, organs: Sequence[str]) -> None:
        self.maker, self.organs = maker, tuple(organs)
        names = maker.cohort.info.organ_labels
        self._values = [label_values(names, organ, None) for organ in organs]
        self._names = [{names[value] for value in values} for values in self._values]
        self._labels = lru_cache(maxsize=None)(lambda study_id: maker.cohort.study(study_id).level("organs", 1))

    def view(self, study_id: str, seed: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """Image [1, X, Y, Z] and state [K, X, Y, Z]; at the centre, or shifted at random by the seed."""
        maker, config = self.maker, self.maker.config
        study = maker.cohort.study(study_id)
        first, again = (np.random.default_rng(seed) if seed is not None else None for _ in range(2))
        start, size = maker.start(study, first), [side * config.shrink for side in config.patch_size]
        image = maker.view(study_id, again)
        if again is not None:
            image = maker.changed(image, again)
        organs = cut(self._labels(study_id), start, size, fill=0)
        state = np.stack(
            [block_means(np.isin(organs, values).astype(np.float32), config.shrink) >= HALF for values in self._values]
        )
        known = [bool(names & set(study.organ_names_annotated)) for names in self._names]
        state = np.where(state, POSITIVE, NEGATIVE).astype(np.uint8)
        state[[not found for found in known]] = UNKNOWN
        return torch.from_numpy(image)[None], torch.from_numpy(state)


def build_network(
    views: OrganViews, pretrained: Pretrained | None, *, maps: bool, seed: int
) -> tuple[SegmentationNetwork, tuple[tuple[int, int], ...]]:
    """A network for the views' organs, and which of its tag maps are organs.

    Maps without a pretrained encoder have tags of no meaning, one an organ: what the loss of maps does by itself.
    """
    config = views.maker.config
    torch.manual_seed(seed)
    network = presets.build(config.preset, in_channels=1, out_channels=len(views.organs), **config.network)
    if pretrained is not None:
        start_from(network, pretrained, preset=config.preset, tag_maps=maps)
        return network, matching(pretrained.card.tags, views.organs) if maps else ()
    if maps:
        attach_tag_maps(network, torch.randn(len(views.organs), config.dimension))
    return network, tuple((index, index) for index in range(len(views.organs))) if maps else ()


def fine_tune(
    network: SegmentationNetwork,
    matched: Sequence[tuple[int, int]],
    views: OrganViews,
    studies: Sequence[str],
    settings: FineTuning,
    *,
    seed: int,
) -> None:
    """Train `network` in place on the label maps of `studies`."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    order = np.random.default_rng([seed, 1]).integers(len(studies), size=(settings.steps, settings.batch))
    network.train()
    for step, drawn in enumerate(order):
        made = [views.view(studies[index], (seed, step, slot)) for slot, index in enumerate(drawn)]
        image, state = (torch.stack(parts) for parts in zip(*made, strict=True))
        output = network(image)
        loss = masked_dice_bce(output.logits, state)
        if output.maps is not None and matched:
            loss = loss + settings.tag_maps * supervised_maps(output.maps, state, matched)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


@torch.no_grad()
def measure_organs(network: SegmentationNetwork, views: OrganViews, studies: Sequence[str]) -> Measured:
    """Dice and HD95 of each organ on `studies`."""
    network.eval()
    dice: dict[str, list[float]] = {organ: [] for organ in views.organs}
    distance: dict[str, list[float]] = {organ: [] for organ in views.organs}
    shrink = views.maker.config.shrink
    x, y, z = (side * shrink for side in views.maker.cohort.info.spacing_mm)
    for study_id in studies:
        image, state = views.view(study_id)
        found = (network(image[None]).logits[0] > 0).numpy()
        for organ, prediction, truth in zip(views.organs, found, state.numpy(), strict=True):
            if (truth == UNKNOWN).all() or not (prediction.any() or (truth == POSITIVE).any()):
                continue
            score, hd95 = _compare(truth == POSITIVE, prediction, (x, y, z))
            dice[organ].append(score)
            distance[organ] += [hd95] if math.isfinite(hd95) else []
    return Measured(_means(dice), _means(distance))


def _compare(
    truth: npt.NDArray[np.bool_], prediction: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> tuple[float, float]:
    """Dice, and HD95 in mm (not a number where one of both is empty)."""
    dice = 2 * np.sum(truth & prediction) / (np.sum(truth) + np.sum(prediction))
    if not (truth.any() and prediction.any()):
        return float(dice), math.nan
    return float(dice), hausdorff(surface_distances(truth, prediction, spacing_mm=spacing_mm), 0.95)


def _means(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: float(np.mean(found)) for name, found in values.items() if found}
