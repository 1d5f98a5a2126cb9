"""Folders of masks as segmentation tools write them: which file holds which structure of which study.

FOLDER/<study_id>.nii.gz          one label map a study; what its numbers mean is taken from, in this order,
    labels.json     {"labels": {"1": "spleen"}}         `dictamen predict`, `dictamen refine`
    dataset.json    {"labels": {"spleen": 1, ...}}      nnU-Net's predictions; regions ("kidney": [1, 2]) too
    the label table in each file's header               TotalSegmentator with --ml
  or, where nothing says so, one mask a study, not 0 within the structure that the user names.
FOLDER/<study_id>/[segmentations/]<structure>.nii.gz    one mask a structure: TotalSegmentator without --ml
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dictamen.anatomy.vocabulary import load
from dictamen.cohort.layouts.case_folders import IMAGES, SEGMENTATIONS
from dictamen.cohort.layouts.dataset_json import DATASET_JSON, label_regions
from dictamen.cohort.source import volume_stem, volumes_in
from dictamen.errors import InputError
from dictamen.evaluation.predictions import LABELS_JSON, read_labels
from dictamen.imaging.read import read_image_header, read_label_map
from dictamen.imaging.volume import Volume

ANY: tuple[int, ...] = ()
"""Values of a mask without a label table: whatever is not 0."""
LAYOUTS = (
    "<study_id>.nii.gz with labels.json, nnU-Net's dataset.json or a label table in the header; "
    "or <study_id>/<structure>.nii.gz"
)


@dataclass(frozen=True)
class MaskFile:
    """Where one structure's mask is: a file, and the values that are it."""

    path: Path
    values: tuple[int, ...]


@dataclass(frozen=True)
class MaskFolder:
    """Masks of studies.

    Attributes:
        folder: where they lie.
        masks: study id -> label -> its file; labels are ids of the vocabulary where it knows them.
        unnamed: study id -> a mask of which nothing says what it is.
    """

    folder: Path
    masks: Mapping[str, Mapping[str, MaskFile]]
    unnamed: Mapping[str, MaskFile]

    @classmethod
    def open(cls, folder: Path) -> MaskFolder:
        """Look at names and headers; no voxel is read.

        Raises:
            InputError: no folder, no mask in it, or a damaged table of labels.
        """
        if not folder.is_dir():
            raise InputError("There is no folder of masks.", where=folder, expected=LAYOUTS)
        maps = {volume_stem(path): path for path in volumes_in(folder)}
        if maps:
            found, unnamed = _label_maps(folder, maps)
        else:
            found, unnamed = _single_masks(folder), {}
        if not found and not unnamed:
            raise InputError("The folder holds no mask.", where=folder, expected=LAYOUTS)
        return cls(folder, found, unnamed)

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, in the order of their first appearance."""
        return tuple(dict.fromkeys(label for named in self.masks.values() for label in named))

    @property
    def studies(self) -> frozenset[str]:
        """Ids of the studies that have a file."""
        return frozenset(self.masks) | frozenset(self.unnamed)

    def read(self, study_id: str, label: str) -> Volume | None:
        """The mask as bool [1, X, Y, Z] on its file's own grid; None where the study has none of this label.

        Raises:
            InputError: a file that can't be read, or an unnamed one with several values.
        """
        file = self.masks.get(study_id, {}).get(label) or self.unnamed.get(study_id)
        if file is None:
            return None
        read = read_label_map(file.path, study_id)
        if file.values:
            return Volume(np.isin(read.array, file.values), read.affine, study_id)
        values = np.unique(read.array)
        if study_id in self.unnamed and np.count_nonzero(values) > 1:
            raise InputError(
                "Nothing says what the numbers in the label map mean.",
                where=f"{study_id} ({file.path.name})",
                got=f"values {', '.join(map(str, values[:8].tolist()))}",
                next_step='write labels.json beside the label maps, {"labels": {"1": "spleen"}}',
            )
        return Volume(read.array.astype(bool), read.affine, study_id)


def known_name(name: str) -> str:
    """The vocabulary's id of a structure ("Left Kidney": kidney_left); the name itself where it is not known."""
    found = load().find(name)
    return found.id if found else name


def _label_maps(folder: Path, maps: Mapping[str, Path]) -> tuple[dict[str, dict[str, MaskFile]], dict[str, MaskFile]]:
    shared = _table_beside(folder)
    named: dict[str, dict[str, MaskFile]] = {}
    unnamed: dict[str, MaskFile] = {}
    for study_id, path in maps.items():
        table = shared or _named(
            {name: (v,) for v, name in (read_image_header(path, study_id).label_names or {}).items()}
        )
        if table:
            named[study_id] = {label: MaskFile(path, values) for label, values in table.items()}
        else:
            unnamed[study_id] = MaskFile(path, ANY)
    return named, unnamed


def _table_beside(folder: Path) -> dict[str, tuple[int, ...]]:
    """Label -> values of labels.json or dataset.json; empty where there is neither."""
    if (folder / LABELS_JSON).is_file():
        return _named({name: (value,) for value, name in read_labels(folder / LABELS_JSON).items()})
    path = folder / DATASET_JSON
    if not path.is_file():
        return {}
    try:
        dataset = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError("The file can't be read.", where=path, got=type(error).__name__) from error
    return _named(label_regions(dataset.get("labels") if isinstance(dataset, dict) else None, path))


def _single_masks(folder: Path) -> dict[str, dict[str, MaskFile]]:
    found = {}
    for study in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        inner = study / SEGMENTATIONS
        files = [p for p in volumes_in(inner if inner.is_dir() else study) if p.name not in IMAGES]
        names = _unique(volume_stem(path) for path in files)
        masks = {names[volume_stem(path)]: MaskFile(path, ANY) for path in files}
        if masks:
            found[study.name] = masks
    return found


def _named(table: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    names = _unique(table)
    return {names[name]: values for name, values in table.items()}


def _unique(names: Iterable[str]) -> dict[str, str]:
    """Name -> label; two names of one structure ("kidney", "renal") keep their own words."""
    words = list(names)
    ids = [known_name(word) for word in words]
    return {word: found if ids.count(found) == 1 else word for word, found in zip(words, ids, strict=True)}
