"""Arms of supervision: what is compared, on the same studies, network, steps and augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dictamen.errors import UsageError
from dictamen.training.config import TrainConfig, validated

FEW, REPORTS, ALL = "masks", "masks+reports", "all-masks"


@dataclass(frozen=True)
class Arm:
    """One way to supervise.

    Attributes:
        name: of its folder.
        title: for tables.
        changes: of the base configuration.
    """

    name: str
    title: str
    changes: dict[str, Any]

    def config(self, base: TrainConfig, *, seed: int) -> TrainConfig:
        """The base configuration with this arm's changes and this seed."""
        return validated({**base.model_dump(), **self.changes, "seed": seed}, where=f"arm {self.name}")


def standard_arms(masks: int | None, names: Sequence[str] = (FEW, REPORTS, ALL)) -> tuple[Arm, ...]:
    """The arms `names`: few masks; the same masks and the other studies' reports; all masks, the upper bound.

    Args:
        masks: how many studies' masks the first two arms may use; None: all that there are.

    Raises:
        UsageError: an unknown name.
    """
    count = "all" if masks is None else str(masks)
    every = {
        FEW: Arm(FEW, f"{count} masks", {"supervision": ("masks",), "max_mask_studies": masks}),
        REPORTS: Arm(
            REPORTS, f"{count} masks + reports", {"supervision": ("masks", "reports"), "max_mask_studies": masks}
        ),
        ALL: Arm(ALL, "all masks", {"supervision": ("masks",), "max_mask_studies": None}),
    }
    unknown = [name for name in names if name not in every]
    if unknown:
        raise UsageError("There is no such arm.", got=", ".join(unknown), expected=", ".join(every))
    return tuple(every[name] for name in names)
