"""Masks that are looked at, whatever tool made them: the cohort's own maps, or a folder of label maps."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dictamen.anatomy.boxes import BoolArray
from dictamen.anatomy.region_scheme import RegionScheme, region_map
from dictamen.cohort.store import Cohort, Kind
from dictamen.errors import InputError, UsageError
from dictamen.evaluation.predictions import Predictions
from dictamen.imaging import geometry
from dictamen.imaging.nifti import read_label_map
from dictamen.imaging.volume import Volume

OWN_MAPS: tuple[Kind, Kind] = ("organs", "lesions")


@dataclass(frozen=True)
class ReviewedMask:
    """One structure's mask in one study, on the cohort's training grid.

    Attributes:
        study_id: of the study.
        label: structure id or lesion label.
        mask: bool [X, Y, Z], canonical.
        affine: 4x4 of the grid.
        sha256: of grid and voxels: feedback belongs to this mask and to no other version of it.
    """

    study_id: str
    label: str
    mask: BoolArray
    affine: npt.NDArray[np.float64]

    @cached_property
    def sha256(self) -> str:
        digest = hashlib.sha256(repr(self.mask.shape).encode())
        digest.update(np.packbits(self.mask).tobytes())
        return digest.hexdigest()

    def regions(self, scheme: RegionScheme, image: npt.NDArray[np.generic] | None = None) -> npt.NDArray[np.uint8]:
        """Region map of a scheme on the same grid; `image` in HU for supervoxels."""
        return region_map(scheme, self.mask, self.affine, structure=self.label, image=image)


class MaskSource:
    """Masks of a cohort's studies.

    Args:
        cohort: opened.
        folder: <study_id>.nii.gz and labels.json, as `dictamen predict` and `dictamen refine` write them; None for the
            cohort's own organ and lesion maps.
    """

    def __init__(self, cohort: Cohort, folder: Path | None = None) -> None:
        self.cohort = cohort
        self.predictions = Predictions.open(folder) if folder is not None else None

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Labels that can be reviewed."""
        if self.predictions is not None:
            return tuple(self.predictions.labels.values())
        info = self.cohort.info
        return (*info.organ_labels.values(), *info.lesion_labels.values())

    def studies(self) -> list[str]:
        """Ids of studies that have a label map, in the cohort's order."""
        if self.predictions is not None:
            return [study_id for study_id in self.cohort.ids() if study_id in self.predictions.files]
        return [s for s in self.cohort.ids() if any(self.cohort.study(s).has(kind) for kind in OWN_MAPS)]

    def mask(self, study_id: str, label: str) -> ReviewedMask | None:
        """The mask on the training grid; None where the study has no map or the map no such voxel.

        Raises:
            UsageError: an unknown label.
            InputError: an unknown study, or a map that can't be read.
        """
        self.check(label)
        arrays = self.cohort.study(study_id)
        if self.predictions is None:
            kind, value = self._own(label)
            mask = np.asarray(arrays.level(kind) == value)
        else:
            native = self.native(study_id, label)
            if native is None:
                return None
            like = Volume(np.zeros((1, *arrays.shape), dtype=np.uint8), arrays.affine, study_id)
            as_bytes = Volume(native.array.astype(np.uint8), native.affine, study_id)
            mask = geometry.resample(as_bytes, like=like, labels=True).array[0] > 0
        return ReviewedMask(study_id, label, np.asarray(mask), arrays.affine) if mask.any() else None

    def native(self, study_id: str, label: str) -> Volume | None:
        """The mask as bool [1, X, Y, Z] on the grid it came on: the file's own, or the cohort's native one."""
        self.check(label)
        if self.predictions is None:
            arrays = self.cohort.study(study_id)
            kind, value = self._own(label)
            return Volume(np.asarray(arrays.level(kind, 0) == value)[None], arrays.native_affine, study_id)
        path = self.predictions.files.get(study_id)
        if path is None:
            return None
        read = read_label_map(path, study_id)
        value = next(number for number, name in self.predictions.labels.items() if name == label)
        return Volume(np.asarray(read.array == value), read.affine, study_id)

    def _own(self, label: str) -> tuple[Kind, int]:
        info = self.cohort.info
        for kind, names in zip(OWN_MAPS, (info.organ_labels, info.lesion_labels), strict=True):
            for value, name in names.items():
                if name == label:
                    return kind, value
        raise InputError("The cohort has no such label.", got=label)

    def check(self, label: str) -> None:
        """Raise UsageError unless there are masks with this label."""
        if label not in self.labels:
            raise UsageError(
                "There is no mask with this label.",
                got=label,
                expected=", ".join(sorted(self.labels)),
                next_step="choose one with --label",
            )


def only_label(source: MaskSource, wanted: str | None, answered: set[str]) -> str:
    """The label to work on: the wanted one, else the only one with answers, else the only one there is.

    Raises:
        UsageError: there are several, or none.
    """
    if wanted:
        source.check(wanted)
        return wanted
    candidates = answered or set(source.labels)
    if len(candidates) != 1:
        raise UsageError(
            "Which label is meant?",
            got=f"{len(candidates)} labels",
            expected=", ".join(sorted(candidates)) or "one",
            next_step="choose one with --label",
        )
    return next(iter(candidates))
