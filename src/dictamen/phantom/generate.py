"""Write a generated cohort in plain NIfTI, csv and text, with the truth apart."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

from dictamen.errors import UsageError
from dictamen.files import output_folder, write_json, write_text
from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume
from dictamen.parallel import map_studies
from dictamen.phantom.body import LABEL_OF
from dictamen.phantom.lesions import DIAMETERS_MM
from dictamen.phantom.nnunet_layout import check_name, write_nnunet
from dictamen.phantom.study import Split, Study, StudyPlan, lesion_plans, make_study

FOLLOW_UP = 0.08
"""Fraction of patients with two studies."""
SPACINGS_MM = (1.0, 10.0)
"""Finer grids need gigabytes, coarser ones hold no lesion."""
FEWEST_STUDIES = 3
COLUMNS = ("study_id", "patient_id", "image", "report", "organs", "lesions", "split")
TABLE_COLUMNS = (
    "study_id", "lesion", "structure", "side", "part", "kind", "label", "diameters_mm", "volume_mm3", "hu", "contrast",
    "stated", "size_stated",
)  # fmt: skip


@dataclass(frozen=True)
class PhantomSummary:
    """What was written: numbers of studies, of those with lesion masks for training, and with a tumour of each task."""

    output: str
    studies: int
    patients: int
    train: int
    validation: int
    test: int
    masks: int
    lesions: int
    with_tumour: dict[str, int]
    without_lesion: int

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class _Written:
    plan: StudyPlan
    table: list[dict[str, Any]]
    findings: str
    tumours: frozenset[str]


def write_phantom(
    output: Path,
    *,
    studies: int = 160,
    masks: int = 6,
    validation: int = 16,
    test: int = 40,
    spacing_mm: float = 3.0,
    seed: int = 0,
    jobs: int = 1,
    all_masks: bool = False,
    image_numbers: bool = False,
    tasks: tuple[str, ...] = ("kidney", "liver", "pancreas"),
    nnunet: bool = False,
    removed: float = 0.0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> PhantomSummary:
    """Write `studies` studies (training, `validation` and `test` together) into the folder `output`.

    Args:
        masks: training studies with lesion masks, chosen among those with a tumour, each task in turn; all studies
            for validation and test have one.
        spacing_mm: of most studies; some have thicker slices.
        seed: the same seed gives the same bytes, whatever `jobs` is.
        all_masks: every training study has its mask in studies.csv, for the upper bound.
        image_numbers: reports name the axial slice of each lesion that they measure, counted from the head.
        tasks: organs whose tumours are labelled 1, 2, ... in this order.
        nnunet: write nnU-Net's raw layout instead of studies.csv, see `nnunet_layout`.
        removed: chance of gallbladder, spleen and each kidney that the patient has lost it; the report mostly says so.
        progress: called with (done, all) after each study.

    Raises:
        UsageError: numbers that don't fit together, an unknown task, an output folder that isn't empty.
        ResourceError: disk full, folder not writable.
    """
    _check(studies=studies, masks=masks, validation=validation, test=test, spacing_mm=spacing_mm, tasks=tasks)
    if not 0 <= removed < 1:
        raise UsageError("The chance that an organ was removed is out of range.", got=removed, expected="0 to below 1")
    if nnunet:
        check_name(output)
    output = output_folder(output, overwrite=overwrite)
    plans = _plans(studies, spacing_mm=spacing_mm, seed=seed, tasks=tasks)
    plans = [replace(plan, image_numbers=image_numbers, removed=removed) for plan in plans]
    splits = _splits(plans, validation=validation, test=test, seed=seed)
    masked = _masked(plans, splits, masks=masks, all_masks=all_masks)
    if nnunet:
        for name in ("imagesTr", "labelsTr", "imagesTs", "labelsTs", "truth"):
            shutil.rmtree(output / name, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=output) as folder:
            plain = Path(folder)
            written = _write_plain(plain, plans, splits, masked, tasks, jobs=jobs, progress=progress)
            write_nnunet(plain, output)
            (plain / "truth").rename(output / "truth")
    else:
        written = _write_plain(output, plans, splits, masked, tasks, jobs=jobs, progress=progress)
    return _summary(output, written, splits, masked, tasks)


def _write_plain(
    output: Path,
    plans: Sequence[StudyPlan],
    splits: dict[str, Split],
    masked: set[str],
    tasks: Sequence[str],
    *,
    jobs: int,
    progress: Callable[[int, int], None] | None,
) -> list[_Written]:
    """Write all studies in the plain layout."""
    for name in ("lesions", "truth"):  # an older cohort's masks must not stay beside the new studies.csv
        shutil.rmtree(output / name, ignore_errors=True)
    function = partial(_write_study, output=output, masked=frozenset(masked))
    written = []
    for outcome in map_studies(function, [(plan.study_id, plan) for plan in plans], jobs=jobs, progress=progress):
        if outcome.error is not None:
            raise outcome.error
        if outcome.value is not None:
            written.append(outcome.value)
    _write_tables(output, written, splits, masked, tasks)
    return written


def _check(*, studies: int, masks: int, validation: int, test: int, spacing_mm: float, tasks: Sequence[str]) -> None:
    if studies < FEWEST_STUDIES or min(masks, validation, test) < 0:
        raise UsageError(
            "The numbers of studies must not be negative, and there must be at least three studies.",
            got={"studies": studies, "masks": masks, "validation": validation, "test": test},
        )
    if validation + test + masks > studies:
        raise UsageError(
            "Validation, test and mask studies must fit into the number of studies.",
            got=f"{validation} + {test} + {masks} > {studies}",
            next_step="raise --studies or lower --validation, --test or --masks",
        )
    if not SPACINGS_MM[0] <= spacing_mm <= SPACINGS_MM[1]:
        raise UsageError(
            "The spacing is out of range.", got=spacing_mm, expected=f"{SPACINGS_MM[0]:g} to {SPACINGS_MM[1]:g} mm"
        )
    known = ("kidney", "liver", "pancreas", "spleen")
    if not tasks or len(set(tasks)) != len(tasks) or not set(tasks) <= set(known) & set(DIAMETERS_MM):
        raise UsageError("Unknown or repeated task.", got=list(tasks), expected=f"some of {', '.join(known)}")


def _plans(studies: int, *, spacing_mm: float, seed: int, tasks: tuple[str, ...]) -> list[StudyPlan]:
    """One or two studies for each patient, numbered in order."""
    rng = np.random.default_rng([seed, 0])
    plans: list[StudyPlan] = []
    patient = 0
    while len(plans) < studies:
        patient += 1
        for timepoint in range(2 if rng.random() < FOLLOW_UP else 1):
            if len(plans) < studies:
                name = f"phantom_{len(plans) + 1:04d}"
                plans.append(StudyPlan(name, f"patient_{patient:04d}", patient, timepoint, seed, spacing_mm, tasks))
    return plans


def _splits(plans: Sequence[StudyPlan], *, validation: int, test: int, seed: int) -> dict[str, Split]:
    """Study id -> split, by patient: patients in random order fill test, then validation, exactly."""
    rng = np.random.default_rng([seed, 1])
    by_patient: dict[str, list[StudyPlan]] = {}
    for plan in plans:
        by_patient.setdefault(plan.patient_id, []).append(plan)
    wanted: dict[Split, int] = {"test": test, "val": validation}
    splits: dict[str, Split] = {}
    for place in rng.permutation(len(by_patient)):
        group = list(by_patient.values())[place]
        split: Split = next((name for name, left in wanted.items() if left >= len(group)), "train")
        if split != "train":
            wanted[split] -= len(group)
        splits |= {plan.study_id: split for plan in group}
    return splits


def _masked(plans: Sequence[StudyPlan], splits: dict[str, Split], *, masks: int, all_masks: bool) -> set[str]:
    """Studies with a lesion mask: each task in turn gives a training study with its tumour, until there are `masks`."""
    evaluated = {plan.study_id for plan in plans if splits[plan.study_id] != "train"}
    training = [plan for plan in plans if splits[plan.study_id] == "train"]
    if all_masks:
        return evaluated | {plan.study_id for plan in training}
    organs = {
        plan.study_id: {p.structure for p in lesion_plans(plan) if p.kind in ("tumour", "metastasis")}
        for plan in training
    }
    queues = [[name for name, has in organs.items() if task in has] for task in plans[0].tasks]
    queues.append(list(organs))  # where tumours run out, any study
    chosen: list[str] = []
    turn = 0
    while len(chosen) < min(masks, len(training)):
        queue = queues[turn % (len(queues) - 1)] or queues[-1]
        name = queue.pop(0)
        if name not in chosen:
            chosen.append(name)
        turn += 1
    return evaluated | set(chosen)


def _write_study(plan: StudyPlan, *, output: Path, masked: frozenset[str]) -> _Written:
    """Generate one study and write its files."""
    study = make_study(plan)
    name = f"{plan.study_id}.nii.gz"
    _write_array(output / "images" / name, study.hu, study)
    _write_array(output / "organs" / name, study.organs, study)
    _write_array(output / "truth" / "lesions" / name, study.lesions, study)
    if plan.study_id in masked:
        (output / "lesions").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(output / "truth" / "lesions" / name, output / "lesions" / name)
    write_text(output / "reports" / f"{plan.study_id}.txt", study.report.text)
    return _Written(plan, _table(study), study.report.findings.model_dump_json(), study.tumours)


def _write_array(path: Path, array: npt.NDArray[Any], study: Study) -> None:
    """Write a canonical array [X, Y, Z] in the study's orientation on disk."""
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(study.orientation)
    )
    affine = study.affine @ nibabel.orientations.inv_ornt_aff(turn, array.shape)
    turned = np.ascontiguousarray(nibabel.orientations.apply_orientation(array, turn))
    write_volume(Volume(turned[None], affine, study.plan.study_id), path)


def _table(study: Study) -> list[dict[str, Any]]:
    """Rows of the lesion table."""
    rows = []
    for index, lesion in enumerate(study.found):
        plan = lesion.plan
        labelled = lesion.is_tumour and plan.structure in study.plan.tasks
        hu = float((lesion.values_hu[lesion.inside]).mean())
        rows.append(
            {
                "study_id": study.plan.study_id,
                "lesion": index + 1,
                "structure": plan.structure,
                "side": lesion.side or "",
                "part": lesion.part or "",
                "kind": plan.kind,
                "label": f"{plan.structure}_tumour" if labelled else "",
                "diameters_mm": ";".join(f"{d:.1f}" for d in lesion.diameters_mm),
                "volume_mm3": f"{lesion.volume_mm3:.0f}",
                "hu": f"{hu:.0f}",
                "contrast": f"{plan.contrast_hu:.0f}",
                "stated": "yes" if index in study.report.stated else "no",
                "size_stated": "yes" if index in study.report.sized else "no",
            }
        )
    return rows


def _write_tables(
    output: Path, written: Sequence[_Written], splits: dict[str, Split], masked: set[str], tasks: Sequence[str]
) -> None:
    rows = []
    for one in written:
        name = one.plan.study_id
        rows.append(
            {
                "study_id": name,
                "patient_id": one.plan.patient_id,
                "image": f"images/{name}.nii.gz",
                "report": f"reports/{name}.txt",
                "organs": f"organs/{name}.nii.gz",
                "lesions": f"lesions/{name}.nii.gz" if name in masked else "",
                "split": splits[name],
            }
        )
    write_json(output / "labels.json", {
        "organs": {str(label): name for name, label in LABEL_OF.items()},
        "lesions": {str(label): f"{task}_tumour" for label, task in enumerate(tasks, start=1)},
    })  # fmt: skip
    write_text(
        output / "truth" / "lesion_table.csv", _csv(TABLE_COLUMNS, [row for one in written for row in one.table])
    )
    write_text(
        output / "truth" / "findings.jsonl", "".join(json.dumps(json.loads(one.findings)) + "\n" for one in written)
    )
    write_text(output / "studies.csv", _csv(COLUMNS, rows))  # last: a folder with studies.csv is complete


def _csv(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _summary(
    output: Path, written: Sequence[_Written], splits: dict[str, Split], masked: set[str], tasks: Sequence[str]
) -> PhantomSummary:
    names: dict[str, Split] = {"train": "train", "validation": "val", "test": "test"}
    count = {name: sum(value == split for value in splits.values()) for name, split in names.items()}
    return PhantomSummary(
        output=str(output), studies=len(written), patients=len({one.plan.patient_id for one in written}), **count,
        masks=sum(splits[name] == "train" for name in masked), lesions=sum(len(one.table) for one in written),
        with_tumour={task: sum(task in one.tumours for one in written) for task in tasks},
        without_lesion=sum(not one.table for one in written),
    )  # fmt: skip
