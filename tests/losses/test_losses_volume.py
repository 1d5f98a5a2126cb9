"""Volume loss: the published table, the interval form, empty cases, gradients."""

import math

import pytest
import torch

from dictamen.errors import UsageError
from dictamen.losses.volume import SMALL_MM3, VolumeLoss, soft_volume, volume_loss

RATIOS = [0, 0.25, 0.5, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 4, 10]
PUBLISHED = {
    50: [0.0909, 0.0667, 0.0435, 0.0169, 0.0084, 0, 0.0083, 0.0204, 0.0400, 0.0769, 0.2000, 0.4286],
    200: [0.2630, 0.1773, 0.1023, 0.0238, 0, 0, 0, 0.0299, 0.0773, 0.1591, 0.3773, 0.6439],
    1000: [0.6250, 0.3869, 0.2083, 0.0453, 0, 0, 0, 0.0492, 0.1250, 0.2440, 0.5038, 0.7409],
    20000: [0.9237, 0.5363, 0.2759, 0.0576, 0, 0, 0, 0.0579, 0.1461, 0.2786, 0.5451, 0.7644],
}
"""Loss by reported volume (mm3) and RATIOS of the predicted one."""


def one_region(volume_mm3: float, lo: float, hi: float, mode: str) -> float:
    """The loss of a region of 1000 voxels whose soft volume is `volume_mm3`."""
    voxel = 400.0  # so that 1000 voxels hold the largest volume of the table
    p = torch.full((1, 1, 10, 10, 10), volume_mm3 / 1000 / voxel, dtype=torch.float64).clamp(min=1e-12)
    loss = VolumeLoss(mode=mode)(  # type: ignore[arg-type]
        torch.logit(p), torch.ones(p.shape, dtype=torch.uint8), torch.tensor([[[lo]]]), torch.tensor([[[hi]]]),
        torch.ones(1, 1, 1), torch.tensor([[4.0, 10.0, 10.0]]),
    )  # fmt: skip
    return loss.item()


@pytest.mark.parametrize("reported", PUBLISHED)
def test_published_table(reported: int) -> None:
    got = [one_region(ratio * reported, reported, reported, "published") for ratio in RATIOS]
    assert got == pytest.approx(PUBLISHED[reported], abs=1e-4)


def test_published_takes_the_middle_of_an_interval_and_the_bound_of_an_open_one() -> None:
    assert one_region(500, 100, 300, "published") == pytest.approx(one_region(500, 200, 200, "published"))
    assert one_region(500, 200, math.inf, "published") == pytest.approx(one_region(500, 200, 200, "published"))


@pytest.mark.parametrize("inside", [300, 450, 800])
def test_interval_is_zero_inside(inside: float) -> None:
    assert one_region(inside, 300, 800, "interval") == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("factor", [1.5, 4.0, 20.0])
def test_interval_is_symmetric_in_log_volume(factor: float) -> None:
    under = (
        one_region((300 + SMALL_MM3) / factor - SMALL_MM3, 300, 800, "interval") if 314 / factor > SMALL_MM3 else None
    )
    over = one_region((800 + SMALL_MM3) * factor - SMALL_MM3, 300, 800, "interval")
    assert over == pytest.approx(math.log(factor), rel=1e-5)
    assert under is None or under == pytest.approx(over, rel=1e-5)


def test_interval_without_upper_bound_only_asks_for_more() -> None:
    assert one_region(390_000, 300, math.inf, "interval") == 0
    assert one_region(0, 300, math.inf, "interval") == pytest.approx(math.log(314 / 14), rel=1e-4)


def random_case(dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    region = torch.randint(0, 4, (2, 2, 3, 4, 5), dtype=torch.uint8)
    region[1, 1] = 0
    return {
        "logits": torch.randn(region.shape, dtype=dtype, requires_grad=True),
        "region": region,
        "volume_lo": torch.rand(2, 2, 3) * 20,
        "volume_hi": 20 + torch.rand(2, 2, 3) * 20,
        "weight": torch.tensor([1.0, 0.5, 0.0]).expand(2, 2, 3).clone(),
        "spacing_mm": torch.tensor([[1.0, 2.0, 1.5], [0.5, 0.5, 3.0]]),
    }


def test_soft_volume_equals_a_loop() -> None:
    case = random_case()
    got = soft_volume(case["logits"], case["region"], case["spacing_mm"], rows=3)
    for b in range(2):
        for label in range(2):
            for k in range(3):
                inside = case["region"][b, label] == k + 1
                want = case["logits"][b, label].sigmoid()[inside].sum() * case["spacing_mm"][b].prod()
                assert got[b, label, k].item() == pytest.approx(want.item(), rel=1e-6)


def test_weights_absent_rows_padding_and_empty_regions() -> None:
    case = random_case()
    case["volume_hi"][0, 0, 0] = case["volume_lo"][0, 0, 0] = 0  # left to the absence loss
    volume = soft_volume(case["logits"], case["region"], case["spacing_mm"], rows=3)
    e = SMALL_MM3
    rows = [(0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1)]  # row 2 is padding, (1, 1) has no voxel
    want = sum(
        case["weight"][r].item()
        * (
            max(0, math.log((case["volume_lo"][r].item() + e) / (volume[r].item() + e)))
            + max(0, math.log((volume[r].item() + e) / (case["volume_hi"][r].item() + e)))
        )
        for r in rows
    )
    assert volume_loss(**case).item() == pytest.approx(want / len(rows), rel=1e-5)


def test_no_constraint_is_zero() -> None:
    case = random_case() | {"weight": torch.zeros(2, 2, 3)}
    loss = volume_loss(**case)
    loss.backward()
    assert loss.item() == 0
    assert case["logits"].grad is not None and not case["logits"].grad.any()


def test_255_regions_of_a_label() -> None:
    region = torch.arange(256, dtype=torch.uint8).view(1, 1, 4, 8, 8)
    volume = soft_volume(torch.zeros(1, 1, 4, 8, 8), region, torch.ones(1, 3), rows=255)
    assert torch.equal(volume, torch.full((1, 1, 255), 0.5))


@pytest.mark.parametrize("mode", ["interval", "published"])
def test_gradient(mode: str) -> None:
    case = random_case()
    logits = case.pop("logits")
    assert torch.autograd.gradcheck(lambda z: volume_loss(z, **case, mode=mode, sharpness=1.5), (logits,))  # type: ignore[arg-type]


@pytest.mark.parametrize("logit", [-50.0, 50.0])
def test_extreme_bf16_logits_have_finite_gradients(logit: float) -> None:
    case = random_case() | {"logits": torch.full((2, 2, 3, 4, 5), logit, dtype=torch.bfloat16, requires_grad=True)}
    case["volume_hi"][0, 0, 0] = math.inf
    volume_loss(**case).backward()
    assert case["logits"].grad is not None and case["logits"].grad.isfinite().all()


def test_pull_on_far_volumes_does_not_vanish() -> None:
    """A region of 64 mL at p = .5 that should hold .5 mL, and a 5 mm lesion in a region at p = 1e-4 (6 mm3)."""
    for logit, target, least in [(0.0, 500.0, 0.45), (math.log(1e-4), 65.0, 0.25)]:
        logits = torch.full((1, 1, 40, 40, 40), logit, requires_grad=True)
        bound = torch.tensor([[[target]]])
        volume_loss(
            logits, torch.ones(logits.shape, dtype=torch.uint8), bound, bound, torch.ones(1, 1, 1), torch.ones(1, 3)
        ).backward()
        assert logits.grad is not None and logits.grad.abs().sum() > least


def test_unknown_mode_is_an_error() -> None:
    with pytest.raises(UsageError, match="mode"):
        volume_loss(**random_case(), mode="exact")  # type: ignore[arg-type]
