"""What a structure looks like, as one embedding: a backbone's features pooled under its mask."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class LookEncoder(nn.Module):
    """Embeds structures of a scan where the embeddings of their names are.

    Args:
        backbone: image [B, 1, X, Y, Z] -> features [B, channels, X, Y, Z].
        channels: of its features.
        dimension: of the embeddings.
    """

    def __init__(self, backbone: nn.Module, *, channels: int, dimension: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.project = nn.Linear(channels, dimension)

    def forward(
        self, image: Float[Tensor, "B 1 X Y Z"], labels: Int[Tensor, "B X Y Z"], structures: Int[Tensor, "S 2"]
    ) -> Float[Tensor, "S D"]:
        """Embeddings, not normalised, of S structures, each a patch of the batch and a value of its label map.

        A structure without a voxel gets the embedding of features that are zero.
        """
        features = self.backbone(image).float().movedim(1, -1).flatten(0, 3)
        values = int(torch.cat([labels.flatten(), structures[:, 1]]).max()) + 1
        patch = torch.arange(len(labels), device=labels.device).view(-1, 1, 1, 1)
        group = (patch * values + labels.long()).flatten()
        sums = features.new_zeros(len(labels) * values, features.shape[1]).index_add(0, group, features)
        voxels = group.bincount(minlength=len(sums)).clamp(min=1)
        means = sums / voxels[:, None]
        embedded: Tensor = self.project(means[structures[:, 0] * values + structures[:, 1]])
        return embedded
