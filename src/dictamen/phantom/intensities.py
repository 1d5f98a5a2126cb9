"""From tissues and lesions to Hounsfield units of a portal-venous CT, with noise, blur and bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.ndimage import gaussian_filter

from dictamen.phantom.body import Body
from dictamen.phantom.shapes import Box, FloatArray, smooth_field

AIR_HU = -1000.0


@dataclass(frozen=True)
class Tissue:
    """Portal-venous attenuation of a tissue.

    Args:
        hu: mean over patients.
        spread: standard deviation between patients.
        enhancement: how far it follows the patient's overall enhancement (1 = fully).
        texture: amplitude of its texture within a patient.
    """

    hu: float
    spread: float = 0.0
    enhancement: float = 0.0
    texture: float = 0.0


TISSUES: Mapping[str, Tissue] = {
    "skin": Tissue(20, 5),
    "fat": Tissue(-103, 5, texture=6),
    "muscle": Tissue(58, 5, 0.2, texture=6),
    "lung": Tissue(-840, 25, texture=35),
    "heart": Tissue(135, 8, 0.9, texture=4),
    "cancellous": Tissue(175, 30, texture=30),
    "cortical": Tissue(420, 60),
    "disc": Tissue(85, 8),
    "canal": Tissue(25, 5),
    "liver": Tissue(113, 8, 0.7, texture=4),
    "liver_vessel": Tissue(158, 8, 1.0),
    "spleen": Tissue(124, 6, 0.8, texture=3),
    "pancreas": Tissue(98, 7, 0.7, texture=9),
    "adrenal": Tissue(72, 6, 0.5),
    "cortex": Tissue(172, 9, 1.0, texture=4),
    "medulla": Tissue(152, 9, 0.9),  # late portal-venous: pyramids have nearly caught up with the cortex
    "urine": Tissue(8, 4),
    "bile": Tissue(8, 4),
    "artery": Tissue(152, 8, 1.0),
    "vein": Tissue(150, 10, 1.0),
    "portal": Tissue(166, 8, 1.0),
    "wall": Tissue(82, 8, 0.5, texture=6),
    "fluid": Tissue(22, 8, texture=5),
    "food": Tissue(45, 12, texture=28),
    "stool": Tissue(25, 20, texture=45),
    "oral": Tissue(240, 60, texture=10),
    "gas": Tissue(-940, 15),
}
"""Contrasts follow measured portal-venous values (liver 116-119 HU, metastases 70-82, aorta about 150)."""

ENHANCEMENT_SD = 12.0
"""Between patients: dose of contrast medium, circulation, delay; HU in a fully enhancing tissue."""
NOISE_SD = (11.0, 17.0)
"""Noise of a 3 mm reconstruction, HU: low-dose to routine abdominal CT, softened by the kernel."""
NOISE_CORRELATION = 0.5
"""Gaussian width of the noise's spatial correlation, voxels."""
BLUR_VOXELS = (0.45, 0.65)
"""Point spread of scanner and resampling, as a Gaussian width in voxels."""
BIAS_HU = 4.0
"""Beam hardening and scatter: a slow drift over the body, HU (standard deviation)."""
BIAS_MM = 110.0
"""Length scale of that drift, mm."""


class Painted(Protocol):
    """A lesion as the renderer sees it: where, how much of each voxel, and what value."""

    @property
    def box(self) -> Box: ...
    @property
    def fraction(self) -> FloatArray: ...
    @property
    def values_hu(self) -> FloatArray: ...


def patient_tissues(rng: np.random.Generator) -> dict[str, float]:
    """Mean HU of each tissue in one patient."""
    enhancement = rng.normal(0, ENHANCEMENT_SD)
    values = {name: t.hu + rng.normal(0, 1) * t.spread + t.enhancement * enhancement for name, t in TISSUES.items()}
    values["medulla"] = min(values["medulla"], values["cortex"] - 8)
    return values


def clean_hu(body: Body, tissues: Mapping[str, float]) -> FloatArray:
    """[X, Y, Z] attenuation without lesions, noise or blur."""
    volume = np.full(body.grid.shape, AIR_HU, dtype=np.float32)
    for part in body.parts:
        target = volume[part.box]
        amplitude = TISSUES[part.tissue].texture
        value: FloatArray | np.float32 = np.float32(tissues[part.tissue])
        if amplitude:
            value = value + np.float32(amplitude) * body.frame.texture[part.box]
        target += part.fraction * (value - target)
    return volume


def scan(clean: FloatArray, body: Body, lesions: Sequence[Painted], rng: np.random.Generator) -> FloatArray:
    """Lay `lesions` over the clean attenuation [X, Y, Z] and take the picture: blur, bias, correlated noise; HU."""
    sharp = clean.copy()
    for lesion in lesions:
        target = sharp[lesion.box]
        target += lesion.fraction * (lesion.values_hu - target)
    volume: FloatArray = gaussian_filter(sharp, rng.uniform(*BLUR_VOXELS), truncate=3, mode="nearest")
    noise = rng.standard_normal(sharp.shape, dtype=np.float32)
    noise = gaussian_filter(noise, NOISE_CORRELATION, truncate=3, mode="wrap")
    noise *= np.float32(rng.uniform(*NOISE_SD) / noise[::4].std())
    volume += noise + np.float32(BIAS_HU) * smooth_field(body.grid, BIAS_MM, rng)
    return volume
