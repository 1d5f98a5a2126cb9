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
from dictamen.imaging import geometry
from dictamen.imaging.volume import Volume
from dictamen.review.mask_folder import MaskFolder, known_name

OWN_MAPS: tuple[Kind, Kind] = ("organs", "lesions")


@dataclass(frozen=True)
class ReviewedMask:
    """One structure's mask in one study, on the cohort's training grid.

    Attributes:
        study_id: of the study.
        label: structure id or lesion label.
        mask: bool [X, Y, Z], canonical.
        affine: 4x4 of the grid.
        other: another tool's mask of the same structure, for the scheme `disagreement`.
        sha256: of grid and voxels: feedback belongs to this mask and to no other version of it.
    """

    study_id: str
    label: str
    mask: BoolArray
    affine: npt.NDArray[np.float64]
    other: BoolArray | None = None

    @cached_property
    def sha256(self) -> str:
        return _digest(self.mask)

    def version(self, scheme: RegionScheme) -> str:
        """What answers on regions of this scheme belong to: the mask; for `disagreement` both masks."""
        return self.sha256 if scheme.name != "disagreement" or self.other is None else _digest(self.mask, self.other)

    def regions(self, scheme: RegionScheme, image: npt.NDArray[np.generic] | None = None) -> npt.NDArray[np.uint8]:
        """Region map of a scheme on the same grid; `image` in HU for supervoxels."""
        return region_map(scheme, self.mask, self.affine, structure=self.label, image=image, other=self.other)


def _digest(*masks: BoolArray) -> str:
    digest = hashlib.sha256(repr(masks[0].shape).encode())
    for mask in masks:
        digest.update(np.packbits(mask).tobytes())
    return digest.hexdigest()


class MaskSource:
    """Masks of a cohort's studies.

    Args:
        cohort: opened.
        folder: masks of any tool, see `review.mask_folder`; None for the cohort's own organ and lesion maps.
        compare: another folder of masks, which come as `ReviewedMask.other`.

    Raises:
        InputError: no mask in the folder, or none of a study of the cohort.
    """

    def __init__(self, cohort: Cohort, folder: Path | None = None, compare: Path | None = None) -> None:
        self.cohort = cohort
        self.compare = MaskSource(cohort, compare) if compare is not None else None
        self.folder = MaskFolder.open(folder) if folder is not None else None
        if self.folder is not None and not self.studies():
            raise InputError(
                "No mask has the name of a study.",
                where=folder,
                got=", ".join(sorted(self.folder.studies)[:3]),
                expected=f"{', '.join(cohort.ids()[:3])} ...",
                next_step="name files or folders by study id: <study_id>.nii.gz",
            )

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Labels that can be reviewed."""
        if self.folder is not None:
            return self.folder.labels
        info = self.cohort.info
        return (*info.organ_labels.values(), *info.lesion_labels.values())

    def studies(self) -> list[str]:
        """Ids of studies that have a label map, in the cohort's order."""
        if self.folder is not None:
            return [study_id for study_id in self.cohort.ids() if study_id in self.folder.studies]
        return [s for s in self.cohort.ids() if any(self.cohort.study(s).has(kind) for kind in OWN_MAPS)]

    def mask(self, study_id: str, label: str) -> ReviewedMask | None:
        """The mask on the training grid; None where the study has no map or the map no such voxel.

        Raises:
            UsageError: an unknown label.
            InputError: an unknown study, or a map that can't be read.
        """
        self.check(label)
        arrays = self.cohort.study(study_id)
        if self.folder is None:
            kind, value = self._own(label)
            mask = np.asarray(arrays.level(kind) == value)
        else:
            native = self.native(study_id, label)
            if native is None:
                return None
            like = Volume(np.zeros((1, *arrays.shape), dtype=np.uint8), arrays.affine, study_id)
            as_bytes = Volume(native.array.astype(np.uint8), native.affine, study_id)
            mask = geometry.resample(as_bytes, like=like, labels=True).array[0] > 0
        if not mask.any():
            return None
        other = self.compare.mask(study_id, label) if self.compare is not None else None
        return ReviewedMask(study_id, label, np.asarray(mask), arrays.affine, other.mask if other else None)

    def native(self, study_id: str, label: str) -> Volume | None:
        """The mask as bool [1, X, Y, Z] on the grid it came on: the file's own, or the cohort's native one."""
        self.check(label)
        if self.folder is None:
            arrays = self.cohort.study(study_id)
            kind, value = self._own(label)
            return Volume(np.asarray(arrays.level(kind, 0) == value)[None], arrays.native_affine, study_id)
        return self.folder.read(study_id, label)

    def _own(self, label: str) -> tuple[Kind, int]:
        info = self.cohort.info
        for kind, names in zip(OWN_MAPS, (info.organ_labels, info.lesion_labels), strict=True):
            for value, name in names.items():
                if name == label:
                    return kind, value
        raise InputError("The cohort has no such label.", got=label)

    def check(self, label: str) -> None:
        """Raise UsageError unless there can be masks with this label; masks without a table of labels can be any."""
        if label in self.labels or (self.folder is not None and self.folder.unnamed):
            return
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
        named = wanted if wanted in source.labels else known_name(wanted)
        source.check(named)
        return named
    candidates = answered or set(source.labels)
    if len(candidates) != 1:
        raise UsageError(
            "Which label is meant?",
            got=f"{len(candidates)} labels",
            expected=", ".join(sorted(candidates)) or "one",
            next_step="choose one with --label",
        )
    return next(iter(candidates))
