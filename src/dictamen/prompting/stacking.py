"""Supervisions of one patch, label by label, joined to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dictamen.supervision.patch import UNKNOWN
from dictamen.supervision.study_patch import StudyPatch, without_regions


def only(patch: StudyPatch, label: int) -> StudyPatch:
    """The supervision of one label of a patch."""
    own = patch.lesion_index[:, 0] == label
    cut = slice(label, label + 1)
    index = patch.lesion_index[own] - np.array([label, 0])
    return replace(
        patch, state=patch.state[cut], region=patch.region[cut], volume_lo=patch.volume_lo[cut],
        volume_hi=patch.volume_hi[cut], weight=patch.weight[cut], absent=patch.absent[cut],
        rest_negative=patch.rest_negative[cut], attenuation=patch.attenuation[cut], lesion_index=index,
        lesion_diameters_mm=patch.lesion_diameters_mm[own], lesion_volume_mm3=patch.lesion_volume_mm3[own],
        lesion_known=patch.lesion_known[own],
    )  # fmt: skip


def stacked(patches: Sequence[StudyPatch], size: Sequence[int], spacing_mm: Sequence[float]) -> StudyPatch:
    """The labels of several supervisions of one patch, one after the other."""
    if not patches:
        return without_regions(np.zeros((0, *size), np.uint8), spacing_mm)
    return spread(patches, [list(range(place, place + 1)) for place in range(len(patches))], len(patches))


def spread(patches: Sequence[StudyPatch], places: Sequence[Sequence[int]], labels: int) -> StudyPatch:
    """One supervision of `labels` labels, of which each patch knows those at its `places`; all others are unknown."""
    rows = max(patch.weight.shape[1] for patch in patches)
    shape = patches[0].state.shape[1:]
    state = np.full((labels, *shape), UNKNOWN, np.uint8)
    region = np.zeros((labels, *shape), np.uint8)
    tables = {
        name: np.zeros((labels, rows), getattr(patches[0], name).dtype)
        for name in ("volume_lo", "volume_hi", "weight", "absent", "rest_negative", "attenuation")
    }
    index = [np.zeros((0, 2), np.int64)]
    for patch, to in zip(patches, places, strict=True):
        at = np.asarray(to, dtype=np.int64)
        state[at], region[at] = patch.state, patch.region
        for name, table in tables.items():
            table[at, : patch.weight.shape[1]] = getattr(patch, name)
        moved = patch.lesion_index.copy()
        moved[:, 0] = at[moved[:, 0]]
        index.append(moved)
    return StudyPatch(
        state=state,
        region=region,
        **tables,
        lesion_index=np.concatenate(index),
        lesion_diameters_mm=np.concatenate([patch.lesion_diameters_mm for patch in patches]),
        lesion_volume_mm3=np.concatenate([patch.lesion_volume_mm3 for patch in patches]),
        lesion_known=np.concatenate([patch.lesion_known for patch in patches]),
        spacing_mm=patches[0].spacing_mm,
    )
