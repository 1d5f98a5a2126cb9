"""nnU-Net's U-Nets (arXiv 1904.08128, 2404.09556) as a backbone: plain or residual encoder, plain decoder.

Modules carry the names that nnU-Net's own networks have, so that their weights fit. What was trained on arrays in
another order of axes is turned inside: outside, arrays are (x, y, z), RAS+, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Triple = Sequence[int]
EPS, SLOPE = 1e-5, 0.01
"""Of instance normalisation and leaky ReLU, as nnU-Net sets them."""


class NnunetBackbone(nn.Module):
    """Image to features at full resolution, activated.

    Args:
        in_channels: of the image.
        out_channels: of the features; those of the first stage.
        kind: of the encoder: "plain" stacks of convolutions, or "residual" blocks (ResNet-D).
        stage_features, kernels, strides: of each stage, the finest first.
        depths: convolutions (plain) or blocks (residual) of each stage.
        decoder_depths: convolutions of each stage of the decoder, the coarsest first.
        bias: of convolutions.
        axes: axis k of the array that the network was trained on is our axis `axes[k]`.
        flips: our axes that ran the other way in it.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 32,
        *,
        kind: Literal["plain", "residual"] = "plain",
        stage_features: Sequence[int] = (32, 64, 128, 256, 320),
        kernels: Sequence[Triple] = ((3, 3, 3),) * 5,
        strides: Sequence[Triple] = ((1, 1, 1), *((2, 2, 2),) * 4),
        depths: Sequence[int] = (2, 2, 2, 2, 2),
        decoder_depths: Sequence[int] = (2, 2, 2, 2),
        bias: bool = True,
        axes: Triple = (0, 1, 2),
        flips: Sequence[int] = (),
    ) -> None:
        super().__init__()
        stages = len(stage_features)
        if not len(kernels) == len(strides) == len(depths) == len(decoder_depths) + 1 == stages:
            raise ValueError("kernels, strides, depths and decoder_depths + 1 must be as many as stage_features")
        if out_channels != stage_features[0]:
            raise ValueError(f"features must be those of the first stage, {stage_features[0]}")
        if sorted(axes) != [0, 1, 2] or not set(flips) <= {0, 1, 2}:
            raise ValueError("axes must be an order of 0, 1, 2, and flips some of them")
        self.axes, self.flips = tuple(axes), tuple(sorted(flips))
        encoder = _ResidualEncoder if kind == "residual" else _PlainEncoder
        self.encoder = encoder(in_channels, stage_features, kernels, strides, depths, bias)
        self.decoder = _Decoder(stage_features, kernels, strides, decoder_depths, bias)

    def forward(self, image: Float[Tensor, "B C X Y Z"]) -> Float[Tensor, "B F X Y Z"]:
        """Features."""
        flips = [axis + 2 for axis in self.flips]
        order = [0, 1, *(axis + 2 for axis in self.axes)]
        back = [0, 1, *(self.axes.index(axis) + 2 for axis in range(3))]
        turned = (image.flip(flips) if flips else image).permute(order).contiguous()
        features: Tensor = self.decoder(self.encoder(turned)).permute(back)
        return features.flip(flips) if flips else features


class _Conv(nn.Module):
    """Convolution, instance normalisation and, where wanted, leaky ReLU."""

    def __init__(
        self, inside: int, outside: int, kernel: Triple, stride: Triple, bias: bool, *, activated: bool = True
    ) -> None:
        super().__init__()
        x, y, z = ((side - 1) // 2 for side in kernel)
        self.conv = nn.Conv3d(inside, outside, _three(kernel), _three(stride), padding=(x, y, z), bias=bias)
        self.norm = nn.InstanceNorm3d(outside, eps=EPS, affine=True)
        self.activated = activated

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return nn.functional.leaky_relu(x, SLOPE, inplace=True) if self.activated else x


def _chain(
    unit: Callable[[int, int, Triple, Triple, bool], nn.Module],
    inside: int,
    outside: int,
    kernel: Triple,
    stride: Triple,
    depth: int,
    bias: bool,
) -> nn.Sequential:
    """`depth` units; the first takes `inside` channels and strides."""
    ones = (1, 1, 1)
    return nn.Sequential(
        *(
            unit(outside if number else inside, outside, kernel, ones if number else stride, bias)
            for number in range(depth)
        )
    )


class _Stack(nn.Module):
    def __init__(self, inside: int, outside: int, kernel: Triple, stride: Triple, depth: int, bias: bool) -> None:
        super().__init__()
        self.convs = _chain(_Conv, inside, outside, kernel, stride, depth, bias)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.convs(x)
        return found


class _Block(nn.Module):
    """ResNet-D's basic block: where it strides, the skip averages."""

    def __init__(self, inside: int, outside: int, kernel: Triple, stride: Triple, bias: bool) -> None:
        super().__init__()
        ones = (1, 1, 1)
        self.conv1 = _Conv(inside, outside, kernel, stride, bias)
        self.conv2 = _Conv(outside, outside, kernel, ones, bias, activated=False)
        skip: list[nn.Module] = []
        if any(step != 1 for step in stride):
            skip.append(nn.AvgPool3d(_three(stride), _three(stride)))
        if inside != outside:
            skip.append(_Conv(inside, outside, ones, ones, bias=False, activated=False))
        self.skip = nn.Sequential(*skip)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.leaky_relu(self.conv2(self.conv1(x)) + self.skip(x), SLOPE, inplace=True)


class _Blocks(nn.Module):
    def __init__(self, inside: int, outside: int, kernel: Triple, stride: Triple, depth: int, bias: bool) -> None:
        super().__init__()
        self.blocks = _chain(_Block, inside, outside, kernel, stride, depth, bias)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.blocks(x)
        return found


class _PlainEncoder(nn.Module):
    def __init__(
        self,
        inside: int,
        features: Sequence[int],
        kernels: Sequence[Triple],
        strides: Sequence[Triple],
        depths: Sequence[int],
        bias: bool,
    ) -> None:
        super().__init__()
        before = [inside, *features[:-1]]
        self.stages = nn.Sequential(
            *(nn.Sequential(_Stack(*one, bias)) for one in zip(before, features, kernels, strides, depths, strict=True))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class _ResidualEncoder(nn.Module):
    def __init__(
        self,
        inside: int,
        features: Sequence[int],
        kernels: Sequence[Triple],
        strides: Sequence[Triple],
        depths: Sequence[int],
        bias: bool,
    ) -> None:
        super().__init__()
        self.stem = _Stack(inside, features[0], kernels[0], (1, 1, 1), 1, bias)
        before = [features[0], *features[:-1]]
        self.stages = nn.Sequential(
            *(_Blocks(*one, bias) for one in zip(before, features, kernels, strides, depths, strict=True))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        x, found = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class _Decoder(nn.Module):
    def __init__(
        self,
        features: Sequence[int],
        kernels: Sequence[Triple],
        strides: Sequence[Triple],
        depths: Sequence[int],
        bias: bool,
    ) -> None:
        super().__init__()
        ups, stages = [], []
        for level, depth in zip(reversed(range(len(features) - 1)), depths, strict=True):
            stride = _three(strides[level + 1])
            ups.append(nn.ConvTranspose3d(features[level + 1], features[level], stride, stride, bias=bias))
            stages.append(_Stack(2 * features[level], features[level], kernels[level], (1, 1, 1), depth, bias))
        self.transpconvs, self.stages = nn.ModuleList(ups), nn.ModuleList(stages)

    def forward(self, found: list[Tensor]) -> Tensor:
        x = found[-1]
        for up, stage, skip in zip(self.transpconvs, self.stages, reversed(found[:-1]), strict=True):
            x = stage(torch.cat([up(x), skip], dim=1))
        return x


def _three(values: Triple) -> tuple[int, int, int]:
    x, y, z = values
    return x, y, z
