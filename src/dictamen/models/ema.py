"""A running mean of a network's weights: smoother than the last step, used to validate, to teach and to save."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from dictamen.errors import UsageError

WARM_UP = 10
"""Offset of the warm-up: the n-th update uses at most (1 + n) / (10 + n), as TensorFlow's ExponentialMovingAverage, so
that the random first weights are forgotten within some tens of steps."""


class ExponentialMovingAverage(nn.Module):
    """Mean weights: mean <- d * mean + (1 - d) * weights, d = min(decay, (1 + n) / (10 + n)) at update n.

    It is a module itself: `state_dict()` holds the mean weights (`model.*`) *and* the number of updates, without which
    a resumed run would warm up again.

    Attributes:
        model: a copy of the network with the mean weights, in evaluation mode, without gradients; use it to predict.
        updates: int64 scalar, how often `update` was called.
    """

    updates: Tensor

    def __init__(self, model: nn.Module, *, decay: float = 0.99) -> None:
        super().__init__()
        if not 0.0 <= decay < 1.0:
            raise UsageError("`decay` must be in [0, 1).", got=decay)
        self.decay = decay
        self.model = deepcopy(model).eval().requires_grad_(False)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self._count: int | None = None  # a copy of `updates` outside the device, so that an update never waits for it

    def train(self, mode: bool = True) -> ExponentialMovingAverage:
        """Stay in evaluation mode whatever the caller asks: the mean never trains."""
        return super().train(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the mean towards the weights of `model`, which may be wrapped by Fabric."""
        count = int(self.updates) if self._count is None else self._count
        decay = min(self.decay, (1 + count) / (WARM_UP + count))
        source = _plain(model)
        pairs = list(zip(self.model.parameters(), source.parameters(), strict=True))
        torch._foreach_lerp_([mean for mean, _ in pairs], [now.detach() for _, now in pairs], 1.0 - decay)
        for mean, now in zip(self.model.buffers(), source.buffers(), strict=True):
            mean.copy_(now)
        self.updates += 1
        self._count = count + 1

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As of any module; the warm-up goes on from the loaded number of updates."""
        self._count = None
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    @contextmanager
    def swap(self, model: nn.Module) -> Iterator[nn.Module]:
        """Within the block `model` has the mean weights; afterwards its own again, even after an error."""
        own = {name: value.detach().clone() for name, value in _plain(model).state_dict().items()}
        _plain(model).load_state_dict(self.model.state_dict())
        try:
            yield model
        finally:
            _plain(model).load_state_dict(own)


def _plain(model: nn.Module) -> nn.Module:
    """The network inside the wrapper of Lightning Fabric or of distributed training, if there is one."""
    inner = getattr(model, "module", None)
    return _plain(inner) if isinstance(inner, nn.Module) else model
