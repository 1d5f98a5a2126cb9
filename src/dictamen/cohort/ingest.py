"""One study from its files to canonical arrays, with every problem met on the way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.cohort import names
from dictamen.cohort.components import Component, components, restore_organ
from dictamen.cohort.manifest import Problem, Severity
from dictamen.cohort.survey import NamedMasks, Survey
from dictamen.errors import InputError
from dictamen.imaging import geometry
from dictamen.imaging.read import read_image, read_label_map
from dictamen.imaging.volume import Volume

LOWEST_HU = -1024
"""Air of a 12-bit CT; scanners mark voxels outside their field of view by lower values, which mean nothing."""
HIGHEST_HU = int(np.iinfo(np.int16).max)
LEAST_HU_RANGE = 200.0
"""Between fat (-100) and contrast or bone (> 100) every CT spans more than this; less is another unit or a mistake."""
OUTLIERS_PERCENT = 1.0
NOT_BLOCKING = frozenset({"unknown_structure"})
"""Errors that cost a label, not the study."""

CODES = (("NaN", "not_finite"), ("3D", "not_3d"), ("spacing", "spacing_not_positive"), ("affine", "bad_affine"))
"""A word of what reading says -> the code of the problem; others are "unreadable"."""

LabelArray = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True)
class LabelTables:
    """Values of the cohort's own label maps: name -> value, from 1."""

    organs: dict[str, int]
    lesions: dict[str, int]


@dataclass(frozen=True)
class CanonicalStudy:
    """Arrays [X, Y, Z] on one RAS+ grid: image in HU, label maps with the cohort's values or None."""

    image: npt.NDArray[np.int16]
    affine: npt.NDArray[np.float64]
    organs: LabelArray | None
    lesions: LabelArray | None


def blocking(problems: list[Problem]) -> list[Problem]:
    """The problems for which a study is not used."""
    return [p for p in problems if p.severity == "error" and p.code not in NOT_BLOCKING]


def read_study(survey: Survey, tables: LabelTables) -> tuple[CanonicalStudy | None, list[Problem]]:
    """Read image and masks; None where a problem forbids to use the study. Files are always read to the last."""
    reader = _Reader(survey)
    image = reader.image()
    organs = reader.labels(survey.organs, tables.organs, image, kind="organs")
    lesions = reader.labels(survey.lesions, tables.lesions, image, kind="lesions")
    problems = [*survey.problems, *reader.problems]
    if image is None or blocking(problems):
        return None, problems
    study = survey.study
    if lesions is not None and not lesions.any() and study.report_if_no_lesion and study.has_report:
        lesions = None
    if lesions is not None:
        organs = _lesions_within_organs(survey, tables, organs, lesions, problems)
    voxels = np.clip(np.rint(image.array[0]), LOWEST_HU, HIGHEST_HU).astype(np.int16)
    return CanonicalStudy(voxels, image.affine, organs, lesions), problems


class _Reader:
    """Reads the files of one study and collects problems."""

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self.study_id = survey.study.study_id
        self.problems: list[Problem] = []

    def add(self, code: str, message: str, file: Path, *, severity: Severity = "error") -> None:
        self.problems.append(Problem(self.study_id, code, severity, message, str(file)))

    def image(self) -> Volume | None:
        path = self.survey.study.image
        volume = self._read(path, labels=False)
        if volume is None:
            return None
        for remark in volume.remarks:
            self.add(
                "doubtful_geometry", f"{remark}. Next: look whether left and right are right.", path, severity="warning"
            )
        self._check_intensity(volume.array[0], path)
        return geometry.to_canonical(volume)

    def labels(
        self, source: NamedMasks | None, table: dict[str, int], image: Volume | None, *, kind: str
    ) -> LabelArray | None:
        """The label map [X, Y, Z] with the cohort's values; None where there is none or it can't be used."""
        if source is None:
            return None
        if source.label_map is not None:
            return self._label_map(source, source.label_map, table, image, kind=kind)
        return self._masks(source, table, image, kind=kind)

    def _label_map(
        self, source: NamedMasks, path: Path, table: dict[str, int], image: Volume | None, *, kind: str
    ) -> LabelArray | None:
        array = self._on_grid(path, image)
        if array is None:
            return None
        found = [int(value) for value in np.unique(array) if value != 0]
        if unknown := [value for value in found if value not in source.known]:
            expected = ", ".join(map(str, sorted(source.known)))
            self.add(
                "unknown_label_value",
                f"The label map holds values without a name. Received: {_first(unknown)}. Expected: {expected}. "
                "Next: name them in labels.json (or dataset.json), or correct the label map.",
                path,
            )
            return None
        values = source.values or {}
        if not found and kind == "organs":
            self.add("empty_mask", "The organ label map is empty.", path, severity="warning")
        lookup = np.zeros(max([*found, 0]) + 1, dtype=_label_type(table))
        for value in found:
            lookup[value] = table[values[value]] if value in values else 0
        mapped: LabelArray = lookup[array]
        return mapped

    def _masks(
        self, source: NamedMasks, table: dict[str, int], image: Volume | None, *, kind: str
    ) -> LabelArray | None:
        read = [(name, path, self._on_grid(path, image)) for name, path in source.masks]
        usable = [(name, path, array != 0) for name, path, array in read if array is not None]
        if len(usable) < len(read) or not usable:
            return None
        labels = np.zeros(usable[0][2].shape, dtype=_label_type(table))
        # the larger structure first: of two masks that overlap, the smaller is the more specific
        for name, path, mask in sorted(usable, key=lambda item: -int(np.count_nonzero(item[2]))):
            if mask.shape != labels.shape:  # only where no image gave a grid to compare with
                return None
            if kind == "organs" and not mask.any():
                self.add("empty_mask", f"The mask of `{name}` is empty.", path, severity="warning")
            labels[mask] = table[name]
        return labels

    def _on_grid(self, path: Path, image: Volume | None) -> npt.NDArray[Any] | None:
        """A label array [X, Y, Z] in canonical orientation, if it can be read and lies on the image's grid."""
        volume = self._read(path, labels=True)
        if volume is None:
            return None
        volume = geometry.to_canonical(volume)
        if image is not None and (difference := geometry.grid_difference(volume, image)):
            self.add(
                "geometry_mismatch",
                f"The mask is not on the image's grid: {difference} (mask against image, both in RAS+). "
                "Next: resample the mask to the image.",
                path,
            )
            return None
        array: npt.NDArray[Any] = volume.array[0]
        return array

    def _read(self, path: Path, *, labels: bool) -> Volume | None:
        if not path.is_file() and (labels or not path.is_dir()):
            what = "The folder holds no volume." if path.is_dir() else "The file does not exist."
            self.add("missing_file", what, path)
            return None
        try:
            if labels:
                return read_label_map(path, self.study_id)
            return read_image(path, self.study_id, series=self.survey.study.series)
        except InputError as error:
            self.add(_code(error), str(error), path)
            return None

    def _check_intensity(self, image: npt.NDArray[Any], path: Path) -> None:
        sample = image[::4, ::4, ::2] if image.size > 1 << 20 else image
        low, high = np.percentile(sample, [OUTLIERS_PERCENT, 100 - OUTLIERS_PERCENT]).tolist()
        received = f"Received: 98 % of the voxels between {low:.4g} and {high:.4g}."
        if high - low < LEAST_HU_RANGE:
            self.add(
                "suspicious_intensity", f"The image is hardly in HU: too narrow. {received}", path, severity="warning"
            )
        elif low > 0 or float(sample.min()) >= 0:
            self.add(
                "suspicious_intensity",
                f"The image is hardly in HU: no air, no fat. {received} Next: apply the rescale intercept.",
                path,
                severity="warning",
            )


def _lesions_within_organs(
    survey: Survey, tables: LabelTables, organs: LabelArray | None, lesions: LabelArray, problems: list[Problem]
) -> LabelArray | None:
    """Restore the organ under lesions of the same label map; report lesions that touch no organ."""
    if organs is None or survey.organs is None or survey.lesions is None:
        return organs
    annotated = survey.organs.annotated
    wholes = names.whole_organs(annotated)
    shared_map = survey.organs.label_map is not None and survey.organs.label_map == survey.lesions.label_map
    for name in survey.lesions.annotated:
        label = names.lesion_label(name, wholes)
        values = names.values_around(label, annotated, tables.organs) if label else []
        if label is None or not values:
            continue
        for component in components(lesions == tables.lesions[name]):
            if shared_map and restore_organ(organs, component, values):
                continue
            if not component.touches(np.isin(organs[component.margin], values)):
                problems.append(_outside(survey, name, label.structure or "organ", component))
    return organs


def _outside(survey: Survey, name: str, structure: str, component: Component) -> Problem:
    centre = [int((s.start + s.stop) // 2) for s in component.place]
    file = survey.lesions.label_map if survey.lesions else None
    return Problem(
        survey.study.study_id,
        "lesion_outside_organ",
        "warning",
        f"A component of `{name}` ({component.voxels} voxels around {centre}, RAS+) touches no {structure}.",
        str(file) if file else None,
    )


def _code(error: InputError) -> str:
    return next((code for word, code in CODES if word in error.what), "unreadable")


def _label_type(table: dict[str, int]) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if max([*table.values(), 0]) <= np.iinfo(np.uint8).max else np.uint16


def _first(values: list[int], most: int = 10) -> str:
    return ", ".join(map(str, values[:most])) + (" ..." if len(values) > most else "")
