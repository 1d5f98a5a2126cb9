"""Contrastive loss of scans and reports: each scan should be nearest to its own report, and the other way round."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dictamen.errors import UsageError
from dictamen.losses.regions import working_precision

TEMPERATURE = 0.07
"""At the start, as CLIP (arXiv 2103.00020)."""
TEMPERATURES = (0.001, 0.5)
"""Bounds of the learned temperature: sharper ones overflow half precision, softer ones tell nothing apart."""
TAG_TEMPERATURE = 0.1
"""Of the similarity of tags, for soft targets: a report that shares half of the tags gets 1 % of its double's share."""


def contrastive_loss(
    image: Float[Tensor, "N D"],
    text: Float[Tensor, "N D"],
    temperature: Float[Tensor, ""],
    targets: Float[Tensor, "N N"] | None = None,
) -> Float[Tensor, ""]:
    """Symmetric InfoNCE: cross-entropy of softmax(cosine / temperature) over reports and over scans, their mean.

      L = 1/2N sum_i [ -sum_j q_ij log softmax_j(c_ij) - sum_j q_ij log softmax_j(c_ji) ],  c = cosine / temperature

    Source: CLIP (arXiv 2103.00020); at the start, with embeddings that know nothing, about ln N.

    Args:
        image, text: embeddings of N pairs, of any length; half precision is computed in float32. In training with
            several processes, those of all of them.
        temperature: positive scalar.
        targets: q, rows sum to 1; None: the identity. See `soft_targets`.

    Raises:
        UsageError: fewer than two pairs: there is nothing to contrast.
    """
    if len(image) < 2 or image.shape != text.shape:
        raise UsageError(
            "A contrastive batch needs at least two pairs.",
            got=f"{tuple(image.shape)} and {tuple(text.shape)}",
            expected="two equal shapes, two rows or more",
            next_step="raise `batch`",
        )
    image, text = (functional.normalize(working_precision(one), dim=1) for one in (image, text))
    logits = image @ text.T / temperature
    if targets is None:
        own = torch.arange(len(logits), device=logits.device)
        return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2
    return (functional.cross_entropy(logits, targets) + functional.cross_entropy(logits.T, targets)) / 2


def soft_targets(
    target: Float[Tensor, "N K"], weight: Float[Tensor, "N K"], *, temperature: float = TAG_TEMPERATURE
) -> Float[Tensor, "N N"]:
    """Targets for `contrastive_loss` by which two reports that say the same are no false negatives of each other.

    Rows are the softmax of the cosine of tags / temperature; a tag that a report does not speak of counts as neither.

    Args:
        target: 1 present, 0 absent.
        weight: 0 where unknown.
    """
    said = torch.where(weight > 0, 2 * target - 1, 0.0) * weight
    said = functional.normalize(said, dim=1)
    similarity = said @ said.T
    similarity = similarity.fill_diagonal_(1.0)  # a report that says nothing is at least its own
    return (similarity / temperature).softmax(dim=1)


class ContrastiveLoss(nn.Module):
    """`contrastive_loss` with the learned temperature, kept within `TEMPERATURES`."""

    def __init__(self, *, temperature: float = TEMPERATURE) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor(temperature).log())

    @property
    def temperature(self) -> Float[Tensor, ""]:
        """The temperature now."""
        return self.log_temperature.exp().clamp(*TEMPERATURES)

    def forward(
        self, image: Float[Tensor, "N D"], text: Float[Tensor, "N D"], targets: Float[Tensor, "N N"] | None = None
    ) -> Float[Tensor, ""]:
        """The loss, a scalar."""
        return contrastive_loss(image, text, self.temperature, targets)
