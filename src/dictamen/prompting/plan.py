"""What a prompted run trains on: labels of several cohorts united through the vocabulary, and their studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dictamen.anatomy import knowledge, lesion_labels, vocabulary
from dictamen.cohort.store import Cohort
from dictamen.errors import InputError, UsageError
from dictamen.models.card import OutputLabel
from dictamen.prompting.config import PromptConfig
from dictamen.supervision.prompt_states import PromptStates, cohort_labels, is_lesion

SPACING_TOLERANCE = 0.01
"""Relative; grids that differ by less are the same to a network."""


@dataclass(frozen=True)
class Source:
    """One cohort of a run.

    Attributes:
        states: what its maps say of the run's labels.
        studies: for training; they have a map that teaches a label, or a report with organ masks.
        validation: studies with a map that teaches a label.
    """

    cohort: Cohort
    states: PromptStates
    studies: tuple[str, ...]
    validation: tuple[str, ...]


@dataclass(frozen=True)
class PromptPlan:
    """The labels, lesions first, and the cohorts.

    Attributes:
        taught: for each label, how many of the cohorts' maps teach it.
        warnings: what a user should know about this choice.
    """

    labels: tuple[str, ...]
    sources: tuple[Source, ...]
    taught: dict[str, int]
    warnings: tuple[str, ...]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Of all cohorts."""
        return self.sources[0].cohort.info.spacing_mm

    @property
    def training_ids(self) -> tuple[str, ...]:
        """Study ids of all cohorts."""
        return tuple(study for source in self.sources for study in source.studies)


def make_plan(cohorts: Sequence[Cohort], config: PromptConfig) -> PromptPlan:
    """Unite the labels and choose the studies.

    Raises:
        UsageError: no cohort, cohorts on different grids, a label that no mask teaches.
        InputError: no study to train on.
    """
    if not cohorts:
        raise UsageError("Training needs a cohort.")
    _check_spacing(cohorts)
    lesions: dict[str, None] = {}
    structures: dict[str, None] = {}
    for cohort in cohorts:
        of_lesions, of_organs = cohort_labels(
            tuple(cohort.info.organ_labels.values()), tuple(cohort.info.lesion_labels.values())
        )
        lesions |= dict.fromkeys(of_lesions)
        structures |= dict.fromkeys(of_organs)
    labels = _chosen((*lesions, *structures), config)
    sources = tuple(_source(cohort, labels, config) for cohort in cohorts)
    taught = {label: sum(_teaches(source, label) for source in sources) for label in labels}
    if not any(source.studies for source in sources):
        raise InputError(
            "The cohorts have no study to train on.",
            got=f"supervision {', '.join(config.supervision)}",
            expected="training studies with masks, or with a report and organ masks",
            next_step="run `dictamen cohort info` on them, or change --supervision",
        )
    return PromptPlan(labels, sources, taught, tuple(_warnings(sources, taught, config)))


def output_labels(plan: PromptPlan, thresholds: Sequence[float]) -> tuple[OutputLabel, ...]:
    """The labels as the model card names them."""
    return tuple(output_label(label, threshold) for label, threshold in zip(plan.labels, thresholds, strict=True))


def output_label(label: str, threshold: float) -> OutputLabel:
    """One label; its structure and code where the vocabulary has them."""
    words = vocabulary.load()
    lesion = is_lesion(label)
    structure = lesion_labels.parse(label).structure if lesion and label not in knowledge.load() else label
    return OutputLabel(
        name=label,
        kind="lesion" if lesion else "organ",
        structure=structure,
        snomed_ct=words[structure].snomed_ct if structure is not None and structure in words else None,
        threshold=threshold,
    )


def _chosen(all_labels: Sequence[str], config: PromptConfig) -> tuple[str, ...]:
    wanted = tuple(all_labels) if config.labels is None else config.labels
    if unknown := [label for label in wanted if label not in all_labels]:
        raise UsageError(
            "No mask of the cohorts teaches a label.",
            got=", ".join(unknown),
            expected=f"some of {', '.join(all_labels)}",
        )
    if not wanted:
        raise InputError(
            "The cohorts have no mask of a structure that can be named.",
            expected="organ or lesion masks with names of the vocabulary",
            next_step="run `dictamen cohort info` on them",
        )
    return tuple(sorted(wanted, key=lambda label: not is_lesion(label)))


def _source(cohort: Cohort, labels: tuple[str, ...], config: PromptConfig) -> Source:
    states = PromptStates(labels, cohort.info.organ_labels, cohort.info.lesion_labels)

    def masks(study_id: str) -> bool:
        study = cohort.study(study_id)
        names = study.organ_names_annotated, study.lesion_names_annotated
        return any(states.teaches(label, *names) for label in labels)

    def report(study_id: str) -> bool:
        return cohort.findings(study_id) is not None and cohort.study(study_id).has("organs")

    training = tuple(
        study_id
        for study_id in cohort.ids("train")
        if ("masks" in config.supervision and masks(study_id)) or ("reports" in config.supervision and report(study_id))
    )
    return Source(cohort, states, training, tuple(study_id for study_id in cohort.ids("val") if masks(study_id)))


def _teaches(source: Source, label: str) -> bool:
    info = source.cohort.info
    return source.states.teaches(label, tuple(info.organ_labels.values()), tuple(info.lesion_labels.values()))


def _check_spacing(cohorts: Sequence[Cohort]) -> None:
    first = cohorts[0].info.spacing_mm
    for cohort in cohorts[1:]:
        other = cohort.info.spacing_mm
        if any(abs(a - b) > SPACING_TOLERANCE * a for a, b in zip(first, other, strict=True)):
            raise UsageError(
                "The cohorts have different training grids.",
                where=cohort.path,
                got=f"{other} mm",
                expected=f"{first} mm, as {cohorts[0].path}",
                next_step="build it again with `dictamen cohort build --spacing-mm`",
            )


def _warnings(sources: Sequence[Source], taught: dict[str, int], config: PromptConfig) -> list[str]:
    found = [f"the cohort {s.cohort.path.name} has no study to train on" for s in sources if not s.studies]
    if "reports" in config.supervision and not any(
        s.cohort.findings(i) is not None and s.cohort.study(i).has("organs") for s in sources for i in s.studies
    ):
        found.append("no training study has a report and organ masks: no sentence can be learned")
    if not any(s.validation for s in sources):
        found.append("no validation study has masks: the last weights are kept and the thresholds are 0.5")
    if never := [label for label, count in taught.items() if not count]:
        found.append(f"no mask teaches {', '.join(never)}")
    return found
