"""What the losses of reports look at in the outputs of a network of nnU-Net, and what is known of it voxel by voxel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from dictamen.errors import InputError
from dictamen.nnunet.dataset import Labels
from dictamen.supervision.mask_states import UNKNOWN
from dictamen.supervision.study_regions import StudyRegions

OUTSIDE = -1
"""nnU-Net's value of voxels outside the scan."""


@dataclass(frozen=True)
class Outputs:
    """Binary outputs: lesions first, then what else the label map tells.

    Args:
        values: of each output, the values of the label map that belong to it.
        heads: of each output, its channel of a network with one sigmoid a region; None for a softmax over labels.
        labels: values of the channels of a softmax.
        ignore: value of voxels that nobody labelled.
    """

    values: tuple[frozenset[int], ...]
    heads: tuple[int, ...] | None = None
    labels: tuple[int, ...] = ()
    ignore: int | None = None

    @classmethod
    def of_labels(cls, labels: Labels, values: Iterable[int], ignore: int | None) -> Outputs:
        """Of a softmax over `values`: each lesion, and each other label joined with the lesions that may lie in it."""
        every = tuple(int(value) for value in values)
        lesions = [labels.values(target) for target in labels.targets]
        others = [value for value in every if value != 0 and not any(value in own for own in lesions)]
        joined = [
            frozenset({value}).union(*(labels.values(t) for t in labels.targets if value in labels.around(t)))
            for value in others
        ]
        return cls((*lesions, *joined), None, every, ignore)

    @classmethod
    def of_regions(cls, labels: Labels, regions: Sequence[Iterable[int] | int], ignore: int | None) -> Outputs:
        """Of one sigmoid a region: those that are a lesion label, then the others.

        Raises:
            InputError: a lesion label is no region of its own.
        """
        heads = [frozenset({int(r)} if isinstance(r, (int, np.integer)) else map(int, r)) for r in regions]
        lesions = [labels.values(target) for target in labels.targets]
        if missing := [t.name for t, own in zip(labels.targets, lesions, strict=True) if own not in heads]:
            raise InputError(
                "A lesion label is no region of its own.",
                got=", ".join(missing),
                expected="in dataset.json one label for each lesion whose values are in no smaller lesion label",
            )
        order = [heads.index(own) for own in lesions]
        order += [index for index in range(len(heads)) if index not in order]
        return cls(tuple(heads[index] for index in order), tuple(order), (), ignore)

    def logits(self, output: Float[Tensor, "B H *space"]) -> Float[Tensor, "B L *space"]:
        """The logit of each output's probability: of a softmax, log sum exp over its labels less that over the rest."""
        if self.heads is not None:
            return output[:, list(self.heads)]
        scores = output.float()
        return torch.stack([self._against_rest(scores, values) for values in self.values], 1)

    def _against_rest(self, scores: Float[Tensor, "B H *space"], values: frozenset[int]) -> Tensor:
        own = [index for index, value in enumerate(self.labels) if value in values]
        rest = [index for index, value in enumerate(self.labels) if value not in values]
        return torch.logsumexp(scores[:, own], 1) - torch.logsumexp(scores[:, rest], 1)

    def state(
        self, label_map: npt.NDArray[np.integer], maps: npt.NDArray[np.integer], regions: StudyRegions
    ) -> npt.NDArray[np.uint8]:
        """[outputs, X, Y, Z], 0 negative, 1 positive, 2 unknown, of a case whose lesions are not drawn.

        A voxel has the value of the label map, or is one of the lesions that the report does not exclude there. An
        output is known where all that the voxel may be agree.

        Args:
            label_map: [X, Y, Z]; -1 outside the scan, where nothing is known.
            maps: [targets, X, Y, Z], as `StudyRegions.maps` writes them.
        """
        nowhere = (label_map == OUTSIDE) | (label_map == self.ignore)
        possible = [_possible(target, numbers, regions) for target, numbers in enumerate(maps)]
        table = np.zeros((len(self.values), max(int(label_map.max(initial=0)), *map(max, self.values)) + 1), bool)
        for index, values in enumerate(self.values):
            table[index, list(values)] = True
        state = np.empty((len(self.values), *label_map.shape), np.uint8)
        for index, values in enumerate(self.values):
            known = table[index][np.maximum(label_map, 0)]
            state[index] = known
            for target, may_be in enumerate(possible):
                state[index][may_be & (known != (self.values[target] <= values))] = UNKNOWN
        state[:, nowhere] = UNKNOWN
        return state


def _possible(target: int, numbers: npt.NDArray[np.integer], regions: StudyRegions) -> npt.NDArray[np.bool_]:
    """Where a voxel may be this lesion: in all regions but those free of it, and outside all where that is unknown."""
    table = np.zeros(256, bool)
    table[0] = not regions.negative_outside[target]
    for region, number in regions.numbered():
        if region.label == target:
            table[number] = region.kind != "absent"
    return np.asarray(table[np.maximum(numbers, 0)])
