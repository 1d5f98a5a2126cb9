"""Lesions: how many, where, how large, of what kind, and what they look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from dictamen.phantom.body import LABEL_OF, Body
from dictamen.phantom.places import part_of
from dictamen.phantom.shapes import Box, FloatArray, Point, occupancy, rotation

Kind = Literal["tumour", "metastasis", "cyst", "benign"]
TUMOUR_KINDS = ("tumour", "metastasis")

DIAMETER_PERCENTILES = (0, 10, 25, 50, 75, 90, 100)
DIAMETERS_MM: Mapping[str, tuple[float, ...]] = {
    "liver": (4, 6, 10, 17, 34, 58, 60),
    "kidney": (4, 5, 10, 15, 27, 48, 60),
    "pancreas": (4, 5, 8, 15, 32, 42, 48),
    "spleen": (4, 6, 9, 13, 25, 45, 50),
    "adrenal_gland": (6, 8, 10, 14, 21, 31, 40),
    "lung_lower_lobe": (4, 5, 6, 9, 14, 22, 30),
}
"""Largest diameters at those percentiles: 25,154 real reports, held to 4-60 mm, what grid and organs can hold."""
TUMOUR_DIAMETERS_MM: Mapping[str, tuple[float, ...]] = {"kidney": (4, 12, 20, 32, 46, 58, 60)}
"""The same of tumours, where they differ from all lesions of the organ: most renal lesions in reports are cysts.
Between those reports and 154 resected renal tumours (KiTS19: 20, 24, 40, 56, 93 mm at 10 to 90 %), held to 60 mm."""
HOST: Mapping[str, str] = {
    "liver": "liver", "kidney": "cortex", "pancreas": "pancreas", "spleen": "spleen", "adrenal_gland": "adrenal",
    "lung_lower_lobe": "lung",
}  # fmt: skip
"""The tissue that a lesion's contrast refers to."""
MAY_BULGE = {"kidney", "pancreas", "adrenal_gland"}
"""Organs that a lesion may grow out of, into the fat around."""
FAT_HU = (-135.0, -60.0)
"""What such a lesion may displace."""
BULGE_LABEL_MM = 6.0
"""Organ maps follow a bulging lesion this far from the organ's own outline, as organ segmenters do."""
SMALL_MM = 10.0
"""Below this a lesion has at least `SMALL_CONTRAST_HU`, else no reader could see it in the noise."""
CONTRAST_HU: Mapping[str, tuple[float, float]] = {"kidney": (35.0, 90.0), "liver": (20.0, 55.0)}
OTHER_CONTRAST_HU = (18.0, 45.0)
"""How far tumours lie below their organ in the portal-venous phase: renal carcinomas enhance to 70-120 HU against
150-190 of the parenchyma, liver metastases to 70-82 against 116-119; elsewhere the difference is small."""
SMALL_CONTRAST_HU = 30.0
ATTEMPTS = 14
"""Places tried for a lesion before it is made smaller."""
SHRINK = 0.8
SIZES_TRIED = 16
"""From 60 mm, that many shrinkings reach the smallest lesion."""
LEAST_INSIDE = 0.8
"""Fraction of a lesion's ideal volume that has to fit: below, the stated diameters would not describe the mask."""


@dataclass(frozen=True)
class LesionPlan:
    """A lesion before it has a place.

    Args:
        structure: whole organ (kidney, liver, ...).
        diameter_mm: the largest semi-axis doubled.
        contrast_hu: relative to the organ; cysts and benign lesions have `value_hu` instead.
        rim: HU added at the border. necrosis: HU taken from the centre.
        seed: of the shape's irregularity.
    """

    structure: str
    kind: Kind
    diameter_mm: float
    ratios: tuple[float, float]
    angles: Point
    seed: int
    contrast_hu: float = 0.0
    value_hu: float | None = None
    rim_hu: float = 0.0
    necrosis_hu: float = 0.0
    bumps: float = 0.05
    spikes: float = 0.0
    edge_mm: float = 1.0


@dataclass(frozen=True)
class Lesion:
    """A lesion in its place.

    Args:
        side: of a paired organ. part: "segment 6", "upper pole", "head", or None.
        diameters_mm: long axial axis, perpendicular to it, craniocaudal.
        box, inside, fraction, values_hu: voxels that are lesion, their filling and attenuation.
    """

    plan: LesionPlan
    side: Literal["left", "right"] | None
    part: str | None
    diameters_mm: Point
    volume_mm3: float
    box: Box
    inside: npt.NDArray[np.bool_]
    fraction: FloatArray
    values_hu: FloatArray

    @property
    def is_tumour(self) -> bool:
        """Whether it is what the tasks ask for."""
        return self.plan.kind in TUMOUR_KINDS


def sample_diameter(structure: str, rng: np.random.Generator, *, tumour: bool = False) -> float:
    """A largest diameter, mm, from the percentiles of real lesions (log-linear between them)."""
    percentiles = DIAMETERS_MM[structure]
    if tumour:
        percentiles = TUMOUR_DIAMETERS_MM.get(structure, percentiles)
    return float(np.exp(np.interp(rng.uniform(0, 100), DIAMETER_PERCENTILES, np.log(percentiles))))


def plan_lesion(structure: str, kind: Kind, diameter_mm: float, rng: np.random.Generator) -> LesionPlan:
    """Shape and attenuation of a lesion of the given kind and size."""
    ratios = (rng.uniform(0.72, 0.98), rng.uniform(0.68, 0.98))
    x, y, z = rng.uniform(0, np.pi, 3)
    plan = LesionPlan(structure, kind, diameter_mm, ratios, (x, y, z), int(rng.integers(2**31)))
    if kind == "cyst":
        round_ratios = (rng.uniform(0.9, 1), rng.uniform(0.88, 1))
        return replace(plan, ratios=round_ratios, value_hu=rng.uniform(0, 20), bumps=0.015, edge_mm=0.0)
    if kind == "benign":
        # angiomyolipoma in the kidney, haemangioma (as bright as blood) elsewhere
        value = rng.uniform(-70, -30) if structure == "kidney" else rng.uniform(148, 168)
        return replace(plan, value_hu=value, bumps=0.04)
    low, high = CONTRAST_HU.get(structure, OTHER_CONTRAST_HU)
    least = max(low, SMALL_CONTRAST_HU) if diameter_mm < SMALL_MM else low
    bright = kind == "tumour" and structure == "pancreas" and rng.random() < 0.15  # neuroendocrine
    large = diameter_mm > 22
    return replace(
        plan,
        contrast_hu=rng.uniform(least, high) * (1 if bright else -1),
        rim_hu=rng.uniform(8, 18) if rng.random() < 0.25 else 0.0,
        necrosis_hu=rng.uniform(10, 35) if large and rng.random() < 0.5 else 0.0,
        bumps=rng.uniform(0.04, 0.09),
        spikes=rng.uniform(0.04, 0.09) if rng.random() < 0.3 else 0.0,
        edge_mm=rng.uniform(0.5, 3.0) if large else 0.5,
    )


def place_lesion(
    plan: LesionPlan,
    body: Body,
    clean: FloatArray,
    tissues: Mapping[str, float],
    placed: Sequence[Lesion],
    rng: np.random.Generator,
) -> Lesion | None:
    """Find a place for `plan` where at least `LEAST_INSIDE` of it fits, away from `placed`; shrink it if there is none.

    None where the organ is too full for even the smallest lesion.
    """
    hosts = np.argwhere(body.mask(plan.structure))
    taken = np.zeros(body.grid.shape, dtype=bool)
    for other in placed:
        taken[other.box] |= other.inside
    for _ in range(SIZES_TRIED if len(hosts) else 0):
        for _ in range(ATTEMPTS):
            seed_voxel = hosts[rng.integers(len(hosts))]
            lesion = _try(plan, body, clean, tissues, taken, seed_voxel)
            if lesion is not None:
                return lesion
        plan = replace(plan, diameter_mm=max(plan.diameter_mm * SHRINK, 3.0))
    return None


def _try(
    plan: LesionPlan,
    body: Body,
    clean: FloatArray,
    tissues: Mapping[str, float],
    taken: npt.NDArray[np.bool_],
    seed_voxel: npt.NDArray[np.integer],
) -> Lesion | None:
    """The lesion centred at a voxel, or None where it does not fit."""
    grid = body.grid
    centre = (seed_voxel - (np.array(grid.shape) - 1) / 2) * np.array(grid.spacing_mm)
    box, distance = _signed_distance(plan, body, centre)
    label = int(body.labels[tuple(seed_voxel)])
    allowed = body.labels[box] == label
    in_organ = allowed
    if plan.structure in MAY_BULGE:
        fat = (clean[box] > FAT_HU[0]) & (clean[box] < FAT_HU[1]) & (body.labels[box] == 0)
        sinus = (
            (body.labels[box] == 0) & (clean[box] > -60) & (clean[box] < 40) if plan.structure == "kidney" else False
        )
        allowed = allowed | fat | sinus
    ideal = distance < 0
    inside = ideal & allowed
    near = distance < 2 * max(grid.spacing_mm)  # two lesions stay two components
    small = plan.diameter_mm <= 3.5
    if not inside.any() and small and in_organ.any():
        inside = distance == np.where(in_organ, distance, np.inf).min()
    if not inside.any() or (taken[box] & near).any():
        return None
    if not small and inside.sum() < LEAST_INSIDE * ideal.sum():
        return None
    if plan.structure in MAY_BULGE and not small and (ideal & in_organ).sum() < 0.3 * ideal.sum():
        return None
    name = next(name for name, value in LABEL_OF.items() if value == label)
    side: Literal["left", "right"] | None = (
        "right" if name.endswith("_right") else "left" if name.endswith("_left") else None
    )
    smooth = occupancy(distance, body_edge(body, plan))
    fraction = np.where(allowed, np.maximum(smooth, 0), 0).astype(np.float32)
    return Lesion(
        plan=plan,
        side=side,
        part=part_of(body, plan.structure, seed_voxel),
        diameters_mm=_diameters(plan),
        volume_mm3=float(inside.sum() * grid.voxel_volume_mm3),
        box=box,
        inside=inside,
        fraction=fraction,
        values_hu=_values(plan, distance, tissues, body.frame.texture[box]),
    )


def body_edge(body: Body, plan: LesionPlan) -> float:
    """Width of the lesion's edge, mm: a voxel, more where it is ill-defined."""
    return float(np.mean(body.grid.spacing_mm)) + plan.edge_mm


def _axes(plan: LesionPlan) -> FloatArray:
    return np.array([1, plan.ratios[0], plan.ratios[0] * plan.ratios[1]], dtype=np.float32) * np.float32(
        plan.diameter_mm / 2
    )


def _signed_distance(plan: LesionPlan, body: Body, centre_mm: npt.NDArray[np.floating]) -> tuple[Box, FloatArray]:
    """Box and signed distance (mm) of an ellipsoid with smooth bumps and, for some, spikes."""
    grid = body.grid
    reach = plan.diameter_mm / 2 * (1 + 2 * plan.bumps + 2 * plan.spikes) + 2 * max(grid.spacing_mm)
    box = grid.box(centre_mm - reach, centre_mm + reach)
    axes = [grid.axis_mm(axis)[box[axis]] - np.float32(centre_mm[axis]) for axis in range(3)]
    offset = np.stack(np.meshgrid(*axes, indexing="ij"))
    local = np.tensordot(rotation(plan.angles).T, offset, axes=(1, 0)) / _axes(plan)[:, None, None, None]
    radius = np.sqrt((local**2).sum(axis=0))
    direction = local / np.maximum(radius, 1e-3)
    rng = np.random.default_rng(plan.seed)
    relief = plan.bumps * _relief(direction, 2.5, rng) + plan.spikes * _relief(direction, 7.0, rng)
    return box, ((radius / (1 + relief) - 1) * _axes(plan).mean()).astype(np.float32)


def _relief(direction: FloatArray, frequency: float, rng: np.random.Generator) -> FloatArray:
    """A smooth function of about unit amplitude on the sphere of `direction` [3, ...]."""
    waves = rng.normal(0, 1, (5, 3)).astype(np.float32)
    waves *= np.float32(frequency) / np.linalg.norm(waves, axis=1, keepdims=True)
    phases = rng.uniform(0, 2 * np.pi, 5).astype(np.float32)
    total = sum(
        np.sin(np.tensordot(wave, direction, axes=(0, 0)) + phase) for wave, phase in zip(waves, phases, strict=True)
    )
    return np.asarray(total, dtype=np.float32) / np.float32(np.sqrt(2.5))


def _diameters(plan: LesionPlan) -> Point:
    """Long axial axis, its perpendicular, and the craniocaudal extent of the plan's ellipsoid, mm."""
    turn = rotation(plan.angles).astype(float)
    form = turn @ np.diag(1 / _axes(plan).astype(float) ** 2) @ turn.T
    long, short = 2 / np.sqrt(np.linalg.eigvalsh(form[:2, :2]))
    return float(long), float(short), float(2 * np.sqrt(np.linalg.inv(form)[2, 2]))


def _values(plan: LesionPlan, distance: FloatArray, tissues: Mapping[str, float], texture: FloatArray) -> FloatArray:
    """Attenuation [box] inside the lesion, HU."""
    if plan.value_hu is not None:
        return np.full(distance.shape, plan.value_hu, dtype=np.float32)
    radius = plan.diameter_mm / 2
    value = tissues[HOST[plan.structure]] + plan.contrast_hu if plan.structure != "lung_lower_lobe" else 40.0
    depth = np.clip(-distance / np.float32(radius), 0, 1)  # 0 at the border, 1 at the centre
    values = (
        value + plan.rim_hu * np.exp(-((distance + 2) ** 2) / 8) - plan.necrosis_hu * np.clip((depth - 0.4) * 4, 0, 1)
    )
    return np.asarray(values + 6 * texture, dtype=np.float32)


def follow(labels: npt.NDArray[np.uint8], lesion: Lesion, spacing_mm: Point) -> None:
    """Let the organ map (changed in place) follow a bulging lesion up to `BULGE_LABEL_MM` beyond the organ."""
    from scipy.ndimage import distance_transform_edt

    local = labels[lesion.box]
    values = local[lesion.inside]
    organs = values[values > 0]
    if len(organs) == 0 or len(organs) == len(values):
        return
    label = int(np.bincount(organs).argmax())
    beyond = distance_transform_edt(local != label, sampling=spacing_mm)
    local[lesion.inside & (local == 0) & (beyond <= BULGE_LABEL_MM)] = label
