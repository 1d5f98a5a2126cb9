"""One phantom study: body, lesions, picture, report, and the orientation that its files have on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from dictamen.imaging.volume import AffineArray
from dictamen.phantom.body import REMOVABLE, Body, LabelArray, build_body
from dictamen.phantom.intensities import clean_hu, patient_tissues, scan
from dictamen.phantom.lesions import (
    DIAMETERS_MM,
    Kind,
    Lesion,
    LesionPlan,
    follow,
    place_lesion,
    plan_lesion,
    sample_diameter,
)  # fmt: skip
from dictamen.phantom.reports import Fact, WrittenReport, write_report
from dictamen.phantom.shapes import FloatArray, Grid
from dictamen.reports.schema import Attenuation

FIELD_MM = (336.0, 264.0, 312.0)
"""Field of view: holds the standard trunk with 16 mm of air, from the lung bases to the iliac wings."""
THICK_SLICES = 0.25
"""Fraction of studies with thicker slices and finer pixels, as scanners differ."""
ORIENTATIONS = ("RAS", "LPS", "LAS", "RPI", "LPI", "RAI")
"""Directions in which the axes grow on disk."""
HEALTHY = 0.33
"""Studies without any lesion, as in real reports."""
TUMOUR_FREE = 0.12
"""Studies with cysts, benign lesions or lesions elsewhere only."""
CYST_CHANCE: Mapping[str, float] = {"kidney": 0.45, "liver": 0.35, "pancreas": 0.12, "spleen": 0.04}
"""Chance of look-alikes in an organ of a patient who isn't healthy."""
BENIGN_CHANCE: Mapping[str, float] = {"kidney": 0.08, "liver": 0.12}
ELSEWHERE_CHANCE: Mapping[str, float] = {"spleen": 0.07, "adrenal_gland": 0.07, "lung_lower_lobe": 0.08}
SECOND_ORGAN = 0.22
"""Chance that a patient with a tumour has one in another organ of the tasks too."""
ORGAN_WEIGHT: Mapping[str, float] = {"kidney": 0.4, "liver": 0.36, "pancreas": 0.24}
"""Like real reports, with more of the pancreas (8 % there), so that a small cohort holds enough to measure."""
SINGLE: Mapping[str, float] = {"kidney": 0.7, "liver": 0.5, "pancreas": 0.85}
"""Chance of a single tumour."""
MOST_TUMOURS: Mapping[str, int] = {"kidney": 3, "liver": 8, "pancreas": 2}
LARGEST_OF_MANY_MM = 35.0
"""Several lesions of one organ are no larger, so that they fit."""
GROWTH = (0.75, 1.45)
"""Diameters in a second study relative to the first."""
BODY, LESIONS, PICTURE, REPORT, SURGERY = range(5)
"""Streams of random numbers: a change of one leaves the others as they are."""


@dataclass(frozen=True)
class StudyPlan:
    """What makes a study: two studies of one patient share body and lesions.

    Attributes:
        image_numbers: its report names the slice of each lesion that it measures.
        removed: chance of each organ of `body.REMOVABLE` that a surgeon took it out, before the first study.
    """

    study_id: str
    patient_id: str
    patient: int
    timepoint: int
    seed: int
    spacing_mm: float
    tasks: tuple[str, ...]
    image_numbers: bool = False
    removed: float = 0.0

    def generator(self, stream: int, *, of_study: bool) -> np.random.Generator:
        """Random numbers of one stream, of the study or of the patient."""
        return np.random.default_rng([self.seed, self.patient, stream, self.timepoint + 1 if of_study else 0])


@dataclass(frozen=True)
class Study:
    """A generated study on its canonical (RAS+) grid.

    Args:
        hu: [X, Y, Z] int16. organs, lesions: [X, Y, Z] uint8, lesions numbered by task from 1.
        affine: of the canonical grid. orientation: axes on disk.
        found: lesions with the facts of the report, in the order of the lesion table.
    """

    plan: StudyPlan
    hu: npt.NDArray[np.int16]
    organs: LabelArray
    lesions: LabelArray
    affine: AffineArray
    orientation: str
    found: tuple[Lesion, ...]
    facts: tuple[Fact, ...]
    report: WrittenReport

    @property
    def tumours(self) -> frozenset[str]:
        """Tasks with at least one tumour."""
        return frozenset(lesion.plan.structure for lesion in self.found if lesion.is_tumour) & frozenset(
            self.plan.tasks
        )


def lesion_plans(plan: StudyPlan) -> list[LesionPlan]:
    """The patient's lesions, largest first (they are the hardest to place)."""
    rng = plan.generator(LESIONS, of_study=False)
    draw = rng.random()
    if draw < HEALTHY:
        return []
    wanted: list[LesionPlan] = []
    if draw > HEALTHY + TUMOUR_FREE:
        for structure in _tumour_organs(plan.tasks, rng):
            wanted += _tumours(structure, rng)
    chances: list[tuple[Kind, Mapping[str, float]]] = [
        ("cyst", CYST_CHANCE),
        ("benign", BENIGN_CHANCE),
        ("tumour", ELSEWHERE_CHANCE),
    ]
    for kind, table in chances:
        for structure, chance in table.items():
            if rng.random() < chance:
                count = int(rng.integers(1, 4)) if kind == "cyst" else 1
                sizes = [min(sample_diameter(structure, rng), LARGEST_OF_MANY_MM) for _ in range(count)]
                wanted += [plan_lesion(structure, kind, size, rng) for size in sizes]
    return sorted(wanted, key=lambda lesion: -lesion.diameter_mm)


def _tumour_organs(tasks: Sequence[str], rng: np.random.Generator) -> list[str]:
    weights = np.array([ORGAN_WEIGHT.get(task, 0.2) for task in tasks])
    number = 2 if len(tasks) > 1 and rng.random() < SECOND_ORGAN else 1
    return [str(name) for name in rng.choice(list(tasks), number, replace=False, p=weights / weights.sum())]


def _tumours(structure: str, rng: np.random.Generator) -> list[LesionPlan]:
    """The tumours of one organ; many are metastases."""
    single = rng.random() < SINGLE.get(structure, 0.8)
    count = 1 if single else int(rng.integers(2, MOST_TUMOURS.get(structure, 2) + 1))
    kind: Kind = "metastasis" if structure == "liver" and (count > 1 or rng.random() < 0.5) else "tumour"
    first = sample_diameter(structure, rng, tumour=True)
    first = first if count < 3 else min(first, LARGEST_OF_MANY_MM)
    sizes = [first, *(max(4.0, first * rng.uniform(0.35, 0.9)) for _ in range(count - 1))]
    return [plan_lesion(structure, kind, size, rng) for size in sizes]


def removed_organs(plan: StudyPlan) -> tuple[str, ...]:
    """The organs that the patient lost; of the kidneys at most one."""
    draws = plan.generator(SURGERY, of_study=False).random(len(REMOVABLE))
    gone = [name for name, draw in zip(REMOVABLE, draws, strict=True) if draw < plan.removed]
    return tuple(name for name in gone if name != "kidney_right" or "kidney_left" not in gone)


def make_study(plan: StudyPlan) -> Study:
    """Generate a study; the same plan gives the same bytes."""
    rng = plan.generator(BODY, of_study=True)
    grid = _grid(plan.spacing_mm, rng)
    removed = removed_organs(plan)
    body = build_body(grid, plan.generator(BODY, of_study=False), removed=removed)
    tissues = patient_tissues(plan.generator(PICTURE, of_study=False))
    clean = clean_hu(body, tissues)
    found, growth = _place_all(plan, body, clean, tissues)
    organs, lesions = body.labels.copy(), np.zeros(grid.shape, dtype=np.uint8)
    for lesion in found:
        follow(organs, lesion, grid.spacing_mm)
        if lesion.is_tumour and lesion.plan.structure in plan.tasks:
            lesions[lesion.box][lesion.inside] = plan.tasks.index(lesion.plan.structure) + 1
    picture = scan(clean, body, found, plan.generator(PICTURE, of_study=True))
    hu = np.clip(np.rint(picture), -1024, 3071).astype(np.int16)
    facts = tuple(
        _fact(index, lesion, tissues, factor, plan.timepoint, slices=grid.shape[2] if plan.image_numbers else None)
        for index, (lesion, factor) in enumerate(zip(found, growth, strict=True))
    )
    report = write_report(plan.study_id, facts, body.habitus, plan.generator(REPORT, of_study=True), removed=removed)
    affine = np.diag([*grid.spacing_mm, 1.0])
    affine[:3, 3] = -(np.array(grid.shape) - 1) / 2 * np.array(grid.spacing_mm) + np.round(rng.uniform(-40, 40, 3), 1)
    orientation = str(rng.choice(ORIENTATIONS))
    return Study(plan, hu, organs, lesions, affine, orientation, tuple(found), facts, report)


def _grid(spacing_mm: float, rng: np.random.Generator) -> Grid:
    """The study's grid over the same field of view; some have thick slices."""
    in_plane, between = 1.0, 1.0
    if rng.random() < THICK_SLICES:
        in_plane, between = float(rng.choice([0.9, 1.0])), float(rng.choice([1.25, 1.5]))
    spacing = (round(spacing_mm * in_plane, 2), round(spacing_mm * in_plane, 2), round(spacing_mm * between, 2))
    x, y, z = (round(field / s) for field, s in zip(FIELD_MM, spacing, strict=True))
    return Grid((x, y, z), spacing)


def _place_all(
    plan: StudyPlan, body: Body, clean: FloatArray, tissues: Mapping[str, float]
) -> tuple[list[Lesion], list[float]]:
    """Place the patient's lesions; in a later study they have grown or shrunk by the factors given back."""
    rng = plan.generator(LESIONS, of_study=True)
    change = plan.generator(LESIONS + 10, of_study=False)
    found: list[Lesion] = []
    factors: list[float] = []
    for wanted in lesion_plans(plan):
        factor = float(change.uniform(*GROWTH)) if plan.timepoint else 1.0
        largest = DIAMETERS_MM[wanted.structure][-1]
        grown = replace(wanted, diameter_mm=float(np.clip(wanted.diameter_mm * factor, 4.0, largest)))
        lesion = place_lesion(grown, body, clean, tissues, found, rng)
        if lesion is not None:
            found.append(lesion)
            factors.append(lesion.plan.diameter_mm / wanted.diameter_mm)
    return found, factors


def _fact(
    index: int, lesion: Lesion, tissues: Mapping[str, float], factor: float, timepoint: int, *, slices: int | None
) -> Fact:
    """What the radiologist sees of a lesion; its image of so many axial `slices`."""
    contrast = lesion.plan.contrast_hu
    attenuation: Attenuation = "hyper" if contrast > 0 else "hypo"
    prior = lesion.diameters_mm[0] / factor if timepoint else None
    plan = lesion.plan
    middle = (lesion.box[2].start + lesion.box[2].stop - 1) // 2
    image = None if slices is None else slices - middle
    return Fact(
        index, plan.structure, lesion.side, lesion.part, plan.kind, lesion.diameters_mm, attenuation, prior, image
    )


Split = Literal["train", "val", "test"]
