"""Which number of the predictions is which label of the cohort."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dictamen.anatomy.lesion_labels import LesionLabel, is_lesion, parse
from dictamen.anatomy.vocabulary import load
from dictamen.errors import InputError


@dataclass(frozen=True, slots=True)
class LabelPair:
    """One label that is measured.

    Attributes:
        target: its meaning; its name is the cohort's, or the predictions' where the cohort has no such mask label.
        predicted_value: its number in the predictions.
        truth_value: its number in the cohort's lesion maps; None where only reports can judge it.
        predicted_name: what the predictions call it.
    """

    target: LesionLabel
    predicted_value: int
    truth_value: int | None
    predicted_name: str

    @property
    def name(self) -> str:
        """The label's name in the results."""
        return self.target.name


def pair_labels(
    predicted: Mapping[int, str], cohort: Mapping[int, str], *, organs: Collection[str] = ()
) -> tuple[list[LabelPair], list[str]]:
    """Pair labels by name, then by meaning ("kidney tumor" = "kidney_tumour"), then by organ with overlapping kinds.

    Args:
        predicted, cohort: number -> name.
        organs: vocabulary ids of the cohort's organs, for names without organ.

    Returns:
        The pairs, and warnings: kinds that differ, labels that were left out.

    Raises:
        InputError: no predicted label is a lesion label, or none is one of the cohort's.
    """
    lesions = {value: name for value, name in predicted.items() if name in cohort.values() or is_lesion(name)}
    others = [name for value, name in predicted.items() if value not in lesions]
    # organs are predicted beside lesions as a rule: only a name that means nothing is worth a word
    warnings = [f"predicted label {name} is no lesion and was left out" for name in others if load().find(name) is None]
    truths = {value: parse(name, organs) for value, name in cohort.items()}
    pairs: list[LabelPair] = []
    for value, name in lesions.items():
        label = parse(name, organs)
        taken = {pair.truth_value for pair in pairs}
        found = next((v for v in _by_nearness(label, truths) if v not in taken), None)
        if found is None and cohort:
            warnings.append(f"predicted label {name} is not in the cohort: only reports can judge it")
        elif found is not None and truths[found].kinds != label.kinds:
            warnings.append(f"predicted label {name} is measured against {truths[found].name}, whose kinds differ")
        pairs.append(LabelPair(label if found is None else truths[found], value, found, name))
    if not lesions or (cohort and all(pair.truth_value is None for pair in pairs)):
        raise InputError(
            "The predictions have no label of the cohort.",
            got=sorted(predicted.values()),
            expected=sorted(cohort.values()) or "names such as kidney_tumour",
            next_step="correct the names in labels.json, or give a file with --labels",
        )
    return pairs, warnings


def _by_nearness(label: LesionLabel, truths: Mapping[int, LesionLabel]) -> list[int]:
    """Numbers of compatible truth labels, best first: same name, same meaning, same organ with common kinds."""

    def distance(truth: LesionLabel) -> int | None:
        if truth.name == label.name:
            return 0
        if (truth.structure, truth.side) != (label.structure, label.side) or not truth.kinds & label.kinds:
            return None
        return 1 if truth.kinds == label.kinds else 2

    ranked = [(rank, value) for value, truth in truths.items() if (rank := distance(truth)) is not None]
    return [value for _, value in sorted(ranked)]
