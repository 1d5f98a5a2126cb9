"""Random changes of a patch: image, voxel states and regions move together, and millimetres stay true."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from dictamen.supervision.patch import UNKNOWN
from dictamen.training.config import Augmentation


class Augmenter:
    """Applies `settings` to patches; the same generator state gives the same change."""

    def __init__(self, settings: Augmentation) -> None:
        self.settings = settings
        self._threads = threading.local()

    def __call__(self, image: Tensor, labels: Tensor, *, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
        """Change one patch.

        Args:
            image: [1, X, Y, Z] float, normalised.
            labels: [2, L, X, Y, Z] uint8: states and region indices.
            rng: source of all randomness.

        Returns:
            image and labels of the same shapes, and the zoom: voxels now are 1/zoom of their former size in mm.
        """
        axes = [axis + 1 for axis, chance in enumerate(self.settings.flip) if rng.random() < chance]
        if axes:
            image, labels = image.flip(axes), labels.flip([axis + 1 for axis in axes])
        zoom = 1.0
        if rng.random() < self.settings.rotate_probability:
            zoom = float(rng.uniform(*self.settings.zoom))
            angle = math.radians(rng.uniform(-self.settings.rotate_degrees, self.settings.rotate_degrees))
            image, labels = _rotate(image, labels, angle=angle, zoom=zoom)
        intensity = self._intensity()
        intensity.set_random_state(seed=int(rng.integers(2**31)))
        changed = np.ascontiguousarray(intensity(image.contiguous().numpy()), dtype=np.float32)
        return torch.from_numpy(changed), labels.contiguous(), zoom

    def _intensity(self) -> Any:
        """This thread's transforms: they carry a random state, so threads must not share them."""
        if not hasattr(self._threads, "intensity"):
            self._threads.intensity = _intensity_transforms(self.settings)
        return self._threads.intensity


def _intensity_transforms(settings: Augmentation) -> Any:
    from monai.transforms import (
        Compose,
        RandGaussianNoise,
        RandScaleIntensity,
        RandShiftIntensity,
    )

    probability = settings.intensity_probability
    return Compose(
        [
            RandGaussianNoise(prob=probability, std=settings.noise_std),
            RandScaleIntensity(factors=0.1, prob=probability),
            RandShiftIntensity(offsets=0.05, prob=probability),
        ]
    )


def _rotate(image: Tensor, labels: Tensor, *, angle: float, zoom: float) -> tuple[Tensor, Tensor]:
    """Rotate by `angle` (radians) in the x-y plane and enlarge by `zoom`; what comes from outside is unknown."""
    x, y, _ = image.shape[1:]
    cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
    # grid_sample's coordinates run over [-1, 1] along (z, y, x), hence the factors for patches that are not square
    theta = torch.tensor(
        [[[1 / zoom, 0, 0, 0], [0, cosine, sine * x / y, 0], [0, -sine * y / x, cosine, 0]]], dtype=torch.float32
    )
    grid = affine_grid(theta, [1, 1, *image.shape[1:]], align_corners=False)
    moved_image = grid_sample(image[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
    flat = labels.flatten(0, 1).float()
    outside = torch.cat([torch.full((labels.shape[1],), float(UNKNOWN)), torch.zeros(labels.shape[1])]).view(
        -1, 1, 1, 1
    )
    moved = (
        grid_sample((flat - outside)[None], grid, mode="nearest", padding_mode="zeros", align_corners=False)[0]
        + outside
    )
    return moved_image, moved.round().to(torch.uint8).view_as(labels)
