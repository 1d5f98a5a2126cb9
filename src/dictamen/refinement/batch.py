"""Cases as tensors: several crops of different sizes, padded to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dictamen.losses.region_tables import FeedbackTable
from dictamen.models.refiner import AIR
from dictamen.refinement.case import RefineCase
from dictamen.supervision.region_targets import RegionTargets


@dataclass(frozen=True)
class CaseTensors:
    """Cases as tensors [B, 1, X, Y, Z]; `table` is None where one of them has no feedback.

    Padding is air outside band and regions, where no loss but "nothing far away" sees it. `sides` are those of each
    case without it.
    """

    image: Tensor
    mask: Tensor
    edge: Tensor
    inside: Tensor
    region: Tensor
    band: Tensor
    table: FeedbackTable | None
    sides: tuple[tuple[int, int, int], ...]


def tensors(*cases: RefineCase) -> CaseTensors:
    """Turn cases into tensors; the label axis has length 1."""
    sides = np.max([case.mask.shape for case in cases], axis=0)

    def volume(field: Callable[[RefineCase], npt.NDArray[np.generic]], dtype: torch.dtype, empty: float) -> Tensor:
        stack = torch.full((len(cases), 1, *sides.tolist()), empty, dtype=dtype)
        for number, case in enumerate(cases):
            array = field(case)
            x, y, z = array.shape
            stack[number, 0, :x, :y, :z] = torch.from_numpy(np.ascontiguousarray(array)).to(dtype)
        return stack

    return CaseTensors(
        image=volume(lambda case: case.image, torch.float32, AIR),
        mask=volume(lambda case: case.mask, torch.float32, 0),
        edge=volume(lambda case: case.edge, torch.float32, 0),
        inside=volume(lambda case: case.inside, torch.float32, 0.5),
        region=volume(lambda case: case.region, torch.uint8, 0),
        band=volume(lambda case: case.band, torch.bool, 0),
        table=_table([case.targets for case in cases]),
        sides=tuple((x, y, z) for x, y, z in (case.mask.shape for case in cases)),
    )


def _table(said: Sequence[RegionTargets | None]) -> FeedbackTable | None:
    """Rows of all cases [B, 1, K]; missing rows have weight 0 and direction 0."""
    tables = [table for table in said if table is not None]
    if len(tables) < len(said):
        return None
    most = max(len(table.weight) for table in tables)

    def rows(field: Callable[[RegionTargets], npt.NDArray[np.generic]]) -> Tensor:
        stack = np.stack([np.pad(field(table), (0, most - len(table.weight))) for table in tables])
        return torch.from_numpy(stack)[:, None]

    return FeedbackTable(
        target=rows(lambda table: table.target),
        lo=rows(lambda table: table.lo),
        hi=rows(lambda table: table.hi),
        direction=rows(lambda table: table.direction),
        weight=rows(lambda table: table.weight),
    )
