"""`predict`: many studies, each whole or not at all, resumable, one failure never stops the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from torch import nn

from dictamen.cohort.store import Cohort
from dictamen.errors import InputError, UsageError
from dictamen.files import output_folder, write_json
from dictamen.imaging.dicom.segmentation import Form
from dictamen.imaging.dicom.series import ONLY
from dictamen.imaging.nifti import write_volume
from dictamen.imaging.read import read_image
from dictamen.imaging.slicer import SUFFIX, Segment, write_segmentation
from dictamen.imaging.volume import Volume
from dictamen.inference.asked import Policy, Prompts
from dictamen.inference.dicom_out import DICOM, check_source, write_dicom
from dictamen.inference.inputs import InputStudy, find_inputs
from dictamen.inference.near_organs import OrganMasks, organs_of_labels, read_organs
from dictamen.inference.outputs import Failure, OutputFolder, file_sha256, label_map_path
from dictamen.inference.preview import label_colours, write_preview
from dictamen.inference.prompt_outputs import PROBABILITIES, embedded, write_probabilities, writer
from dictamen.inference.prompt_study import PromptedStudy, segment_prompts
from dictamen.inference.sliding import choose_device
from dictamen.inference.statistics import measure_labels
from dictamen.inference.study import Settings, StudyPrediction, label_values, segment
from dictamen.models.card import ModelCard
from dictamen.models.package import WEIGHTS, load_model
from dictamen.models.prompted import PromptedNetwork
from dictamen.models.registry import locate
from dictamen.parallel import Progress, map_stages, map_studies

PREVIEWS, SLICER, PROMPTS = "previews", "slicer", "prompts.json"
SCORE_DECIMALS = 4
"""Probabilities come from 16-bit numbers: further digits mean nothing."""
HASH_SHOWN = 12
"""Digits of the weights' hash that name a model in DICOM; 48 bits tell all models of the world apart."""


@dataclass(frozen=True)
class PredictResult:
    """What became of all studies.

    Attributes:
        output: the folder.
        labels: value in the label maps -> name.
        predicted: ids predicted now.
        skipped: ids that were there already (`resume`).
        failed: the others, with the reason.
        lesions: lesions in all studies of the folder.
        seconds: wall time of this call.
        remarks: what a user should know of prompts that are no label of the model, and of studies whose headers
            contradict themselves.
    """

    output: Path
    labels: dict[int, str]
    predicted: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: tuple[Failure, ...]
    lesions: int
    seconds: float
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Products:
    """What to write of each study besides its label map and its rows of the tables.

    Attributes:
        preview: a picture.
        slicer: the label map as a segmentation of 3D Slicer, with names and the colours of the picture.
        probabilities: a map a label.
        statistics: a table with volume, mean and spread of the Hounsfield units of each label.
        dicom: a DICOM SEG and SR, of studies that came as DICOM.
        form: of the SEG.
        deidentify: nothing of the source's headers in SEG and SR but geometry.
    """

    preview: bool = False
    slicer: bool = False
    probabilities: bool = False
    statistics: bool = False
    dicom: bool = False
    form: Form = "binary"
    deidentify: bool = False


@dataclass(frozen=True)
class _Opened:
    """A study that was read."""

    study: InputStudy
    volume: Volume
    organs: OrganMasks | None
    seconds: float


@dataclass(frozen=True)
class _Found:
    """A study that was segmented."""

    opened: _Opened
    prediction: StudyPrediction
    seconds: float
    asked: PromptedStudy | None = None


@dataclass(frozen=True)
class _Job:
    """What a worker needs besides the study."""

    model: Path
    output: Path
    settings: Settings
    products: Products
    trust_code: bool
    model_hash: str
    organs: Path | None = None
    prompts: Prompts | None = None
    policy: Policy = "hierarchy"

    def load(self) -> tuple[nn.Module, ModelCard]:
        """The model, from memory where this process has it; the card's labels are the prompts, where there are any."""
        model, card = _loaded(
            self.model, self.settings.device, self.trust_code, (self.model / WEIGHTS).stat().st_mtime_ns
        )
        return model, card if self.prompts is None else self.prompts.card(card)


def predict(
    run: str | Path,
    input: str | Path,
    output: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    products: Products | None = None,
    split: str | None = None,
    series: str = ONLY,
    near_organs: str | Path | None = None,
    jobs: int = 1,
    settings: Settings | None = None,
    trust_code: bool = False,
    prompts: Sequence[str] = (),
    policy: Policy = "hierarchy",
    progress: Progress | None = None,
) -> PredictResult:
    """Predict all studies of an input and write label maps, a lesion table and scores.

    Args:
        run: a run folder with `model/` inside, a model folder, or a name of the registry (`models.registry`).
        input: see `inputs.find_inputs`.
        output: OUT/<study_id>.nii.gz on each input's own grid and affine, labels.json, lesions.csv, studies.jsonl,
            predict.json (model and settings), failed.jsonl where something failed.
        resume: skip studies that are done; model and settings must be those of the first call.
        overwrite: replace an earlier prediction in the folder.
        device: "auto", "cpu", "cuda", "cuda:1".
        products: also OUT/previews/<study_id>.png, OUT/slicer/<study_id>.seg.nrrd, OUT/statistics.csv,
            OUT/probabilities/<study_id>/<label>.nii.gz (uint8, 255 is 1), OUT/dicom/<study_id>/segmentation.dcm and
            report.dcm.
        split: only this split of a cohort or table.
        series: which of several DICOM series of a study: "only" (refuse several), "largest", "thinnest", "all", a
            series number or UID.
        near_organs: folder of organ masks, see `near_organs.read_organs`: only windows in which an organ of the
            model's labels lies are computed, and nothing is found elsewhere.
        jobs: processes, on a CPU; each holds one volume and uses one thread. One process uses all cores, and reads the
            next study and writes the last one meanwhile.
        settings: finer settings; their `device` is replaced by `device`.
        trust_code: see `models.package.load_model`.
        prompts: of a model that is asked in words: what to look for; all that it was trained on where there is none.
            OUT/prompts.json says how each one was understood.
        policy: which of overlapping prompts the label map shows, see `asked.Policy`; "independent" also writes
            OUT/masks/<study_id>/<name>.nii.gz.
        progress: called with (studies done, studies in all).

    Raises:
        UsageError: output not empty, other model or settings on resume, unknown device or split, `jobs` on a GPU.
        InputError: no model, or no study at all. A study that can't be predicted is listed in the result instead.
        ResourceError: disk full or not writable; what is done is kept for `resume`.
    """
    if jobs < 1:
        raise UsageError("`jobs` must be at least 1.", got=jobs)
    started = monotonic()
    settings = _with_device(settings or Settings(), device, jobs=jobs)
    settings = replace(settings, near_organs=near_organs is not None)
    model = locate(run)
    products = products or Products()
    organs = _organ_folder(near_organs)
    weights = file_sha256(model / WEIGHTS)[:HASH_SHOWN]
    job = _Job(model, Path(output), settings, products, trust_code, weights, organs)
    _, card = job.load()
    if prompts or card.architecture.prompts is not None:
        if organs is not None:
            raise UsageError("Prompts look at the whole image.", got="--near-organs", next_step="leave it out")
        job = replace(job, prompts=Prompts.of(prompts, card), policy=policy)
        _, card = job.load()
    if organs is not None:
        organs_of_labels(card)
    studies = find_inputs(Path(input), split=split, leave_out=job.output, series=series, modality=card.modality)
    _check_apart(studies, job.output)
    folder = OutputFolder(
        output_folder(job.output, resume=resume, overwrite=overwrite),
        label_values(card),
        job.model,
        settings=settings,
        prompts={"texts": job.prompts.texts, "policy": policy} if job.prompts else {},
    )
    folder.begin(resume=resume)
    if job.prompts is not None:
        write_json(job.output / PROMPTS, job.prompts.to_json())
    done = folder.done() if resume else frozenset()
    waiting = [study for study in studies if study.study_id not in done]
    skipped = tuple(study.study_id for study in studies if study.study_id in done)
    predicted, failed, remarks = _run(waiting, job, folder, jobs=jobs, progress=progress)
    lesions = folder.finish([study.study_id for study in studies], failed)
    return PredictResult(
        job.output,
        label_values(card),
        tuple(predicted),
        skipped,
        tuple(failed),
        lesions,
        monotonic() - started,
        (*(job.prompts.remarks() if job.prompts else ()), *remarks),
    )


def _run(
    studies: Sequence[InputStudy], job: _Job, folder: OutputFolder, *, jobs: int, progress: Progress | None
) -> tuple[list[str], list[Failure], list[str]]:
    predicted: list[str] = []
    remarks: list[str] = []
    failed: list[Failure] = []
    items = [(study.study_id, study) for study in studies]

    def write(found: _Found) -> dict[str, Any]:
        line = _write(found, job=job)
        folder.add(line)
        return line

    try:
        if jobs == 1:
            outcomes = map_stages(partial(_read, job=job), partial(_segment, job=job), write, items, progress=progress)
        else:
            outcomes = map_studies(partial(_predict_one, job=job), items, jobs=jobs, progress=progress)
        for outcome in outcomes:
            if outcome.value is None:
                failed.append(Failure.of(outcome.study_id, outcome.error))
                continue
            if jobs > 1:
                folder.add(outcome.value)
            predicted.append(outcome.study_id)
            remarks += [f"{outcome.study_id}: {remark}" for remark in outcome.value["remarks"]]
    except BaseException:
        # what is done stays usable after Ctrl-C or a full disk
        folder.finish([study.study_id for study in studies], failed)
        raise
    return predicted, failed, remarks


def _predict_one(study: InputStudy, *, job: _Job) -> dict[str, Any]:
    """Predict one study, write its files, the label map last; give its line of studies.jsonl."""
    return _write(_segment(_read(study, job=job), job=job), job=job)


def _read(study: InputStudy, *, job: _Job) -> _Opened:
    started = monotonic()
    if job.products.dicom:
        check_source(study)
    volume = read_study_image(study)
    if job.organs is None:
        return _Opened(study, volume, None, monotonic() - started)
    organs = read_organs(job.organs, study.study_id, volume, organs_of_labels(job.load()[1]))
    return _Opened(study, volume, organs, monotonic() - started)


def _segment(opened: _Opened, *, job: _Job) -> _Found:
    started = monotonic()
    model, card = job.load()
    if job.prompts is not None and isinstance(model, PromptedNetwork):
        return _asked(opened, model, card, job.prompts, job=job)
    prediction = segment(
        model,
        card,
        opened.volume,
        job.settings,
        organs=opened.organs,
        keep_probabilities=job.products.probabilities,
        keep_instances=job.products.dicom,
    )
    return _Found(opened, prediction, monotonic() - started)


def _asked(opened: _Opened, model: PromptedNetwork, card: ModelCard, prompts: Prompts, *, job: _Job) -> _Found:
    """The study asked in words; masks and probabilities of the prompts are written as they come."""
    started, products = monotonic(), job.products
    each = products.probabilities or job.policy == "independent"
    found = segment_prompts(
        model,
        card,
        prompts,
        embedded(model, prompts.texts),
        opened.volume,
        job.settings,
        policy=job.policy,
        keep_instances=products.dicom,
        keep_probabilities=products.probabilities,
        sink=writer(job.output, opened.study.study_id, card, masks=job.policy == "independent") if each else None,
    )
    return _Found(opened, found.prediction, monotonic() - started, found)


def _write(done: _Found, *, job: _Job) -> dict[str, Any]:
    started, products = monotonic(), job.products
    study, found, (_, card) = done.opened.study, done.prediction, job.load()
    if products.dicom:
        write_dicom(
            job.output / DICOM / study.study_id,
            study,
            found,
            card,
            model_hash=job.model_hash,
            form=products.form,
            deidentify=products.deidentify,
        )
    if found.probabilities is not None:
        write_probabilities(job.output / PROBABILITIES / study.study_id, found.probabilities, card)
    kinds = {value: label.kind for value, label in enumerate(card.labels, start=1)}
    if products.slicer:
        colours = label_colours(kinds).astype(int).tolist()
        segments = {value: Segment(name, tuple(colours[value])) for value, name in label_values(card).items()}
        write_segmentation(found.labels, job.output / SLICER / f"{study.study_id}{SUFFIX}", segments=segments)
    if products.preview:
        write_preview(
            job.output / PREVIEWS / f"{study.study_id}.png",
            image=found.canonical_image,
            labels=found.canonical_labels,
            kinds=kinds,
            lesions=found.lesions,
            window=card.intensity,
        )
    write_volume(found.labels, label_map_path(job.output, study.study_id), label_names=label_values(card))
    line = _line(done, card)
    if done.asked is not None:
        line["presence"] = {name: round(value, SCORE_DECIMALS) for name, value in done.asked.presence.items()}
        line["volumes_mm3"] = done.asked.volumes_mm3
    if products.statistics:
        lesions = [lesion.label for lesion in found.lesions]
        rows = measure_labels(found.canonical_labels, found.canonical_image, label_values(card), lesions)
        line["statistics"] = [vars(row) for row in rows]
    network, writing = found.seconds_network, monotonic() - started
    line["seconds"] = {
        "reading": round(done.opened.seconds, 2),
        "network": round(network, 2),
        "rest": round(done.seconds - network, 2),
        "writing": round(writing, 2),
    }
    return line


def read_study_image(study: InputStudy) -> Volume:
    """The image of an input study, Hounsfield units.

    Raises:
        InputError: it can't be read, or there is none.
    """
    if study.error is not None:
        raise study.error
    if study.cohort is not None:
        arrays = _cohort(study.cohort).study(study.study_id)
        return Volume(arrays.level("image", 0)[None], arrays.native_affine, study.study_id)
    if study.image is None:
        raise InputError("The study has no image.", where=study.study_id)
    return read_image(study.image, study.study_id, series=study.series)


def _line(done: _Found, card: ModelCard) -> dict[str, Any]:
    volume, found = done.opened.volume, done.prediction
    voxel_mm3 = float(np.prod(volume.spacing_mm))
    counts = np.zeros(len(card.labels) + 1, dtype=np.int64)
    for part in np.moveaxis(found.canonical_labels, 2, 0):  # bincount makes 64-bit numbers of all that it is given
        counts += np.bincount(part.ravel(), minlength=len(counts))
    return {
        "study_id": done.opened.study.study_id,
        "scores": {name: round(score, SCORE_DECIMALS) for name, score in found.scores.items()},
        "scores_by_side": {
            name: {side: round(score, SCORE_DECIMALS) for side, score in sides.items()}
            for name, sides in found.scores_by_side.items()
        },
        "volumes_mm3": {name: round(float(counts[value]) * voxel_mm3, 1) for value, name in label_values(card).items()},
        "lesions": [lesion.row() for lesion in found.lesions],
        "shape": list(volume.shape),
        "spacing_mm": [round(step, 4) for step in volume.spacing_mm],
        "source": dict(volume.metadata),
        "remarks": list(volume.remarks),
    }


@lru_cache(maxsize=1)
def _loaded(folder: Path, device: str, trust_code: bool, stamp: int) -> tuple[nn.Module, ModelCard]:
    """The model on its device, read once a process and again where its file has changed (`stamp`)."""
    del stamp
    model, card = load_model(folder, trust_code=trust_code)
    return model.to(choose_device(device)), card


@lru_cache(maxsize=1)
def _cohort(folder: Path) -> Cohort:
    return Cohort.open(folder)


def _organ_folder(path: str | Path | None) -> Path | None:
    if path is not None and not Path(path).is_dir():
        raise InputError("The folder of organ masks does not exist.", where=path)
    return None if path is None else Path(path)


def _with_device(settings: Settings, device: str, *, jobs: int) -> Settings:
    chosen = choose_device(device)
    if chosen.type != "cpu" and jobs > 1:
        raise UsageError(
            "Several processes can't share a GPU.", got=f"jobs={jobs} on {chosen}", expected="jobs=1, or the cpu"
        )
    return replace(settings, device=str(chosen))


def _check_apart(studies: Sequence[InputStudy], output: Path) -> None:
    """The label maps must not replace the images."""
    folder = output.resolve()
    if any(study.image is not None and study.image.resolve().parent == folder for study in studies):
        raise UsageError("The output folder holds the input.", got=output, next_step="choose another output folder")
