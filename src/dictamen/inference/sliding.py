"""Prediction of a whole volume by a window that slides over it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dictamen.errors import InputError, UsageError
from dictamen.models.precision import Precision, Resolved, memory_format, resolve

Array = npt.NDArray[Any]

OVERLAP = 0.5
"""Share of a window that its neighbour repeats: nnU-Net's; less shows seams at window borders."""
FAST_OVERLAP = 0.25
"""For previews and validation while training: 2.4x fewer windows."""
WINDOWS_AT_ONCE = 2
"""Windows in one pass: more fills a GPU better but multiplies the memory of activations."""
AIR = -1.0
"""Normalised intensity of air, with which a volume smaller than the window is padded."""
MIRROR_AXES = (1, 2)
"""Test-time mirroring along y and z; never x, which would swap left and right organs."""


def choose_device(name: str) -> torch.device:
    """The device of "auto" (CUDA, else CPU), "cpu", "cuda", "cuda:1".

    Raises:
        UsageError: unknown, or not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError("The device is unknown.", got=name, expected="auto, cpu, cuda or cuda:<number>") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            "The device is not there.", got=name, expected=f"one of {torch.cuda.device_count()} CUDA devices, or cpu"
        )
    return device


@torch.inference_mode()
def predict_probabilities(
    model: nn.Module,
    image: Array,
    *,
    patch_size: Sequence[int],
    device: torch.device | str = "cpu",
    precision: Precision = "auto",
    overlap: float = OVERLAP,
    mirror: bool = False,
) -> npt.NDArray[np.float16]:
    """Probabilities of every label at every voxel.

    The volume stays in main memory; one window at a time is on the device. Windows are blended with Gaussian weights.

    Args:
        model: as `presets.build` gives; used in evaluation mode, its mode is restored.
        image: [X, Y, Z] or [C, X, Y, Z], normalised as in training.
        patch_size: the window, voxels.
        precision: as in training.
        overlap: of neighbouring windows, in [0, 1).
        mirror: average over mirror images along y and z (4x slower).

    Returns:
        [L, X, Y, Z] float16 in [0, 1]: half the memory of float32, steps of 0.0005 near 1.

    Raises:
        InputError: `image` has another number of axes, or an empty one.
    """
    if image.ndim not in (3, 4) or 0 in image.shape:
        raise InputError("The image must be [X, Y, Z] or [C, X, Y, Z] with at least one voxel.", got=image.shape)
    volume = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    volume = volume[None] if volume.ndim == 4 else volume[None, None]
    place, size = torch.device(device), tuple(patch_size)
    window = _Probabilities(model, resolve(precision, place))
    was_training = model.training
    model.eval()
    try:
        probabilities = _slide(window, volume, size, place, overlap)
        if mirror:
            for axes in _mirrorings():
                probabilities += _slide(window, volume.flip(axes), size, place, overlap).flip(axes)
            probabilities /= 1 + len(_mirrorings())
    finally:
        model.train(was_training)
    array: npt.NDArray[np.float16] = probabilities[0].to(torch.float16).numpy()
    return array


class _Probabilities(nn.Module):
    """Probabilities of the main head: bounded, so one window sure of itself can't outvote its neighbours."""

    def __init__(self, model: nn.Module, precision: Resolved) -> None:
        super().__init__()
        self.model = model
        self.precision = precision

    def forward(self, window: Tensor) -> Tensor:
        window = window.contiguous(memory_format=memory_format(self.precision))
        with torch.autocast(window.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16-mixed"):
            logits: Tensor = self.model(window).logits
        return logits.float().sigmoid()


def _slide(
    window: nn.Module, volume: Tensor, patch_size: tuple[int, ...], device: torch.device, overlap: float
) -> Tensor:
    from monai.inferers import SlidingWindowInferer

    inferer = SlidingWindowInferer(
        roi_size=patch_size,
        sw_batch_size=WINDOWS_AT_ONCE,
        overlap=overlap,
        mode="gaussian",
        padding_mode="constant",
        cval=AIR,
        sw_device=device,
        device="cpu",
        cache_roi_weight_map=True,
    )
    probabilities: Tensor = inferer(volume, window)
    return probabilities


def _mirrorings() -> list[list[int]]:
    """Sets of axes of [1, C, X, Y, Z] to flip, besides none."""
    spatial = [axis + 2 for axis in MIRROR_AXES]
    return [list(axes) for count in range(1, len(spatial) + 1) for axes in itertools.combinations(spatial, count)]
