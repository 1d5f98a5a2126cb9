"""The pairs of all processes in each of them, so that contrast sees the whole batch."""

from __future__ import annotations

from lightning_fabric import Fabric
from torch import Tensor


def gathered(fabric: Fabric, tensor: Tensor) -> Tensor:
    """`tensor` [n, ...] of every process, in the order of processes [N, ...]; gradients flow back to where they belong.

    Every process then computes the same loss of all pairs. A tensor's gradient is the sum over processes of theirs,
    N times too much, and the mean over processes of the weights' gradients takes that back: the step is that of one
    process with the whole batch.
    """
    if fabric.world_size == 1:
        return tensor
    found = fabric.all_gather(tensor, sync_grads=tensor.requires_grad)
    return found.flatten(0, 1)  # type: ignore[union-attr]  # of a tensor, a tensor
