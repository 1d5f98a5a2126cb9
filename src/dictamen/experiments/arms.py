"""Arms of supervision: what is compared, on the same studies, network, steps and augmentation."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dictamen.errors import InputError, UsageError
from dictamen.training.config import TrainConfig, merge, validated

FEW, REPORTS, ALL = "masks", "masks+reports", "all-masks"
PSEUDO_LABELS, IMAGE_LEVEL, CONTRASTIVE = "masks+pseudo-labels", "masks+image-level", "contrastive+masks"


@dataclass(frozen=True)
class Arm:
    """One way to supervise.

    Attributes:
        name: of its folder.
        title: for tables.
        changes: of the base configuration.
        kind: name of the way, whatever the number of masks and reports.
        masks: how many studies' masks it uses; None: all.
        reports: how many studies' reports it uses; None: all.
        pretraining: settings of `dictamen pretrain`, where it starts from an encoder that the reports taught.
    """

    name: str
    title: str
    changes: dict[str, Any]
    kind: str = ""
    masks: int | None = None
    reports: int | None = None
    pretraining: Mapping[str, Any] | None = None

    def config(self, base: TrainConfig, *, seed: int, pretrained: Path | None = None) -> TrainConfig:
        """The base configuration with this arm's changes and this seed."""
        settings = merge(base.model_dump(), self.changes)
        start = {"pretrained": str(pretrained)} if pretrained else {}
        return validated({**settings, **start, "seed": seed}, where=f"arm {self.name}")


@dataclass(frozen=True)
class Way:
    """A way to supervise, before it is said with how many masks and reports.

    Attributes:
        title: behind the number of masks.
        changes: of the base configuration.
        few: whether it uses few masks, not all.
        reports: whether it trains on reports.
        pretraining: see `Arm`.
    """

    title: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    few: bool = True
    reports: bool = True
    pretraining: Mapping[str, Any] | None = None


STANDARD: Mapping[str, Way] = {
    FEW: Way("", {"supervision": ("masks",)}, reports=False),
    REPORTS: Way(" + reports", {"supervision": ("masks", "reports")}),
    PSEUDO_LABELS: Way(
        " + pseudo-labels", {"losses": {"ball_mode": "pseudo_labels", "volume": 0.0, "attenuation": 0.0}}
    ),
    IMAGE_LEVEL: Way(" + image level", {"losses": {"ball": 0.0, "volume": 0.0, "attenuation": 0.0, "presence": 0.1}}),
    CONTRASTIVE: Way(
        " after contrastive pretraining",
        {"supervision": ("masks",), "tag_maps": False},
        reports=False,
        pretraining={"recognition": 0.0, "fewest": 1, "batch": 8},  # no tag is learned: rare ones do no harm
    ),
    ALL: Way("all masks", {"supervision": ("masks",)}, few=False, reports=False),
}
"""Few masks; the same masks and the other studies' reports; simpler ways to use the reports: the network's own
components in the reported number, "a lesion is in this organ, or none", contrastive pretraining; all masks, the upper
bound."""


def standard_arms(masks: int | None, names: Sequence[str] = (FEW, REPORTS, ALL)) -> tuple[Arm, ...]:
    """The arms `names` of `STANDARD` with that many masks (None: all that there are)."""
    return arm_grid(names, masks=(masks,))


def arm_grid(
    names: Sequence[str],
    *,
    masks: Sequence[int | None] = (None,),
    reports: Sequence[int | None] = (None,),
    ways: Mapping[str, Way] = STANDARD,
) -> tuple[Arm, ...]:
    """Every way `names` with every number of masks and of reports that it uses.

    Args:
        names: of `ways`; they are the arms' names too, with "@6" or "@6+100" where there are several numbers.
        masks: how many studies' masks the arms with few masks use; None: all that there are.
        reports: how many studies' reports the arms with reports use; None: all.

    Raises:
        UsageError: an unknown name.
    """
    unknown = [name for name in names if name not in ways]
    if unknown:
        raise UsageError("There is no such arm.", got=", ".join(unknown), expected=", ".join(ways))
    return tuple(
        _arm(name, ways[name], few, told, several=(len(masks) > 1, len(reports) > 1))
        for name in names
        for few in (masks if ways[name].few else (None,))
        for told in (reports if ways[name].reports else (None,))
    )


def _arm(name: str, way: Way, masks: int | None, reports: int | None, *, several: tuple[bool, bool]) -> Arm:
    numbers = [
        "all" if number is None else str(number)
        for number, shown in ((masks, several[0] and way.few), (reports, several[1] and way.reports))
        if shown
    ]
    count = f"{'all' if masks is None else masks} masks" if way.few else ""
    told = f" ({reports})" if reports is not None else ""
    return Arm(
        name + ("@" + "+".join(numbers) if numbers else ""),
        f"{count}{way.title}{told}",
        merge(dict(way.changes), {"max_mask_studies": masks, "max_report_studies": reports}),
        kind=name,
        masks=masks,
        reports=reports,
        pretraining=way.pretraining,
    )


def named_ways(parts: Sequence[str]) -> tuple[list[str], dict[str, Way]]:
    """Names of arms, and all ways by name, of a list of standard names and of toml files with ways of one's own."""
    ways, names = dict(STANDARD), []
    for part in parts:
        own = read_ways(Path(part)) if part.endswith(".toml") else {}
        ways.update(own)
        names += list(own) or [part]
    return names, ways


def read_ways(file: Path) -> dict[str, Way]:
    """Ways of one's own from a toml file: a table each, named as the arm, with the settings that it changes.

    `like` names the way that it changes ("masks+reports" where it is missing), `title` the words for it in tables,
    `pretraining` settings of a pretraining that it starts from::

        [published-loss]
        title = "published losses"
        losses = {ball_mode = "published", volume_mode = "published"}

    Raises:
        InputError: no toml, or a table that changes no known way.
    """
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError("The file of arms can't be read.", where=file, got=error) from error
    ways: dict[str, Way] = {}
    for name, table in tables.items():
        if not isinstance(table, dict) or table.get("like", REPORTS) not in STANDARD or set(name) & set("/\\@"):
            raise InputError(
                "An arm of the file is wrong.",
                where=file,
                got=name,
                expected=f"[NAME] with the settings that it changes, `like` one of {', '.join(STANDARD)}; no / or @",
            )
        settings = dict(table)
        base = STANDARD[settings.pop("like", REPORTS)]
        title = settings.pop("title", name.replace("-", " "))
        pretraining = settings.pop("pretraining", None)
        ways[name] = replace(
            base,
            title=f"{base.title}: {title}",
            changes=merge(dict(base.changes), settings),
            pretraining=merge(dict(base.pretraining or {}), pretraining) if pretraining else base.pretraining,
        )
    return ways
