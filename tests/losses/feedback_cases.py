"""Random feedback on random masks, for the tests of the refinement losses."""

import torch

from dictamen.losses.region_tables import FeedbackTable

SHAPE = (2, 1, 4, 5, 6)


def random_feedback(seed: int = 0, dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    """logits (with gradient), mask, region 0..3, edge, band."""
    torch.manual_seed(seed)
    return {
        "logits": torch.randn(SHAPE, dtype=dtype).requires_grad_(),
        "mask": (torch.rand(SHAPE) < 0.5).to(dtype),
        "region": torch.randint(0, 4, SHAPE, dtype=torch.uint8),
        "edge": torch.rand(SHAPE, dtype=dtype),
        "band": torch.rand(SHAPE) < 0.7,
        "inside": torch.rand(SHAPE, dtype=dtype),
    }


def random_table(seed: int = 1) -> FeedbackTable:
    """Three rows a study; the second of the first study is skipped."""
    torch.manual_seed(seed)
    target = 0.4 + 0.5 * torch.rand(2, 1, 3, dtype=torch.float64)
    weight = torch.ones(2, 1, 3, dtype=torch.float64)
    weight[0, 0, 1] = 0
    direction = torch.tensor([[[1, 0, 2]], [[4, 3, 1]]], dtype=torch.uint8)
    return FeedbackTable(target, target - 0.05, target + 0.05, direction, weight)
