"""Train, validation and test by patient: no patient is ever in two splits."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Literal, get_args

from dictamen.errors import InputError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

FRACTIONS: Mapping[Split, float] = {"train": 0.7, "val": 0.1, "test": 0.2}
"""Shares of the patients: a tenth chooses thresholds, a fifth gives intervals narrow enough to compare models."""


def by_patient(
    patients: Mapping[str, str],
    *,
    seed: int,
    given: Mapping[str, Split] | None = None,
    strata: Mapping[str, str] | None = None,
) -> dict[str, Split]:
    """Assign each study to a split, so that a patient's studies stay together.

    Args:
        patients: study_id -> patient_id.
        seed: another seed gives another assignment.
        given: study_id -> split where somebody decided already; the patient's other studies follow.
        strata: study_id -> group (for example "masks" or "report") that is divided evenly among the splits; a patient
            belongs to the smallest name among those of the studies.

    Raises:
        InputError: `given` puts one patient into two splits (the message names a study).
    """
    decided = _decided(patients, given or {})
    stratum: dict[str, str] = {}
    for study_id, patient in patients.items():
        name = (strata or {}).get(study_id, "")
        stratum[patient] = min(stratum.get(patient, name), name)
    free = sorted((p for p in stratum if p not in decided), key=lambda p: (stratum[p], _order(p, seed)))
    counts = {split: sum(1 for s in decided.values() if s == split) for split in SPLITS}
    for patient in free:
        total = sum(counts.values()) + 1
        split = max(SPLITS, key=lambda s: FRACTIONS[s] * total - counts[s])
        decided[patient] = split
        counts[split] += 1
    _fill_empty(decided, free)
    return {study_id: decided[patient] for study_id, patient in patients.items()}


def conflicts(patients: Mapping[str, str], given: Mapping[str, Split]) -> list[str]:
    """Studies of patients whom `given` puts into more than one split."""
    seen: dict[str, set[Split]] = {}
    for study_id, split in given.items():
        seen.setdefault(patients[study_id], set()).add(split)
    return [study_id for study_id, patient in patients.items() if len(seen.get(patient, ())) > 1]


def _decided(patients: Mapping[str, str], given: Mapping[str, Split]) -> dict[str, Split]:
    if wrong := conflicts(patients, given):
        raise InputError(
            "One patient is in several splits.",
            where=wrong[0],
            next_step="give all studies of a patient the same split",
        )
    return {patients[study_id]: split for study_id, split in given.items()}


def _fill_empty(decided: dict[str, Split], free: list[str]) -> None:
    """Give validation and test one patient each where a small cohort left them none, as long as training keeps one."""
    for split in SPLITS:
        training = [patient for patient in free if decided[patient] == "train"]
        if split not in decided.values() and len(training) > 1:
            decided[training[-1]] = split


def _order(patient: str, seed: int) -> bytes:
    return blake2b(f"{seed}\0{patient}".encode(), digest_size=8).digest()
