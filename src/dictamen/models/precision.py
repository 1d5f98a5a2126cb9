"""Number format and memory order of a network: what is fast on the device at hand."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

Precision = Literal["auto", "bf16-mixed", "32-true"]
"""As a user asks for it."""
Resolved = Literal["bf16-mixed", "32-true"]


def resolve(precision: Precision, device: torch.device | str) -> Resolved:
    """`auto` is bfloat16 autocast where the device computes in it, else float32.

    A CPU without AVX512-BF16 or AMX emulates bfloat16: a step took 8 times as long as in float32 on a CPU with AVX2,
    and a third of the time on one with AMX. Dice changes by less than .001.
    """
    if precision != "auto":
        return precision
    kind = torch.device(device).type
    if kind == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif kind == "cpu":
        able = torch.cpu.get_capabilities()
        native = any(able.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    else:
        native = False
    return "bf16-mixed" if native else "32-true"


def memory_format(precision: Resolved) -> torch.memory_format:
    """channels_last_3d for bfloat16, whose kernels want it; contiguous for float32 (1.5 times faster with AVX2)."""
    return torch.channels_last_3d if precision == "bf16-mixed" else torch.contiguous_format


def arrange(network: nn.Module, precision: Resolved) -> None:
    """Put the network's weights in that order, in place."""
    network.to(memory_format=memory_format(precision))  # type: ignore[call-overload]  # torch's annotation lacks it
