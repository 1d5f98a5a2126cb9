"""Networks whose answer is known, and volumes on awkward grids."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume
from dictamen.models.card import Architecture, ModelCard, OutputLabel
from dictamen.models.presets import SegmentationNetwork, SegmentationOutput, build

CARD = ModelCard(
    architecture=Architecture(preset="unet_tiny", out_channels=2),
    labels=(
        OutputLabel(name="kidney_tumour", kind="lesion", structure="kidney"),
        OutputLabel(name="kidney", kind="organ", structure="kidney"),
    ),
    spacing_mm=(2.0, 2.0, 2.0),
    patch_size=(16, 16, 16),
)
ORGAN_HU, LESION_HU = 40.0, 140.0
"""What `Bright` takes for organ and lesion."""


class Bright(nn.Module):
    """Sure of two things: the lesion is above 90 HU, the organ between 0 and 90 HU (normalised -.2 and .25)."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(40.0))

    def forward(self, image: Tensor) -> SegmentationOutput:
        lesion, organ = (image - 0.25) * self.scale, (0.225 - (image - 0.025).abs()) * self.scale
        return SegmentationOutput(torch.cat([lesion, organ], dim=1), None)


def random_network() -> SegmentationNetwork:
    """Random weights that are of two minds, so that something is predicted."""
    torch.manual_seed(3)
    network = build("unet_tiny", in_channels=1, out_channels=2)
    with torch.no_grad():
        network.head.bias.fill_(-3.0)
        network.head.weight.mul_(8.0)
    return network


def rotation(degrees: float) -> npt.NDArray[np.float64]:
    """About the x axis: a tilted gantry."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def grid(
    order: str = "RAS", spacing: tuple[float, float, float] = (2, 2, 2), degrees: float = 0.0
) -> npt.NDArray[np.float64]:
    """An affine whose array axes run towards the letters of `order`."""
    world = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    turn = np.zeros((3, 3))
    for axis, letter in enumerate(order):
        row, sign = world[letter]
        turn[row, axis] = sign * spacing[axis]
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) @ turn
    affine[:3, 3] = (31.0, -12.5, 207.25)
    return affine


def world(shape: tuple[int, int, int], affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Millimetres of every voxel, [X, Y, Z, 3]."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def ball(
    shape: tuple[int, int, int], affine: npt.NDArray[np.float64], centre: npt.NDArray[np.float64], radius: float
) -> npt.NDArray[np.bool_]:
    """Voxels within `radius` mm of `centre`."""
    return np.asarray(np.linalg.norm(world(shape, affine) - centre, axis=-1) <= radius)


def write_image(
    path: Path,
    *,
    seed: int = 0,
    shape: tuple[int, int, int] = (22, 19, 17),
    affine: npt.NDArray[np.float64] | None = None,
) -> Volume:
    """A smooth random CT."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2) * 900
    volume = Volume(noise.astype(np.int16)[None], grid() if affine is None else affine, path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(volume, path)
    return volume
