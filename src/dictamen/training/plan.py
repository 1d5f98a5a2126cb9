"""What a run trains on: the output labels and the studies of each role."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dictamen.anatomy import lesion_labels, vocabulary
from dictamen.anatomy.lesion_labels import LesionLabel
from dictamen.cohort.store import Cohort
from dictamen.errors import InputError, UsageError
from dictamen.models.card import OutputLabel
from dictamen.supervision.from_findings import constraints
from dictamen.training.config import TrainConfig
from dictamen.training.operating_point import OperatingPoint


@dataclass(frozen=True)
class Plan:
    """Output channels are `targets` then `organs`.

    Attributes:
        targets: lesion labels.
        organs: whole structures trained beside them (`kidney`).
        organ_labels: label names of the cohort's organ maps that make up `organs` (`kidney_left`, `kidney_right`).
        masks: training studies whose lesion masks are used.
        reports: training studies whose reports are used instead.
        positive: those of both that have a target lesion, by their mask or by their report.
        validation: studies that choose the threshold and the best weights.
        warnings: what a user should know about this choice.
    """

    targets: tuple[LesionLabel, ...]
    organs: tuple[str, ...]
    organ_labels: tuple[str, ...]
    masks: tuple[str, ...]
    reports: tuple[str, ...]
    positive: frozenset[str]
    validation: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the output channels, in order."""
        return (*(target.name for target in self.targets), *self.organs)

    @property
    def organ_channels(self) -> tuple[int | None, ...]:
        """Output channel of each target's organ; None where it is not trained."""
        place = {organ: len(self.targets) + index for index, organ in enumerate(self.organs)}
        return tuple(place.get(target.structure or "") for target in self.targets)


def make_plan(cohort: Cohort, config: TrainConfig) -> Plan:
    """Choose labels and studies.

    Raises:
        UsageError: a target or organ that the cohort doesn't have.
        InputError: no study to train on.
    """
    targets = _targets(cohort, config.targets)
    organs, organ_labels = _organs(cohort, targets, config.organs)
    with_masks = cohort.ids("train", having=("lesions",))
    masks = _chosen(cohort, targets, with_masks, config) if "masks" in config.supervision else ()
    reports: tuple[str, ...] = ()
    if "reports" in config.supervision:
        others = [i for i in cohort.ids("train", having=("report", "organs")) if i not in set(masks)]
        reports = tuple(sorted(_shuffled(others, config.seed)[: config.max_report_studies]))
    if not masks and not reports:
        raise InputError(
            "The cohort has no study to train on.",
            got=f"{len(with_masks)} training studies with lesion masks, supervision {', '.join(config.supervision)}",
            expected="training studies with lesion masks, or with a report and organ masks",
            next_step="run `dictamen cohort info` on it, or change --supervision",
        )
    validation = _in_turn(
        cohort.ids("val"), lambda i: _has_target(cohort, i, targets) or _says_target(cohort, i, targets)
    )
    positive = {i for i in masks if _has_target(cohort, i, targets)} | {
        i for i in reports if _says_target(cohort, i, targets)
    }
    return Plan(
        targets,
        organs,
        organ_labels,
        masks,
        reports,
        frozenset(positive),
        validation,
        tuple(_warnings(cohort, config, targets, masks, reports, validation)),
    )


def output_labels(plan: Plan, points: Sequence[OperatingPoint]) -> tuple[OutputLabel, ...]:
    """The output channels as the model card names them."""
    words = vocabulary.load()
    structures = [*(target.structure for target in plan.targets), *plan.organs]
    return tuple(
        OutputLabel(
            name=name,
            kind="lesion" if channel < len(plan.targets) else "organ",
            structure=structure,
            snomed_ct=words[structure].snomed_ct if structure and structure in words else None,
            threshold=point.voxel,
            lesion_threshold=point.lesion if channel < len(plan.targets) else 0.0,
        )
        for channel, (name, structure, point) in enumerate(zip(plan.labels, structures, points, strict=True))
    )


def _chosen(
    cohort: Cohort, targets: Sequence[LesionLabel], with_masks: Sequence[str], config: TrainConfig
) -> tuple[str, ...]:
    """At most `max_mask_studies` of them, drawn by the seed, the same for every arm of a comparison.

    Studies that have a target lesion come first: nobody with time for six masks draws empty ones.
    """
    drawn = _shuffled(with_masks, config.seed)
    drawn.sort(key=lambda study_id: not _has_target(cohort, study_id, targets))
    return tuple(sorted(drawn[: config.max_mask_studies]))


def _shuffled(studies: Sequence[str], seed: int) -> list[str]:
    return [studies[index] for index in np.random.default_rng(seed).permutation(len(studies))]


def _in_turn(studies: Sequence[str], positive: Callable[[str], bool]) -> tuple[str, ...]:
    """Studies with and without a lesion in turn, as long as there are both: the first ones speak of both."""
    halves = [[study for study in studies if positive(study) is wanted] for wanted in (True, False)]
    both = [study for pair in zip(*halves, strict=False) for study in pair]
    return (*both, *(study for half in halves for study in half[len(both) // 2 :]))


def _has_target(cohort: Cohort, study_id: str, targets: Sequence[LesionLabel]) -> bool:
    boxes = cohort.study(study_id).boxes
    return any(f"lesion:{target.name}" in boxes for target in targets)


def _says_target(cohort: Cohort, study_id: str, targets: Sequence[LesionLabel]) -> bool:
    report = cohort.findings(study_id)
    return report is not None and any(constraint.count.lo >= 1 for constraint in constraints(report, targets)[0])


def _targets(cohort: Cohort, wanted: Sequence[str] | None) -> tuple[LesionLabel, ...]:
    known = list(cohort.info.lesion_labels.values())
    names = list(wanted) if wanted is not None else known
    if not names:
        raise UsageError(
            "The cohort has no lesion label.",
            expected="`targets`, for example kidney_tumour",
            next_step="add --set 'targets=[\"kidney_tumour\"]'",
        )
    try:
        return tuple(lesion_labels.parse(name, organs=tuple(cohort.info.organ_labels.values())) for name in names)
    except InputError as error:
        if wanted is None:
            raise
        raise UsageError(
            f"A name in `targets` has no meaning: {error.what}", got=error.got, expected=error.expected
        ) from error


def _organs(
    cohort: Cohort, targets: Sequence[LesionLabel], wanted: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    words = vocabulary.load()
    whole = {name: words.whole(name)[0] for name in cohort.info.organ_labels.values()}
    known = set(whole.values())
    ours = [target.structure for target in targets if target.structure and target.structure in known]
    organs = tuple(dict.fromkeys(ours if wanted is None else wanted))
    unknown = [organ for organ in organs if organ not in known]
    if unknown:
        raise UsageError(
            "The cohort has no mask of an organ.",
            got=", ".join(unknown),
            expected=", ".join(sorted(known)),
        )
    return organs, tuple(name for name, organ in whole.items() if organ in organs)


def _warnings(
    cohort: Cohort,
    config: TrainConfig,
    targets: Sequence[LesionLabel],
    masks: Sequence[str],
    reports: Sequence[str],
    validation: Sequence[str],
) -> list[str]:
    found = [
        f"no training study has a {target.name}, by its mask or by its report: nothing of it can be learned"
        for target in targets
        if not any(_has_target(cohort, i, [target]) for i in masks)
        and not any(_says_target(cohort, i, [target]) for i in reports)
    ]
    if not validation:
        found.append("no validation study: the last weights are kept and the threshold is 0.5")
    if "reports" in config.supervision:
        left_out = len(cohort.ids("train", having=("report",))) - len(cohort.ids("train", having=("report", "organs")))
        if left_out:
            found.append(f"{left_out} training studies have a report but no organ mask, and are not used")
        if not reports:
            found.append("no report study besides those with masks: the run uses masks only")
    if "masks" in config.supervision and not masks:
        found.append("no training study has a lesion mask: the run uses reports only")
    return found
