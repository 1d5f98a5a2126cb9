"""What the report says of each organ as a whole: free of lesions, described completely or not, removed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

from dictamen.interval import Interval
from dictamen.reports.drafts import CONFIDENCE, Draft
from dictamen.reports.lexicon import Lexicon
from dictamen.reports.schema import OrganState, OrganStatus, Span

_FAMILIES = {"ovary": "adnexa", "rectum": "colon", "vertebra": "bone", "rib": "bone"}
"""Organs that are cleared and diseased together."""
LIMITED = 0.7
"""Confidence that an organ is free of lesions where the examination was limited: a convention, no measurement."""


class OrganStatement(NamedTuple):
    """ "Normal", "no lesion" or "removed", said of one organ (or one side); `span` is that of its sentence."""

    structure: str
    side: Literal["left", "right"] | None
    limited: bool = False
    span: Span = (0, 0)

    @property
    def key(self) -> str:
        """Structure id, with ":left" or ":right" for one side."""
        return f"{self.structure}:{self.side}" if self.side else self.structure


def _family(structure: str) -> str:
    return _FAMILIES.get(structure, structure)


def clear_statements(
    said: Iterable[OrganStatement], removed: Iterable[OrganStatement], drafts: list[Draft]
) -> list[OrganStatement]:
    """Statements of normality that no lesion of the report contradicts, one for each organ or side."""
    current = [draft for draft in drafts if draft.temporal == "current" and draft.existence != "absent"]
    gone = {statement.key for statement in removed}
    clear: dict[str, OrganStatement] = {}
    for statement in said:
        lesions = [draft for draft in current if _family(draft.structure) == _family(statement.structure)]
        if statement.key in gone or statement.structure in gone:
            continue
        if lesions and not (statement.side and all(draft.place.side == _other(statement.side) for draft in lesions)):
            continue
        clear.setdefault(statement.key, statement)
    return [s for s in clear.values() if s.side is None or s.structure not in clear]


def _other(side: str) -> str:
    return "left" if side == "right" else "right"


def organ_states(
    clear: list[OrganStatement], removed: list[OrganStatement], drafts: list[Draft], lexicon: Lexicon
) -> tuple[OrganState, ...]:
    """One state for each organ (and side) that the report speaks of, sorted by name."""
    states: dict[tuple[str, str | None], OrganState] = {}
    for statement in removed:
        states[(statement.structure, statement.side)] = _state(statement, "removed")
    for statement in clear:
        states.setdefault((statement.structure, statement.side), _state(statement, "lesion_free"))
    for structure in dict.fromkeys(draft.structure for draft in drafts):
        lesions = [
            d for d in drafts if d.structure == structure and d.temporal == "current" and d.existence != "absent"
        ]
        if lesions:
            sided = bool(lexicon.attribute("organ", structure, "sided", False))
            states[(structure, None)] = _diseased(structure, lesions, sided=sided)
    return tuple(states[key] for key in sorted(states, key=lambda key: (key[0], key[1] or "")))


def _state(statement: OrganStatement, status: OrganStatus) -> OrganState:
    return OrganState(
        structure=statement.structure,
        side=statement.side,
        status=status,
        count=Interval.exact(0) if status == "lesion_free" else None,
        limited=statement.limited,
        confidence=LIMITED if statement.limited else CONFIDENCE["sentence"],
        span=statement.span,
    )


def _diseased(structure: str, lesions: list[Draft], *, sided: bool) -> OrganState:
    own = [draft for draft in lesions if draft.group is None]
    largest = max((draft.diameters_mm[0] for draft in lesions if draft.diameters_mm), default=None)
    return OrganState(
        structure=structure,
        status="lesions_complete" if all(map(_is_complete, lesions)) else "lesions_incomplete",
        count=sum((_counted(draft) for draft in own), Interval.exact(0)),
        largest_mm=largest,
        side_known=not sided or all(draft.place.side is not None for draft in lesions),
        confidence=round(min(draft.confidence for draft in lesions), 3),
        span=lesions[0].span,
    )


def _counted(draft: Draft) -> Interval:
    """How many; a doubted lesion may be none."""
    return Interval(0, draft.count.hi) if draft.existence == "possible" else draft.count


def _is_complete(draft: Draft) -> bool:
    """Whether a lesion is counted and sized, and there for sure."""
    counted = draft.count.lo == draft.count.hi and not math.isinf(draft.count.hi)
    each_sized = bool(draft.diameters_mm) and draft.count.hi == 1
    return counted and each_sized and draft.existence == "present"
