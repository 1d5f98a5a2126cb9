"""What masks and reports of a patch say about the tag maps of a pretrained encoder."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dictamen.losses.tag_maps import grid_labels, tag_map_loss
from dictamen.supervision.tags import Tag


def matching(tags: Sequence[str], labels: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """(tag, output channel) of each tag that an output label is: `kidney` and the organ, `kidney/cyst` and kidney_cyst.

    Only tags without a side, since outputs carry none; each channel once.
    """
    found: dict[int, int] = {}
    for index, name in enumerate(tags):
        tag = Tag.parse(name)
        label = f"{tag.structure}_{tag.attribute}" if tag.attribute else tag.structure
        if tag.side is None and label in labels:
            found.setdefault(list(labels).index(label), index)
    return tuple((index, channel) for channel, index in found.items())


def supervised_maps(maps: Tensor, state: Tensor, matched: Sequence[tuple[int, int]]) -> Tensor:
    """`tag_map_loss` of the matched tags.

    Args:
        maps: [B, 1 + K, *grid], background first.
        state: [B, L, *voxels]: 0 negative, 1 positive, 2 unknown.
        matched: see `matching`; not empty.
    """
    chosen = maps[:, [0, *(1 + index for index, _ in matched)]]
    return tag_map_loss(chosen, grid_labels(state, [channel for _, channel in matched], maps.shape[2:]))
