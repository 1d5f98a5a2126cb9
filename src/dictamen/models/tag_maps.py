"""Tag maps in a segmentation network: beside its deepest features it sees how much each cell resembles each tag."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dictamen.errors import UsageError
from dictamen.models.deepest import find_site
from dictamen.models.tag_heads import similarity_maps

MAP_TEMPERATURE = 0.2
"""Cosines are divided by it before they join the features: of the size of normalised features then."""


class TagMaps(nn.Module):
    """S_k = cosine(W F_u, t_k) at every cell u of a feature map F; F' = J [F; S / .2].

    Channels only: the same weights serve 2D and 3D.

    Args:
        channels: of the feature map.
        tags: embeddings t; kept fixed, so that the words keep their meaning.

    Attributes:
        project: W, from features to the space of the tags.
        background: learned embedding of what is none of the tags; used by the loss alone.
        maps: cosines [B, 1 + K, *grid] of the last forward pass, background first.
    """

    tags: Tensor

    def __init__(self, channels: int, tags: Float[Tensor, "K D"]) -> None:
        super().__init__()
        if tags.ndim != 2 or not len(tags):
            raise UsageError("Tag maps need at least one tag.", got=tuple(tags.shape), expected="[tags, dimension]")
        count, dimension = tags.shape
        self.channels = channels
        self.register_buffer("tags", tags.detach().clone())
        self.project = nn.Linear(channels, dimension)
        self.background = nn.Parameter(torch.randn(dimension))
        self.join = nn.Linear(channels + count, channels)
        with torch.no_grad():  # at the start the features pass as they are, and the maps add to them
            self.join.weight[:, :channels] = torch.eye(channels)
            self.join.bias.zero_()
        self.maps: Tensor | None = None

    def forward(self, features: Float[Tensor, "B C *grid"]) -> Float[Tensor, "B C *grid"]:
        """Features that know the tags."""
        cells = functional.linear(features.movedim(1, -1), self.project.weight, self.project.bias).movedim(-1, 1)
        self.maps = similarity_maps(cells, torch.cat([self.background[None], self.tags]))
        seen = torch.cat([features, self.maps[:, 1:] / MAP_TEMPERATURE], dim=1).movedim(1, -1)
        return functional.linear(seen, self.join.weight, self.join.bias).movedim(-1, 1)

    def __getstate__(self) -> dict[str, Any]:
        """Without the last maps: they belong to a graph, which can't be copied."""
        return {**self.__dict__, "maps": None}

    def take_maps(self) -> Float[Tensor, "B K+1 *grid"] | None:
        """The maps of the last forward pass, which are then forgotten."""
        maps, self.maps = self.maps, None
        return maps


def attach_tag_maps(network: nn.Module, tags: Float[Tensor, "K D"], *, channels: int | None = None) -> TagMaps:
    """Put tag maps into `network`, in place: MONAI's UNet, DynUNet, SegResNet, SwinUNETR or UNETR, 2D or 3D.

    The network keeps its class and its weights; it gets one submodule more, `tag_maps`, through which its deepest
    features pass. `copy.deepcopy` and `state_dict` work as before.

    Args:
        network: one of MONAI's, or one with an attribute `backbone` that is one.
        tags: embeddings of the tags [K, D].
        channels: of the deepest features (`deepest.Encoder(backbone)(image).shape[1]`); only needed for a network that
            names its deepest module itself.

    Raises:
        UsageError: another architecture, maps attached already, no tags, or `channels` is needed.
    """
    if getattr(network, "tag_maps", None) is not None:
        raise UsageError("The network has tag maps already.", got=type(network).__name__)
    inner = getattr(network, "backbone", None)
    backbone = inner if isinstance(inner, nn.Module) else network
    site = find_site(backbone)
    channels = channels or site.channels
    if channels is None:
        raise UsageError(
            "The channels of the deepest features are not known.",
            got=type(backbone).__name__,
            next_step="give `channels`, deepest.Encoder(network)(image).shape[1]",
        )
    added = TagMaps(channels, tags)
    network.tag_maps = added
    site.module.register_forward_hook(_Through(backbone, added))
    return added


class _Through:
    """The hook; an object rather than a function, so that a deep copy of the network is hooked to its own copy."""

    def __init__(self, backbone: nn.Module, maps: TagMaps) -> None:
        self.backbone, self.maps = backbone, maps

    def __call__(self, _module: nn.Module, _inputs: Any, output: Any) -> Any:
        site = find_site(self.backbone)
        return site.write(output, self.maps(site.read(output)))
