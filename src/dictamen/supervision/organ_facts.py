"""What a whole report says about one organ, side by side: free of lesions, completely described, removed, limited."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dictamen.reports.schema import ReportFindings

Slot = Literal["left", "right"] | None
"""One side of an organ; None where the report never speaks of sides, and so the organ is one place."""


@dataclass(frozen=True)
class OrganFacts:
    """The slots of an organ, and those of which each statement is true."""

    structure: str
    slots: tuple[Slot, ...]
    mentioned: bool
    clear: frozenset[Slot]
    complete: frozenset[Slot]
    removed: frozenset[Slot]
    limited: frozenset[Slot]
    spans: tuple[tuple[int, int], ...]


def organ_facts(report: ReportFindings, structure: str, *, only: str | None = None) -> OrganFacts:
    """Gather clear, removed and organ states of `structure`; a statement without a side holds for both.

    Args:
        only: "left" or "right" for a label of one side: the other side is left out.
    """
    states = [state for state in report.organ_states if state.structure == structure]
    clear = _sides(report.clear_structures, structure) | {s.side for s in states if s.status == "lesion_free"}
    removed = _sides(report.removed_structures, structure) | {s.side for s in states if s.status == "removed"}
    complete = {s.side for s in states if s.status == "lesions_complete"}
    limited = {s.side for s in states if s.limited}
    findings = [f for f in report.findings if f.structure == structure]
    sided = (clear | removed | complete | limited | {s.side for s in states} | {f.side for f in findings}) - {None}
    slots: tuple[Slot, ...] = ("left", "right") if sided or only else (None,)
    if only is not None:
        slots = tuple(slot for slot in slots if slot == only)
    mentioned = bool(findings or clear or removed or [s for s in states if s.status != "not_mentioned"])
    return OrganFacts(
        structure,
        slots,
        mentioned,
        clear=_spread(clear, slots),
        complete=_spread(complete, slots),
        removed=_spread(removed, slots),
        limited=_spread(limited, slots),
        spans=tuple(sorted({s.span for s in states if s.span is not None})),
    )


def _sides(entries: Iterable[str], structure: str) -> set[Slot]:
    """Sides of the entries "kidney", "kidney:left" that are this structure's; None is both."""
    found: set[Slot] = set()
    for entry in entries:
        name, _, side = entry.partition(":")
        if name == structure:
            found.add("left" if side == "left" else "right" if side == "right" else None)
    return found


def _spread(sides: set[Slot], slots: tuple[Slot, ...]) -> frozenset[Slot]:
    return frozenset(slots) if None in sides else frozenset(sides) & frozenset(slots)
