"""Ids for studies that only files and folders name: unique, and usable as file names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dictamen.cohort.source import UNSAFE_IN_IDS


def unique_ids(names: Sequence[tuple[str, str]]) -> list[str]:
    """An id for each (short, long) name: the short one where nobody else has it, else the long one, else numbered.

    Names that differ only in case count as the same, since some file systems can't tell them apart.
    """
    times = Counter(safe_id(short).casefold() for short, _ in names)
    ids: list[str] = []
    taken = {name for name, count in times.items() if count == 1}
    for short, long in names:
        study_id = safe_id(short)
        if times[study_id.casefold()] > 1:
            study_id = _free(safe_id(long), taken)
        taken.add(study_id.casefold())
        ids.append(study_id)
    return ids


def _free(name: str, taken: set[str]) -> str:
    candidates = (name if number == 1 else f"{name}_{number}" for number in range(1, len(taken) + 2))
    return next(candidate for candidate in candidates if candidate.casefold() not in taken)


def safe_id(name: str) -> str:
    """The name with what a file name can't hold replaced by an underscore."""
    return UNSAFE_IN_IDS.sub("_", name) or "_"
