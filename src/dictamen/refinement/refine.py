"""`refine`: train a refiner from region scores, and repair the masks of a whole cohort with it."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dictamen.anatomy.region_scheme import RegionScheme
from dictamen.cohort.store import Cohort
from dictamen.errors import InputError
from dictamen.files import output_folder, write_text
from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume
from dictamen.models.refiner import Refiner
from dictamen.parallel import map_studies
from dictamen.refinement import outputs
from dictamen.refinement.apply import CHANGE_NAMES, refine_case
from dictamen.refinement.case import RefineCase, regions_without_room
from dictamen.refinement.config import RefineConfig
from dictamen.refinement.outputs import RefinerCard
from dictamen.refinement.study import back_to_source, study_case
from dictamen.refinement.train import train_refiner
from dictamen.review.masks import MaskSource, only_label
from dictamen.supervision.feedback import RegionAnswer, current_answers, known_first, most_trusted
from dictamen.supervision.raters import likely_directions, measured_scale
from dictamen.supervision.score_scale import ScoreScale
from dictamen.training.record import write_run

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
"""Called with (done, all, a few words)."""


@dataclass(frozen=True)
class RefineResult:
    """What a refinement did.

    Attributes:
        run: its folder.
        label: structure that was refined.
        answered: scored regions that the refiner was trained on, in how many studies (`trained_studies`).
        refined: studies whose mask was refined.
        changed: of them, those with at least one changed voxel.
        for_review: regions whose change was too large or too uncertain, and was not made.
        failed: study id -> why it could not be refined.
        seconds: wall time.
    """

    run: Path
    label: str
    answered: int
    trained_studies: int
    refined: int
    changed: int
    for_review: int
    failed: dict[str, dict[str, str]]
    seconds: float


def refine(
    cohort: str | Path | Cohort,
    output: str | Path,
    answers: Sequence[RegionAnswer] = (),
    *,
    masks: str | Path | None = None,
    compare: str | Path | None = None,
    label: str | None = None,
    refiner: str | Path | None = None,
    config: RefineConfig | None = None,
    scale: ScoreScale | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> RefineResult:
    """Train a refiner on scored regions and refine every study's mask with it.

    No mask other than the initial ones is read: there is no truth that could leak.

    Args:
        cohort: cohort folder, or an open cohort.
        output: folder to write; see `refinement.outputs`.
        answers: of `FeedbackStore.answers()`, of any raters; answers on other versions of a mask count nothing.
        masks: folder of masks of any tool, see `review.mask_folder`; None for the cohort's own maps.
        compare: folder of another tool's masks, where regions of the scheme `disagreement` were scored.
        label: structure to refine; may be left out where only one has answers.
        refiner: folder of an earlier refinement: apply its refiner instead of training one.
        config: see `RefineConfig`.
        scale: what scores mean; None: measured on gold regions, the default without enough of them.
        resume: a trained refiner is kept, refined studies are skipped.
        overwrite: accept a folder that holds files; an earlier refinement in it is replaced.
        progress: see `Progress`.

    Raises:
        UsageError: the label is not clear, the folder is not empty.
        InputError: no answer fits the masks.
    """
    started = time.monotonic()
    opened = cohort if isinstance(cohort, Cohort) else Cohort.open(Path(cohort))
    source = MaskSource(opened, _path(masks), _path(compare))
    current = current_answers(answers)
    run = output_folder(Path(output), resume=resume, overwrite=overwrite)
    if not resume:
        for name in (outputs.REGIONS, outputs.FAILED, outputs.REFINER):
            (run / name).unlink(missing_ok=True)
    known = Path(refiner) if refiner is not None else run if resume and (run / outputs.REFINER).is_file() else None
    if known is not None:
        network, card = outputs.load_refiner(known)
        answered: dict[str, int] = {}
    else:
        if label is None and not current:
            raise _no_answer(label)
        chosen = only_label(source, label, {answer.label for answer in current})
        network, card, answered = _train(opened, source, run, current, chosen, config, scale, progress)
    outputs.begin(run, card.label)
    failed = _apply(opened, source, run, network, card, progress)
    lines = outputs.done(run)
    result = RefineResult(
        run=run,
        label=card.label,
        answered=sum(answered.values()),
        trained_studies=len(answered),
        refined=len(lines),
        changed=sum(line["sha256"] != line["parent_sha256"] for line in lines.values()),
        for_review=sum(len(line["for_review"]) for line in lines.values()),
        failed=failed,
        seconds=time.monotonic() - started,
    )
    write_run(
        run / outputs.RUN,
        device="cpu",
        seed=card.config.seed,
        studies={"scored": sorted(answered), "refined": sorted(lines)},
        warnings=[f"{len(failed)} studies were not refined"] if failed else [],
        label=card.label,
        scheme=card.scheme,
        **{name: getattr(result, name) for name in ("answered", "changed", "for_review")},
    )
    return result


def _path(folder: str | Path | None) -> Path | None:
    return Path(folder) if folder is not None else None


def _train(
    cohort: Cohort,
    source: MaskSource,
    run: Path,
    answers: Sequence[RegionAnswer],
    label: str,
    config: RefineConfig | None,
    scale: ScoreScale | None,
    progress: Progress | None,
) -> tuple[Refiner, RefinerCard, dict[str, int]]:
    config, mine = config or RefineConfig(), most_trusted(answer for answer in answers if answer.label == label)
    scale, mine = scale or measured_scale(mine), known_first(mine)
    scheme = _scheme(mine, label)
    directions = likely_directions(mine)
    cases: list[RefineCase] = []
    for study_id, text in dict.fromkeys((answer.study_id, answer.scheme) for answer in mine):
        if study_id not in set(source.studies()):
            logger.warning("Answers on %s are left out: there is no mask of it here.", study_id)
            continue
        cut = RegionScheme.from_text(text)
        cases.append(
            study_case(
                cohort,
                source,
                study_id=study_id,
                label=label,
                scheme=cut,
                config=config,
                answers=mine,
                scale=scale,
                directions=directions,
            )
        )
    answered = Counter[str]()
    for case in cases:
        if case.targets and case.targets.answered:
            answered[case.study_id] += case.targets.answered
    unused = len({answer.place for answer in mine if answer.score}) - sum(answered.values())
    if unused:
        logger.warning("%d scored regions belong to other versions of the masks.", unused)
    if not answered:
        raise InputError(
            "No answer belongs to these masks.",
            got=f"{len(mine)} answers on `{label}`",
            expected="answers given on the same version of the masks",
            next_step="give the masks that were reviewed with --masks, or score these with `dictamen review`",
        )
    crowded = sum(map(regions_without_room, cases))
    if crowded:
        logger.warning("%d regions miss more than lies within their band: score with a larger --band-mm.", crowded)
    metrics: list[str] = []
    network = train_refiner(
        cases,
        config,
        progress=(lambda done, total: progress(done, total, "training")) if progress else None,
        log=lambda step, terms: metrics.append(json.dumps({"step": step, **terms}) + "\n"),
    )
    card = RefinerCard(label=label, scheme=scheme.to_text(), cuts=scale.cuts, targets=scale.targets, config=config)
    x, y, z = np.max([case.mask.shape for case in cases], axis=0).tolist()
    outputs.save_refiner(run, network, card, spacing_mm=cohort.info.spacing_mm, patch=(x, y, z), answered=answered)
    write_text(run / "metrics.jsonl", "".join(metrics))
    return network, card, answered


def _scheme(answers: Sequence[RegionAnswer], label: str) -> RegionScheme:
    """The scheme of most scored regions: the one by which the refiner abstains. `disagreement` cuts no single mask."""
    scored = [answer.scheme for answer in answers if answer.score]
    if not scored:
        raise _no_answer(label)
    counts = Counter(text for text in scored if RegionScheme.from_text(text).name != "disagreement")
    return RegionScheme.from_text(counts.most_common(1)[0][0]) if counts else RegionScheme()


def _no_answer(label: str | None) -> InputError:
    """Nothing to learn from."""
    return InputError(
        "No region has been scored.",
        got=f"label `{label}`" if label else "no answer in the feedback database",
        next_step="score regions with `dictamen review`, or import answers with `dictamen feedback import`",
    )


def _apply(
    cohort: Cohort, source: MaskSource, run: Path, network: Refiner, card: RefinerCard, progress: Progress | None
) -> dict[str, dict[str, str]]:
    finished = outputs.done(run)
    write_text(run / outputs.REGIONS, "")
    todo = [(study_id, study_id) for study_id in source.studies()]
    function = partial(
        _refine_study, cohort=cohort, source=source, run=run, network=network, card=card, finished=finished
    )
    failed = {}
    for outcome in map_studies(
        function, todo, progress=(lambda done, total: progress(done, total, "refining")) if progress else None
    ):
        if outcome.value is not None:
            outputs.add_line(run, outcome.value)
        elif outcome.error is not None:
            failed[outcome.study_id] = outcome.error.to_dict()
    if failed:
        text = "".join(json.dumps({"study_id": name, **error}) + "\n" for name, error in failed.items())
        write_text(run / outputs.FAILED, text)
    else:
        (run / outputs.FAILED).unlink(missing_ok=True)
    return failed


def _refine_study(
    study_id: str,
    *,
    cohort: Cohort,
    source: MaskSource,
    run: Path,
    network: Refiner,
    card: RefinerCard,
    finished: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    scheme, config = card.region_scheme, card.config
    seen, native = source.mask(study_id, card.label), source.native(study_id, card.label)
    if seen and study_id in finished and finished[study_id]["parent_sha256"] == seen.sha256:
        return finished[study_id]
    case = study_case(cohort, source, study_id=study_id, label=card.label, scheme=scheme, config=config)
    if seen is None or native is None:  # study_case has raised already
        raise InputError("The study has no such mask.", where=study_id)
    refined = refine_case(network, case, config, scale=card.scale)
    grid = Volume(np.zeros((1, *seen.mask.shape), dtype=np.uint8), seen.affine, study_id)
    mask, changes = back_to_source(case, refined, grid, native)
    write_volume(mask, outputs.mask_path(run, outputs.REFINED, study_id), label_names={1: card.label})
    names = {int(value): name for value, name in CHANGE_NAMES.items()}
    write_volume(changes, outputs.mask_path(run, outputs.CHANGES, study_id), label_names=names)
    after = MaskSource(cohort, run / outputs.REFINED).mask(study_id, card.label)
    return outputs.regions_line(study_id, seen.sha256, after.sha256 if after else None, refined.regions)
