"""A prediction as DICOM: a segment for each organ and each lesion, and a structured report of the lesions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dictamen.anatomy import vocabulary
from dictamen.errors import InputError
from dictamen.imaging.dicom.coding import side_of
from dictamen.imaging.dicom.deidentify import Deidentifier, check_no_identity, mark_deidentified
from dictamen.imaging.dicom.measurements import Measured, make_report
from dictamen.imaging.dicom.segmentation import (
    Algorithm,
    Form,
    Segment,
    derived_uid,
    make_segmentation,
    source_of,
    write_dataset,
)
from dictamen.imaging.dicom.series import choose, find_series
from dictamen.imaging.read import is_dicom
from dictamen.inference.inputs import InputStudy
from dictamen.inference.study import StudyPrediction
from dictamen.models.card import ModelCard

DICOM, SEGMENTATION, REPORT = "dicom", "segmentation.dcm", "report.dcm"


def check_source(study: InputStudy) -> None:
    """Refuse what no DICOM can be written of, before it is predicted.

    Raises:
        InputError: the study is no DICOM series.
    """
    if study.image is None or not is_dicom(study.image):
        raise InputError(
            "DICOM can be written of DICOM only: SEG and SR refer to the images that they are of.",
            where=study.study_id,
            got=study.image.name if study.image else "a study of a cohort",
            next_step="predict the DICOM series, or leave --dicom out",
        )


def write_dicom(
    folder: Path,
    study: InputStudy,
    found: StudyPrediction,
    card: ModelCard,
    *,
    model_hash: str,
    form: Form = "binary",
    deidentify: bool = False,
) -> None:
    """Write segmentation.dcm and report.dcm; where nothing was found only the report, which says so.

    Args:
        folder: OUT/dicom/<study_id>.
        found: with its `instances`.
        model_hash: of the weights; names the algorithm's version.
        deidentify: take nothing over from the source but geometry, see `imaging.dicom.deidentify`.

    Raises:
        InputError: headers that can't be taken over.
        ResourceError: disk full or folder not writable.
    """
    if study.image is None or found.instances is None:
        raise InputError("There is no DICOM series to refer to.", where=study.study_id)
    series = choose(find_series(study.image).series, study.series, where=study.study_id)
    source = source_of(series, series.stacked(study.study_id))
    original = source.headers[0]
    if deidentify:
        reduce = Deidentifier()
        source = replace(source, headers=tuple(reduce.header(header) for header in source.headers))
    algorithm = Algorithm(f"dictamen {card.architecture.preset}", model_hash)
    labels, segments = _segments(found, card, algorithm, series_uid=source.headers[0].SeriesInstanceUID)
    segmentation = make_segmentation(labels, segments, source, algorithm=algorithm, form=form) if segments else None
    report = make_report(_measured(found, card, segments), segmentation, source, algorithm=algorithm)
    for made, name in ((segmentation, SEGMENTATION), (report, REPORT)):
        if made is None:  # the standard has no SEG without segments
            (folder / name).unlink(missing_ok=True)
            continue
        if deidentify:
            mark_deidentified(made)
            check_no_identity(made, original)
        write_dataset(made, folder / name)


def _segments(
    found: StudyPrediction, card: ModelCard, algorithm: Algorithm, *, series_uid: str
) -> tuple[npt.NDArray[np.int32], list[Segment]]:
    """A map [X, Y, Z] with a value for each organ and each lesion, and what the values in it are."""
    if found.instances is None:
        raise InputError("The prediction was made without numbered lesions.")
    instances = found.instances.array[0]
    values = np.where(instances > 0, instances + len(card.labels), found.labels.array[0]).astype(np.int32)
    present = set(np.unique(values).tolist())
    organs = [
        Segment(
            value, label.name, label.name if label.name in vocabulary.load() else label.structure, side_of(label.name)
        )
        for value, label in enumerate(card.labels, start=1)
        if label.kind == "organ" and value in present
    ]
    lesions = [
        Segment(
            value=number + len(card.labels),
            label=f"{lesion.label} {lesion.lesion}",
            structure=lesion.structure,
            side="left" if lesion.side == "left" else "right" if lesion.side == "right" else None,
            lesion=lesion.label,
            tracking_uid=derived_uid(series_uid, algorithm, f"{lesion.label} {lesion.lesion}"),
        )
        for number, lesion in enumerate(found.lesions, start=1)
        if number + len(card.labels) in present  # a lesion may lie under a more probable one of another label
    ]
    return values, organs + lesions


def _measured(found: StudyPrediction, card: ModelCard, segments: Sequence[Segment]) -> list[Measured]:
    rows = {number + len(card.labels): lesion for number, lesion in enumerate(found.lesions, start=1)}
    return [
        Measured(
            segment=segment,
            number=number,
            long_axis_mm=row.diameter_mm_1,
            short_axis_mm=row.diameter_mm_2,
            height_mm=row.diameter_mm_3,
            volume_mm3=row.volume_mm3,
            mean_hu=row.mean_hu,
        )
        for number, segment in enumerate(segments, start=1)
        if segment.lesion is not None and (row := rows[segment.value])
    ]
