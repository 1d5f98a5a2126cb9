"""Where to look for a model's labels in a study whose organs are known from another tool: in and near these organs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dictamen.anatomy import vocabulary
from dictamen.anatomy.regions import dilate, label_values
from dictamen.cohort.manifest import COHORT_JSON
from dictamen.cohort.source import masks_at, volumes_in
from dictamen.cohort.store import Cohort
from dictamen.cohort.tables import LABELS_JSON, read_labels
from dictamen.errors import InputError
from dictamen.imaging.geometry import grid_difference, resample, to_canonical
from dictamen.imaging.read import VOLUME_SUFFIXES, read_image_header, read_label_map
from dictamen.imaging.volume import Volume
from dictamen.models.card import ModelCard

PLACES = ("{study}", "{study}/segmentations")
"""Folders with one mask a structure, below the folder of organ masks."""


@dataclass(frozen=True)
class OrganMasks:
    """Organs of one study.

    Attributes:
        labels: [1, X, Y, Z] label map, canonical (RAS+).
        names: value -> structure.
    """

    labels: Volume
    names: Mapping[int, str]

    def around(self, structures: Mapping[str, str], like: Volume, margin_mm: float) -> npt.NDArray[np.bool_]:
        """Voxels [X, Y, Z] of the grid `like` that are at most `margin_mm` from one of the organs.

        Args:
            structures: label of the model -> its organ.

        Raises:
            InputError: nobody has drawn one of the organs; an organ that was drawn and has no voxel is not in the scan.
        """
        wanted: set[int] = set()
        for label, structure in structures.items():
            values = label_values(self.names, structure)
            if not values:
                raise InputError(
                    f"There is no mask of the organ of `{label}`.",
                    where=self.labels.study_id,
                    got=", ".join(sorted(self.names.values())) or "no mask",
                    expected=structure,
                    next_step="add the mask, or leave --near-organs out",
                )
            wanted.update(values)
        table = np.zeros(max([int(self.labels.array.max(initial=0)), *wanted]) + 1, dtype=np.uint8)
        table[list(wanted)] = 1
        mask = Volume(table[self.labels.array], self.labels.affine, self.labels.study_id)
        return dilate(resample(mask, like=like, labels=True).array[0] > 0, like.spacing_mm, margin_mm)


def organs_of_labels(card: ModelCard) -> dict[str, str]:
    """Label -> the organ in or near which it must lie.

    Raises:
        InputError: a label has none, or one that is all over the body.
    """
    found = {}
    words = vocabulary.load()
    for label in card.labels:
        structure = label.structure or label.name
        if structure not in words or words[words.whole(structure)[0]].spread:
            raise InputError(
                f"The label `{label.name}` has no organ to look near to.",
                got=label.structure,
                expected="a model whose labels all lie in or at an organ",
                next_step="leave --near-organs out",
            )
        found[label.name] = structure
    return found


def read_organs(folder: Path, study_id: str, like: Volume, structures: Mapping[str, str]) -> OrganMasks:
    """Organ masks of a study, on the image's grid.

    Args:
        folder: a cohort; or a folder with <study_id>.nii.gz (names in its header, or in labels.json beside it or one
            folder up), or with a folder <study_id> or <study_id>/segmentations of one mask a structure, as
            TotalSegmentator writes.
        like: the image as read.
        structures: label of the model -> its organ; other masks need not be read.

    Raises:
        InputError: none there, no names, or another grid.
    """
    if (folder / COHORT_JSON).is_file():
        cohort = _cohort(folder)
        study = cohort.study(study_id)
        names = {v: name for v, name in cohort.info.organ_labels.items() if name in study.organ_names_annotated}
        labels = Volume(study.level("organs", 0)[None], study.native_affine, study_id)
        return OrganMasks(_on_grid(labels, like, folder), names)
    for name in (f"{study_id}{suffix}" for suffix in VOLUME_SUFFIXES):
        if (folder / name).is_file():
            return _label_map(folder / name, study_id, like)
    for place in PLACES:
        if files := volumes_in(folder / place.format(study=study_id)):
            return _single_masks(files[0].parent, study_id, like, structures)
    raise InputError(
        "There are no organ masks of the study.",
        where=study_id,
        got=folder,
        expected=f"{study_id}.nii.gz, or a folder {study_id} with one mask a structure",
    )


def _label_map(path: Path, study_id: str, like: Volume) -> OrganMasks:
    names = read_image_header(path, study_id).label_names
    for folder in (path.parent, path.parent.parent):  # beside it, or beside the table of a folder of label maps
        names = names or read_labels(folder / LABELS_JSON).organs
    if not names:
        raise InputError(
            "The organ label map has no names for its values.",
            where=path,
            next_step=f'write {LABELS_JSON} beside it: {{"organs": {{"1": "liver", ...}}}}',
        )
    return OrganMasks(_on_grid(read_label_map(path, study_id), like, path), dict(names))


def _single_masks(folder: Path, study_id: str, like: Volume, structures: Mapping[str, str]) -> OrganMasks:
    masks = masks_at(folder, None).masks
    everything = dict(enumerate(sorted(masks), start=1))
    values = {value for structure in structures.values() for value in label_values(everything, structure)}
    canonical = to_canonical(like)
    labels = np.zeros((1, *canonical.shape), dtype=np.uint16)
    for value in sorted(values):
        path = masks[everything[value]]
        labels[_on_grid(read_label_map(path, study_id), like, path).array != 0] = value
    return OrganMasks(Volume(labels, canonical.affine, study_id), {value: everything[value] for value in values})


def _on_grid(labels: Volume, like: Volume, path: Path) -> Volume:
    """The label map, canonical.

    Raises:
        InputError: it is not on the grid of the image.
    """
    labels, image = to_canonical(labels), to_canonical(like)
    if difference := grid_difference(labels, image):
        raise InputError(
            f"The organ mask is not on the image's grid: {difference} (mask against image, both in RAS+).",
            where=path,
            next_step="resample the mask to the image",
        )
    return labels


@lru_cache(maxsize=1)
def _cohort(folder: Path) -> Cohort:
    return Cohort.open(folder)
