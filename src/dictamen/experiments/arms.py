"""Arms of supervision: what is compared, on the same studies, network, steps and augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dictamen.errors import UsageError
from dictamen.training.config import TrainConfig, validated

FEW, REPORTS, ALL = "masks", "masks+reports", "all-masks"
PSEUDO_LABELS, IMAGE_LEVEL = "masks+pseudo-labels", "masks+image-level"


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
        settings = base.model_dump()
        losses = {**settings["losses"], **self.changes.get("losses", {})}
        return validated({**settings, **self.changes, "losses": losses, "seed": seed}, where=f"arm {self.name}")


def standard_arms(masks: int | None, names: Sequence[str] = (FEW, REPORTS, ALL)) -> tuple[Arm, ...]:
    """The arms `names`: few masks; the same masks and the other studies' reports; all masks, the upper bound; and two
    simpler ways to use the reports, the network's own components in the reported number ("masks+pseudo-labels"), and
    "a lesion is in this organ, or none" ("masks+image-level").

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
        PSEUDO_LABELS: Arm(
            PSEUDO_LABELS,
            f"{count} masks + pseudo-labels",
            {"max_mask_studies": masks, "losses": {"ball_mode": "pseudo_labels", "volume": 0.0, "attenuation": 0.0}},
        ),
        IMAGE_LEVEL: Arm(
            IMAGE_LEVEL,
            f"{count} masks + image level",
            {"max_mask_studies": masks, "losses": {"ball": 0.0, "volume": 0.0, "attenuation": 0.0, "presence": 0.1}},
        ),
        ALL: Arm(ALL, "all masks", {"supervision": ("masks",), "max_mask_studies": None}),
    }
    unknown = [name for name in names if name not in every]
    if unknown:
        raise UsageError("There is no such arm.", got=", ".join(unknown), expected=", ".join(every))
    return tuple(every[name] for name in names)
