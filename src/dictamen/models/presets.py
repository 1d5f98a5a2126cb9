"""Networks by name, all behind one interface: image in, logits and auxiliary logits out.

Every preset is a MONAI backbone that ends in features at full resolution; the heads are ours and the same for all:

    features = LeakyReLU(InstanceNorm(backbone(x)))          [B, F, X, Y, Z]
    logits, auxiliary = Conv 1x1x1 (features), Conv 1x1x1 (features)

so the auxiliary head needs no hook into a particular architecture, and a user's own
backbone gets it too. With `spatial_dims=2` a backbone goes through a volume slice by slice.
MONAI is imported when a network is built, not before (4 s).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dictamen.errors import UsageError
from dictamen.models.slicewise import Slicewise
from dictamen.models.tag_maps import TagMaps

NEGATIVE_SLOPE = 0.01
"""Of leaky ReLUs, where a preset or an override says nothing else."""
PRIOR = 0.01
"""Probability of every label before training: lesions are rare, so the first steps need not unlearn 0.5 everywhere,
which is the most expensive mistake for the volume and absence losses (focal loss, arXiv 1708.02002, section 3.3)."""


class SegmentationOutput(NamedTuple):
    """Logits of independent labels (sigmoid, not softmax), and those of the auxiliary head where there is one.

    `maps` are the tag maps of the deepest features, background first, where they are attached (`models.tag_maps`).
    """

    logits: Float[Tensor, "B L X Y Z"]
    auxiliary: Float[Tensor, "B L X Y Z"] | None
    maps: Float[Tensor, "B K x y z"] | None = None


@dataclass(frozen=True)
class Preset:
    """One architecture.

    Attributes:
        backbone: class of `monai.networks.nets`, or "package.module:function" for a user's own.
        features: channels of the backbone's output.
        divisor: each side of a patch must be a multiple of it.
        why: what it is for.
        arguments: of the backbone besides the channels.
        requires: packages that MONAI needs for it and doesn't install itself.
        activated: whether the backbone's output is normalised and activated already.
        negative_slope: of the leaky ReLU before the heads, where it is not.
    """

    backbone: str
    features: int
    divisor: int
    why: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    activated: bool = False
    negative_slope: float = NEGATIVE_SLOPE


_ACTIVATION = ("leakyrelu", {"negative_slope": NEGATIVE_SLOPE, "inplace": True})
_INSTANCE = ("instance", {"affine": True})
_DYNUNET_LEVELS = 5

PRESETS: Mapping[str, Preset] = {
    "unet": Preset(
        backbone="UNet",
        features=8,  # at full resolution, where they cost most
        divisor=8,
        why="the default: a light U-Net that trains on two CPU cores in minutes",
        arguments={
            "spatial_dims": 3,
            "channels": (16, 32, 64, 128),  # doubles as resolution halves; .5 M parameters
            "strides": (2, 2, 2),  # a level at full resolution more than doubles the time of a step on a CPU
            "num_res_units": 0,  # residual units double the time of a step on a CPU
            "act": _ACTIVATION,
            "norm": _INSTANCE,  # batches of two patches are too small for batch statistics
        },
    ),
    "unet_tiny": Preset(
        backbone="UNet",
        features=4,
        divisor=4,
        why="tests and dry runs: seconds on one core, not for results",
        arguments={
            "spatial_dims": 3,
            "channels": (4, 8, 16),
            "strides": (2, 2),
            "num_res_units": 1,
            "act": _ACTIVATION,
            "norm": _INSTANCE,
        },
    ),
    "dynunet": Preset(
        backbone="DynUNet",
        features=32,
        divisor=2 ** (_DYNUNET_LEVELS - 1),
        why="nnU-Net's plain U-Net; the strongest baseline on a GPU (arXiv 2404.09556)",
        arguments={
            "spatial_dims": 3,
            "kernel_size": (3,) * _DYNUNET_LEVELS,
            "strides": (1, *(2,) * (_DYNUNET_LEVELS - 1)),
            "upsample_kernel_size": (2,) * (_DYNUNET_LEVELS - 1),
            "filters": (32, 64, 128, 256, 320),  # nnU-Net's: from 32, at most 320
            "norm_name": _INSTANCE,
            "act_name": _ACTIVATION,
        },
    ),
    "segresnet": Preset(
        backbone="SegResNet",
        features=16,
        divisor=8,
        why="residual encoder with a light decoder; Auto3DSeg's first choice, less memory than dynunet",
        arguments={
            "spatial_dims": 3,
            "init_filters": 16,
            "blocks_down": (1, 2, 2, 4),
            "blocks_up": (1, 1, 1),
        },  # as in arXiv 1810.11654
    ),
    "swinunetr": Preset(
        backbone="SwinUNETR",
        features=24,
        divisor=32,
        why="transformer encoder; needs a GPU and more data than the others (arXiv 2201.01266)",
        arguments={"spatial_dims": 3, "feature_size": 24, "use_v2": True},  # 24: 16 M parameters instead of 62 M at 48
        requires=("einops",),
    ),
    "nnunet": Preset(
        backbone="dictamen.models.nnunet_network:NnunetBackbone",
        features=32,
        divisor=1,  # by axis; the plans' patch fits
        why="networks of nnU-Net v2 that were imported, plain or with a residual encoder",
        activated=True,
    ),
    "custom": Preset(
        backbone="",
        features=16,
        divisor=1,
        why='your own backbone: --set network.backbone="package.module:function"; that code is executed',
    ),
}
"""Networks by name."""

Divisor = int | tuple[int, int, int]
IN_PLANE = 2
"""`spatial_dims` of a network of slices."""
_OWN_FIELDS = ("backbone", "features", "divisor", "negative_slope")
"""Fields of a preset that overrides may set; every other override is an argument of the backbone."""


class SegmentationNetwork(nn.Module):
    """A backbone and its heads.

    Args:
        backbone: maps [B, C, X, Y, Z] to features [B, F, X, Y, Z] at full resolution.
        features: F.
        out_channels: labels L.
        auxiliary_head: whether there is a second head on the same features.
        divisor: what each side of the input must be a multiple of, one number or one for each axis.
        activated: the backbone's features are normalised and activated already.

    Attributes:
        exclusive: see `card.Architecture`; inference takes it into account, training does not know it.
    """

    exclusive: bool = False

    def __init__(
        self,
        backbone: nn.Module,
        *,
        features: int,
        out_channels: int,
        auxiliary_head: bool,
        divisor: Divisor = 1,
        activated: bool = False,
        negative_slope: float = NEGATIVE_SLOPE,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.divisor = divisor
        leaky = nn.LeakyReLU(negative_slope, inplace=True)
        parts = [] if activated else [nn.InstanceNorm3d(features, affine=True), leaky]
        self.activate = nn.Sequential(*parts)
        self.head = _head(features, out_channels)
        self.auxiliary_head = _head(features, out_channels) if auxiliary_head else None
        self.tag_maps: TagMaps | None = None

    @property
    def divisors(self) -> tuple[int, int, int]:
        """What each side of the input must be a multiple of, axis by axis."""
        return (self.divisor,) * 3 if isinstance(self.divisor, int) else self.divisor

    def forward(self, image: Float[Tensor, "B C X Y Z"]) -> SegmentationOutput:
        """Logits at the resolution of `image`.

        Raises:
            UsageError: a side of the image is not a multiple of `divisor`.
        """
        features = self.features(image)
        return SegmentationOutput(
            self.head(features),
            self.auxiliary_head(features) if self.auxiliary_head else None,
            self.tag_maps.take_maps() if self.tag_maps else None,
        )

    def features(self, image: Float[Tensor, "B C X Y Z"]) -> Float[Tensor, "B F X Y Z"]:
        """What the heads see; both are linear, voxel by voxel.

        Raises:
            UsageError: as `forward`.
        """
        check_patch(tuple(image.shape[2:]), self.divisor)
        features: Tensor = self.activate(self.backbone(image))
        return features


def check_patch(sides: Sequence[int], divisor: Divisor) -> None:
    """Refuse a patch that the network can't halve often enough.

    Raises:
        UsageError: a side is not a multiple of `divisor`.
    """
    divisors = (divisor,) * len(sides) if isinstance(divisor, int) else divisor
    if any(side % own for side, own in zip(sides, divisors, strict=True)):
        raise UsageError(
            "The patch does not fit the network.",
            got=tuple(sides),
            expected=f"sides that are multiples of {divisors[0] if len(set(divisors)) == 1 else divisors}",
            next_step="change patch_size or the preset",
        )


def build(
    preset: str, *, in_channels: int, out_channels: int, auxiliary_head: bool = False, **overrides: Any
) -> SegmentationNetwork:
    """Build a network with fresh weights from torch's generator.

    Args:
        preset: a name of `PRESETS`.
        in_channels: image channels C.
        out_channels: labels L.
        auxiliary_head: add the second head.
        overrides: arguments of the backbone that replace those of the preset; also `features`, `divisor`,
            `negative_slope` and, for the preset `custom` only, `backbone="package.module:function"`, which is imported
            and called with `in_channels`, `out_channels` (= features) and the other overrides. That executes the named
            code.

    Raises:
        UsageError: unknown preset, or an argument that its backbone doesn't take.
    """
    chosen = _preset(preset, overrides)
    backbone = build_backbone(preset, in_channels=in_channels, **overrides)
    return SegmentationNetwork(
        backbone,
        features=chosen.features,
        out_channels=out_channels,
        auxiliary_head=auxiliary_head,
        divisor=divisors(preset, **overrides),
        activated=chosen.activated,
        negative_slope=chosen.negative_slope,
    )


def build_backbone(preset: str, *, in_channels: int, **overrides: Any) -> nn.Module:
    """The backbone of `build`, without heads; a 2D one goes through volumes slice by slice.

    Raises:
        UsageError: as `build`.
    """
    chosen = _preset(preset, overrides)
    arguments = {**chosen.arguments, **{key: value for key, value in overrides.items() if key not in _OWN_FIELDS}}
    try:
        backbone = _factory(chosen)(in_channels=in_channels, out_channels=chosen.features, **arguments)
        return Slicewise(backbone) if arguments.get("spatial_dims") == IN_PLANE else backbone
    except (TypeError, ValueError, KeyError) as error:
        raise UsageError(
            f"The network `{preset}` can't be built: {error}.",
            got=", ".join(f"{key}={value}" for key, value in overrides.items()) or None,
            next_step="correct the `network` settings",
        ) from error


def divisors(preset: str, **overrides: Any) -> tuple[int, int, int]:
    """What each side of a patch must be a multiple of; a 2D backbone takes any number of slices.

    Raises:
        UsageError: unknown preset.
    """
    own = divisor(preset, **overrides)
    return own, own, 1 if overrides.get("spatial_dims") == IN_PLANE else own


def divisor(preset: str, **overrides: Any) -> int:
    """The number that each side of a patch must be a multiple of, for this preset and these overrides.

    Raises:
        UsageError: unknown preset.
    """
    chosen = _preset(preset, overrides)
    if "divisor" not in overrides and "strides" in overrides and preset != "nnunet":
        return math.prod(
            max(stride) if isinstance(stride, list | tuple) else int(stride) for stride in overrides["strides"]
        )
    return chosen.divisor


def _preset(name: str, overrides: Mapping[str, Any]) -> Preset:
    if name not in PRESETS:
        raise UsageError("The preset is unknown.", got=name, expected="one of " + ", ".join(PRESETS))
    chosen = PRESETS[name]
    if "backbone" in overrides and name != "custom":
        raise UsageError("Only the preset `custom` takes a backbone.", got=name, next_step="use --preset custom")
    if name == "custom" and ":" not in str(overrides.get("backbone", "")):
        raise UsageError(
            "The preset `custom` needs a backbone.", expected='--set network.backbone="package.module:function"'
        )
    own = {key: overrides[key] for key in _OWN_FIELDS if key in overrides}
    return Preset(**{**vars(chosen), **own})


def _factory(preset: Preset) -> Callable[..., nn.Module]:
    missing = [package for package in preset.requires if find_spec(package) is None]
    if missing:
        raise UsageError(
            "The preset needs a package.",
            got=f"{', '.join(missing)} not installed",
            next_step=f"pip install {' '.join(missing)}",
        )
    module, _, name = preset.backbone.rpartition(":")
    try:
        found: Callable[..., nn.Module] = getattr(import_module(module or "monai.networks.nets"), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            "The backbone can't be imported.", got=preset.backbone, next_step="install it or correct its path"
        ) from error
    return found


def _head(features: int, out_channels: int) -> nn.Conv3d:
    head = nn.Conv3d(features, out_channels, kernel_size=1)
    bias = head.bias
    if bias is not None:  # always: it is only None with bias=False
        torch.nn.init.constant_(bias, math.log(PRIOR / (1.0 - PRIOR)))
    return head
