"""Number format and memory order of a network: what is fast on the device at hand."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import nn

Precision = Literal["auto", "bf16-mixed", "32-true"]
"""As a user asks for it."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Resolved = Literal["bf16-mixed", "32-true"]
FORWARD_FEATURES = ("amx_bf16", "avx512_bf16", "bf16")
"""Of a CPU, each of which computes in bfloat16."""


VOLUME_WEIGHT_AXES = 5
"""Of the weights of a 3D convolution: out, in, and three of space."""


def resolve(precision: Precision, device: torch.device | str, *, training: bool) -> Resolved:
    """`auto` is bfloat16 autocast where the device computes in it, else float32.

    A CPU without AVX512-BF16 or AMX emulates bfloat16: a step took 8 times as long as in float32 on a CPU with AVX2,
    and a third of the time on one with AMX. Dice changes by less than .001.

    Training on a CPU needs AMX for it: with AVX512-BF16 alone (AMD Zen 4 and 5), PyTorch 2.13's gradient of a
    convolution's weights reads memory that nobody has written where the grid is hardly larger than the kernel (2^3
    voxels, kernel 3), so that it differs from run to run and is sometimes not a number.

    Args:
        training: gradients are needed, not outputs alone.
    """
    if precision != "auto":
        return precision
    kind = torch.device(device).type
    if kind == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif kind == "cpu":
        able = torch.cpu.get_capabilities()
        native = any(able.get(name, False) for name in (("amx_bf16",) if training else FORWARD_FEATURES))
    else:
        native = False
    return "bf16-mixed" if native else "32-true"


def memory_format(precision: Resolved) -> torch.memory_format:
    """channels_last_3d for bfloat16, whose kernels want it; contiguous for float32 (1.5 times faster with AVX2)."""
    return torch.channels_last_3d if precision == "bf16-mixed" else torch.contiguous_format


def arrange(network: nn.Module, precision: Resolved) -> None:
    """Put the weights of 3D convolutions in that order, in place; those of 2D ones have no such order."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == VOLUME_WEIGHT_AXES:
                parameter.data = parameter.data.contiguous(memory_format=memory_format(precision))
