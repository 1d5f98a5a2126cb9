"""Findings that may lie in the same place become one constraint: regions of one label never overlap by name."""

from __future__ import annotations

from collections.abc import Sequence

from dictamen.interval import Interval
from dictamen.supervision.constraint import Constraint, LesionSize, Region
from dictamen.supervision.evidence import Evidence
from dictamen.supervision.organ_facts import OrganFacts, Slot
from dictamen.supervision.sizes import TINY_MM, ball_volume

SAME_SIZE_RATIO = 1.1
"""Diameters that differ by less are one lesion, said of a group and of its example: a reader's error is 10 %."""
UNKNOWN_SEEDS = 20
"""Lesions of unknown size that are listed for one region at most; "innumerable" needs no more seeds than that."""


def cluster(items: Sequence[Evidence]) -> list[list[Evidence]]:
    """Group evidence that shares a slot and either shares a part or has none; groups keep the order of the report."""
    groups: list[list[Evidence]] = []
    for item in items:
        touching = [group for group in groups if any(_meet(item, other) for other in group)]
        merged = [member for group in touching for member in group] + [item]
        groups = [group for group in groups if not any(group is other for other in touching)] + [merged]
    order = {id(item): place for place, item in enumerate(items)}
    return sorted((sorted(g, key=lambda i: order[id(i)]) for g in groups), key=lambda group: order[id(group[0])])


def slots(group: Sequence[Evidence]) -> frozenset[Slot]:
    """Slots in which one of the group can be."""
    return frozenset().union(*(item.slots for item in group))


def positive(label: str, facts: OrganFacts, group: Sequence[Evidence], *, weight: float) -> Constraint:
    """The constraint of one group; `weight` scales that of its least certain member."""
    definite = [item for item in group if not item.optional]
    sizes = _listed(definite)
    lo, hi = _count(definite, len(_known_sizes(definite))), sum(item.count.hi for item in group)
    volume_lo = _volume_lo(definite)
    settled = len(definite) == len(group) and all(item.settled for item in group) and lo == hi
    return Constraint(
        label,
        _region(facts, group),
        count=Interval(lo, max(lo, hi)),
        volume_mm3=Interval(volume_lo, max(volume_lo, sum(item.volume_mm3.hi for item in group))),
        lesions=tuple(sizes),
        attenuation=_shared_attenuation(definite),
        rest="negative" if settled else "ignore",
        weight=weight * min(item.weight for item in group),
        spans=tuple(sorted({item.finding.span for item in group})),
    )


def _meet(one: Evidence, other: Evidence) -> bool:
    same_part = not one.parts or not other.parts or bool(one.parts & other.parts)
    return same_part and bool(one.slots & other.slots)


def _region(facts: OrganFacts, group: Sequence[Evidence]) -> Region:
    place = slots(group)
    side = next(iter(place)) if len(place) == 1 else None
    parts = tuple(dict.fromkeys(part for item in group for part in item.finding.parts))
    return Region(facts.structure, side, parts if all(item.parts for item in group) else (), _images(group))


def _images(group: Sequence[Evidence]) -> tuple[int, ...] | None:
    """See `Region.images`."""
    references = {reference for item in group for reference in item.finding.slices}
    if not references:
        return None
    each = all(item.finding.slices and not item.is_group for item in group)
    one_series = len({reference.series for reference in references}) == 1
    return tuple(sorted({reference.image for reference in references})) if each and one_series else ()


def _count(definite: Sequence[Evidence], known: int) -> float:
    """At least so many lesions: a group and its examples are counted once."""
    singles = sum(1 for item in definite if not item.is_group)
    groups = max((item.count.lo for item in definite if item.is_group), default=0.0)
    return max(singles, groups, known)


def _volume_lo(definite: Sequence[Evidence]) -> float:
    singles = sum(item.volume_mm3.lo for item in definite if not item.is_group)
    groups = max((item.volume_mm3.lo for item in definite if item.is_group), default=0.0)
    return max(singles, groups, sum(size.volume_mm3.lo for size in _known_sizes(definite)))


def _known_sizes(definite: Sequence[Evidence]) -> list[LesionSize]:
    """Every lesion with a size once, largest first; a group's largest counts only where no example is that large."""
    known: list[LesionSize] = []
    for item in sorted(definite, key=lambda item: item.is_group):
        if item.size.diameters_mm is None:
            continue
        largest = max((s.diameters_mm[0] for s in known if s.diameters_mm is not None), default=0.0)
        if not item.is_group:
            known.append(item.size)
        elif item.size.diameters_mm[0] > SAME_SIZE_RATIO * largest:
            known += [item.size] * (int(item.count.lo) if item.settled and not known else 1)
    return sorted(known, key=lambda size: size.diameters_mm or (0.0,), reverse=True)


def _listed(definite: Sequence[Evidence]) -> list[LesionSize]:
    """Lesions with a size, then as many without as must be there besides."""
    known = _known_sizes(definite)
    missing = min(int(_count(definite, len(known))) - len(known), UNKNOWN_SEEDS)
    unsized = [item.size for item in definite if item.size.diameters_mm is None and not item.is_group]
    hi = max((item.size.volume_mm3.hi for item in definite), default=0.0)
    rest = LesionSize(None, Interval(min(ball_volume(TINY_MM.lo), hi), hi))
    return known + (unsized + [rest] * missing)[: max(missing, 0)]


def _shared_attenuation(definite: Sequence[Evidence]) -> str | None:
    stated = {item.finding.attenuation for item in definite}
    return stated.pop() if len(stated) == 1 else None
