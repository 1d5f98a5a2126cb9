"""Small generated studies for benchmarks of sentences: two kidneys with lesions, and a report that tells them apart.

At 4 mm, 36 x 24 x 28 voxels, so that seeds and arms fit on two CPU cores. Lesions differ in size, density, pole and
side; the report has one sentence for each, in varied words.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume

SHAPE, SPACING_MM = (36, 24, 28), 4.0
CENTRES_MM = {"left": (36.0, 48.0, 56.0), "right": (108.0, 48.0, 56.0)}
RADII_MM = (22.0, 22.0, 46.0)
POLES = {"upper pole": 26.0, "mid pole": 0.0, "lower pole": -26.0}
TISSUE_HU, KIDNEY_HU = 40.0, 130.0
DENSITIES = {"hypodense": -70.0, "hyperdense": 70.0}
WORDS = (
    "There is a {size} mm {density} lesion in the {pole} of the {side} kidney.",
    "{Density} lesion in the {pole} of the {side} kidney measuring {size} mm.",
    "In the {side} kidney, {pole}, a {density} lesion of {size} mm is seen.",
)


@dataclass(frozen=True)
class Lesion:
    """One lesion of a study, and its sentence."""

    side: str
    pole: str
    density: str
    diameter_mm: int
    sentence: str


def make(
    rng: np.random.Generator, most: int = 4, *, removed: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Lesion]]:
    """Image in HU, organ map (1 left, 2 right kidney), lesions numbered from 1, and what they are.

    `removed` is the chance that one kidney was taken out: tissue is in its place, the other one may have no lesion.
    """
    grid = np.stack(np.meshgrid(*(np.arange(n) * SPACING_MM for n in SHAPE), indexing="ij"), axis=-1)
    image = np.full(SHAPE, TISSUE_HU) + rng.normal(0, 8, SHAPE)
    organs, numbered = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    moved = {side: np.add(centre, rng.uniform(-5, 5, 3)) for side, centre in CENTRES_MM.items()}
    if removed > 0 and rng.random() < removed:
        del moved[str(rng.choice(list(CENTRES_MM)))]
    for value, centre in (({"left": 1, "right": 2}[side], centre) for side, centre in moved.items()):
        inside = (((grid - centre) / RADII_MM) ** 2).sum(-1) <= 1
        organs[inside] = value
        image[inside] += KIDNEY_HU - TISSUE_HU
    places = [(side, pole) for side in moved for pole in POLES]
    lesions = []
    fewest = 2 if len(moved) == len(CENTRES_MM) else 0
    for place in rng.permutation(len(places))[: int(rng.integers(fewest, most + 1))]:
        side, pole = places[place]
        density = str(rng.choice(list(DENSITIES)))
        size = int(rng.integers(14, 28))
        centre = moved[side] + np.array([*rng.uniform(-5, 5, 2), POLES[pole] + rng.uniform(-2, 2)])
        inside = ((grid - centre) ** 2).sum(-1) <= (size / 2) ** 2
        image[inside] = KIDNEY_HU + DENSITIES[density] + rng.normal(0, 8, int(inside.sum()))
        organs[inside] = 1 if side == "left" else 2
        numbered[inside] = len(lesions) + 1
        words = str(rng.choice(WORDS))
        sentence = words.format(size=size, density=density, Density=density.capitalize(), pole=pole, side=side)
        lesions.append(Lesion(side, pole, density, size, sentence))
    return image, organs, numbered, lesions


def write(folder: Path, *, studies: int, masks: int, validation: int, seed: int, removed: float = 0.0) -> Path:
    """A studies.csv with its files; `masks` of the training studies have lesion masks, and all for validation."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    rows = ["study_id,image,organs,lesions,report,split"]
    for number in range(studies):
        name, split = f"study_{number:03d}", "val" if number >= studies - validation else "train"
        image, organs, numbered, lesions = make(rng, removed=removed)
        affine = np.diag([SPACING_MM] * 3 + [1.0])
        drawn = split == "val" or number < masks
        arrays = {"image": image.astype(np.int16), "organs": organs}
        if drawn:
            arrays["lesions"] = (numbered > 0).astype(np.uint8)
        for kind, array in arrays.items():
            write_volume(Volume(array[None], affine, name), folder / f"{name}_{kind}.nii.gz")
        (folder / f"{name}.txt").write_text("FINDINGS: " + " ".join(one.sentence for one in lesions), encoding="utf-8")
        mask = f"{name}_lesions.nii.gz" if drawn else ""
        rows.append(f"{name},{name}_image.nii.gz,{name}_organs.nii.gz,{mask},{name}.txt,{split}")
    labels = {"organs": {"1": "kidney_left", "2": "kidney_right"}, "lesions": {"1": "kidney_lesion"}}
    (folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    (folder / "studies.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "studies.csv"
