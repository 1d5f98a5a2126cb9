"""Weights of a 2D encoder in a 3D network of the same design."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

POSITIONS = "position_embeddings"
"""Of MONAI's patch embedding: [1, N, hidden], the patches along the last axis being the fastest."""


def inflate(flat: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Tensors of a 3D network from those of a 2D one; what can't be inflated is given back as it is.

    A kernel, also that of a patch embedding, is repeated along z and divided by its length there, so that a volume
    which does not change along z gives the features of its slices (inside, away from its ends; I3D, arXiv 1705.07750).
    A position code is repeated along z. All else (norms, biases, linear layers) has the same shape.

    Args:
        flat: tensors of the 2D network by name.
        shapes: those of the 3D network, by the same names.
    """
    return {name: _inflated(name, value, shapes.get(name, tuple(value.shape))) for name, value in flat.items()}


def _inflated(name: str, value: Tensor, wanted: tuple[int, ...]) -> Tensor:
    if tuple(value.shape) == wanted:
        return value
    if value.ndim >= 4 and len(wanted) == value.ndim + 1 and tuple(value.shape) == wanted[:-1]:
        return value[..., None].expand(wanted) / wanted[-1]
    if name.endswith(POSITIONS) and value.ndim == len(wanted) == 3 and wanted[1] % value.shape[1] == 0:
        return value.repeat_interleave(wanted[1] // value.shape[1], dim=1)
    return value
