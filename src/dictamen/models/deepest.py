"""The deepest feature map of a segmentation backbone: where it is, how to read it, which weights make it.

Works on MONAI's UNet, DynUNet, SegResNet, SwinUNETR and UNETR as they are, in 2D and 3D, by a forward hook; and on a
2D one of them that goes through a volume slice by slice (`models.slicewise`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from dictamen.errors import UsageError
from dictamen.models.slicewise import Slicewise, as_slices, as_volume


@dataclass(frozen=True)
class Site:
    """A module of a backbone whose output is, or holds, the deepest feature map.

    Attributes:
        module: hooked there.
        read: its output -> features [B, C, *grid].
        write: (its output, other features) -> what it should have put out.
        channels: C; None where only a forward pass tells.
    """

    module: nn.Module
    read: Callable[[Any], Tensor]
    write: Callable[[Any, Tensor], Any]
    channels: int | None = None


def find_site(backbone: nn.Module) -> Site:
    """Where the deepest feature map of `backbone` comes out.

    A backbone of another class can name the module itself: an attribute `deepest`, whose output is [B, C, *grid].

    Raises:
        UsageError: a class that isn't known here and names none.
    """
    if isinstance(deepest := getattr(backbone, "deepest", None), nn.Module):
        return _plain(deepest)
    if isinstance(backbone, Slicewise):
        return _slicewise(backbone)
    finder = _FINDERS.get(type(backbone).__name__)
    if finder is None:
        raise UsageError(
            "The deepest feature map of this network is not known.",
            got=type(backbone).__name__,
            expected=f"one of {', '.join(_FINDERS)}, or a network with an attribute `deepest`",
        )
    return finder(backbone)


class Encoder(nn.Module):
    """A backbone run no further than to its deepest features.

    Attributes:
        backbone: the whole of it; its decoder is not computed, and gets no gradient.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, image: Tensor) -> Tensor:
        """Features [B, C, *grid] of an image [B, C, *voxels]."""
        site = find_site(self.backbone)

        def stop(_module: nn.Module, _inputs: Any, output: Any) -> None:
            raise _ReachedError(site.read(output))

        handle = site.module.register_forward_hook(stop)
        try:
            self.backbone(image)
        except _ReachedError as reached:
            return reached.features
        finally:
            handle.remove()
        raise UsageError("The network does not use its deepest module.", got=type(self.backbone).__name__)

    def names(self, image: Tensor) -> frozenset[str]:
        """Names, within the backbone, of the tensors that are used to compute the features of `image`."""
        entered: set[int] = set()
        handles = [
            module.register_forward_pre_hook(lambda inner, _inputs: entered.add(id(inner)))
            for module in self.backbone.modules()
        ]
        try:
            self(image)
        finally:
            for handle in handles:
                handle.remove()
        return frozenset(
            f"{prefix}.{name}" if prefix else name
            for prefix, module in self.backbone.named_modules(remove_duplicate=False)
            if id(module) in entered
            for name, _ in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
        )


class _ReachedError(Exception):
    """Carries the features out of a forward pass that need not go on."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features


def _plain(module: nn.Module, channels: int | None = None) -> Site:
    return Site(module, read=lambda output: output, write=lambda _output, features: features, channels=channels)


def _slicewise(backbone: Slicewise) -> Site:
    """The place in the 2D network, its features put together to a volume's."""
    inner = find_site(backbone.network)
    return Site(
        inner.module,
        read=lambda output: as_volume(inner.read(output), backbone.slices),
        write=lambda output, features: inner.write(output, as_slices(features)),
        channels=inner.channels,
    )


def _unet(backbone: Any) -> Site:
    """The innermost block between MONAI's nested skip connections."""
    block = backbone.model
    while isinstance(block, nn.Sequential):
        inner = next((child.submodule for child in block if hasattr(child, "submodule")), None)
        if inner is None:
            break
        block = inner
    return _plain(block, int(backbone.channels[-1]))


def _unetr(backbone: Any) -> Site:
    """The transformer's tokens [B, N, C], in the order of the patches."""
    grid = tuple(int(n) for n in backbone.feat_size)

    def read(output: Any) -> Tensor:
        tokens: Tensor = output[0]
        return tokens.transpose(1, 2).reshape(len(tokens), tokens.shape[2], *grid)

    def write(output: Any, features: Tensor) -> Any:
        return (features.flatten(2).transpose(1, 2), *output[1:])

    return Site(backbone.vit, read, write, int(backbone.hidden_size))


_FINDERS: dict[str, Callable[[Any], Site]] = {
    "UNet": _unet,
    "DynUNet": lambda backbone: _plain(backbone.bottleneck, int(backbone.filters[-1])),
    "SegResNet": lambda backbone: _plain(
        backbone.down_layers[-1], int(backbone.init_filters * 2 ** (len(backbone.blocks_down) - 1))
    ),
    "SwinUNETR": lambda backbone: _plain(backbone.encoder10, int(backbone.encoder10.layer.conv1.conv.out_channels)),
    "UNETR": _unetr,
}
