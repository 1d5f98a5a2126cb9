"""Measure a pair model on validation studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dictamen.anatomy.regions import label_values
from dictamen.models.pair_model import PairModel
from dictamen.models.tag_heads import similarity_maps
from dictamen.pretraining.metrics import collapse, points_inside, retrieval, tag_metrics
from dictamen.pretraining.pairs import PairMaker


@torch.no_grad()
def measure(model: PairModel, maker: PairMaker, *, device: torch.device) -> dict[str, float]:
    """Metrics on the validation pairs; {} with fewer than two.

    Pointing accuracy is the share of (study, tag present in it, organ in view) whose map is highest inside the organ;
    it needs organ masks, which pretraining never sees. Its chance is the mean share of the view that the organ fills.
    """
    ids, batch = maker.validation, maker.config.batch
    if len(ids) < 2:
        return {}
    images, texts, logits, targets, weights, hits, chances = [], [], [], [], [], [], []
    for first in range(0, len(ids), batch):
        chosen = ids[first : first + batch]
        pairs = maker.validation_pairs(chosen)
        found = model(pairs.image.to(device), pairs.texts)
        images.append(found.image.float().cpu())
        texts.append(found.text.float().cpu())
        logits.append(found.scores.logits.float().cpu().numpy())
        targets.append(pairs.target.numpy())
        weights.append(pairs.weight.numpy())
        maps = similarity_maps(found.cells, found.tags).float().cpu()
        for study_id, of_study, present in zip(chosen, maps, pairs.target > 0, strict=True):
            inside, share = _pointing(maker, study_id, of_study, present)
            hits += inside
            chances += share
    metrics = {
        "studies": float(len(ids)),
        **retrieval(torch.cat(images), torch.cat(texts)),
        **tag_metrics(np.concatenate(logits), np.concatenate(targets), np.concatenate(weights)),
        **{f"image_{name}": value for name, value in collapse(torch.cat(images)).items()},
    }
    return {**metrics, **_means({"pointing": hits, "pointing_chance": chances})}


def _pointing(maker: PairMaker, study_id: str, maps: Tensor, present: Tensor) -> tuple[list[float], list[float]]:
    """For each present tag whose organ is in view: whether its map points into it, and the share that it fills."""
    study = maker.cohort.study(study_id)
    names = maker.cohort.info.organ_labels
    if not study.has("organs"):
        return [], []
    size = [side * maker.config.shrink for side in maker.config.patch_size]
    organs = study.patch("organs", maker.start(study), size)
    chosen, masks = [], []
    for index in present.nonzero()[:, 0].tolist():
        tag = maker.tags[index]
        mask = np.isin(organs, label_values(names, tag.structure, tag.side))
        if mask.any():
            chosen.append(index)
            masks.append(torch.from_numpy(mask))
    if not chosen:
        return [], []
    together = torch.stack(masks)
    return points_inside(maps[chosen], together).float().tolist(), together.flatten(1).float().mean(1).tolist()


def _means(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: float(np.mean(found)) for name, found in values.items() if found}
