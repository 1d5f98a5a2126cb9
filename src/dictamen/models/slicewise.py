"""A 2D network on a volume, slice by slice: its slices are its batch. A volume of one slice is an image."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class Slicewise(nn.Module):
    """Each axial slice through a 2D network; no slice sees another.

    Attributes:
        network: maps [N, C, X, Y] to [N, F, X, Y].
        slices: of the last volume, by which hooks inside the network know them.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.slices = 1

    def forward(self, volume: Float[Tensor, "B C X Y Z"]) -> Float[Tensor, "B F X Y Z"]:
        """What the network makes of each slice."""
        self.slices = volume.shape[-1]
        return as_volume(self.network(as_slices(volume)), self.slices)


def as_slices(volume: Float[Tensor, "B C X Y Z"]) -> Float[Tensor, "BZ C X Y"]:
    """The slices of a batch of volumes, those of a volume together and in order."""
    return volume.movedim(-1, 1).flatten(0, 1)


def as_volume(planes: Float[Tensor, "BZ C X Y"], slices: int) -> Float[Tensor, "B C X Y Z"]:
    """The inverse of `as_slices`."""
    return planes.reshape(-1, slices, *planes.shape[1:]).movedim(1, -1)
