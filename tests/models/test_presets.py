import math
import subprocess
import sys

import pytest
import torch
from torch import nn

from dictamen.errors import UsageError
from dictamen.models import presets
from dictamen.models.presets import PRESETS, PRIOR, build, divisor

ON_A_GPU = {"dynunet": {"filters": (4, 4, 8, 8, 8)}, "segresnet": {"init_filters": 8, "blocks_down": (1, 1, 1, 1)}}
"""Overrides that make the large presets small enough for a test."""


def own_backbone(*, in_channels: int, out_channels: int, kernel: int = 1) -> nn.Module:
    return nn.Conv3d(in_channels, out_channels, kernel, padding=kernel // 2)


@pytest.mark.parametrize("preset", ["unet", "unet_tiny", "dynunet", "segresnet"])
@pytest.mark.parametrize("auxiliary_head", [True, False])
def test_every_preset_gives_logits_at_full_resolution(preset: str, auxiliary_head: bool) -> None:
    network = build(preset, in_channels=1, out_channels=3, auxiliary_head=auxiliary_head, **ON_A_GPU.get(preset, {}))
    step = divisor(preset)
    output = network(torch.zeros(2, 1, 2 * step, 2 * step, 3 * step))
    assert output.logits.shape == (2, 3, 2 * step, 2 * step, 3 * step)
    assert (output.auxiliary is not None) == auxiliary_head
    if output.auxiliary is not None:
        assert output.auxiliary.shape == output.logits.shape


def test_swinunetr_says_which_package_it_needs_or_works() -> None:
    pytest.importorskip("monai.networks.nets")
    try:
        import einops  # noqa: F401
    except ImportError:
        with pytest.raises(UsageError, match="einops"):
            build("swinunetr", in_channels=1, out_channels=1)
        return
    network = build("swinunetr", in_channels=1, out_channels=1, feature_size=12, features=12)
    assert network(torch.zeros(1, 1, 64, 32, 32)).logits.shape == (1, 1, 64, 32, 32)


def test_the_heads_share_features_but_not_weights() -> None:
    network = build("unet_tiny", in_channels=1, out_channels=1, auxiliary_head=True)
    assert network.auxiliary_head is not None
    assert not torch.equal(network.head.weight, network.auxiliary_head.weight)
    network(torch.randn(1, 1, 8, 8, 8)).auxiliary.sum().backward()
    assert network.head.weight.grad is None
    assert all(p.grad is not None for p in network.backbone.parameters())


def test_probabilities_begin_near_the_prior() -> None:
    torch.manual_seed(0)
    network = build("unet_tiny", in_channels=1, out_channels=2)
    mean = network(torch.randn(1, 1, 16, 16, 16)).logits.sigmoid().mean().item()
    assert PRIOR / 3 < mean < PRIOR * 3
    assert network.head.bias[0].item() == pytest.approx(math.log(PRIOR / (1 - PRIOR)))


def test_unknown_preset_lists_the_choices() -> None:
    with pytest.raises(UsageError, match="unet") as caught:
        build("unett", in_channels=1, out_channels=1)
    assert all(name in str(caught.value) for name in PRESETS)


def test_unknown_argument_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="depthh"):
        build("unet_tiny", in_channels=1, out_channels=1, depthh=3)


def test_patch_that_does_not_fit_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="multiples of 4"):
        build("unet_tiny", in_channels=1, out_channels=1)(torch.zeros(1, 1, 8, 8, 9))


def test_divisor_follows_overridden_strides() -> None:
    assert divisor("unet") == 8
    assert divisor("unet", channels=(8, 16), strides=(2,)) == 2
    assert divisor("dynunet", strides=[1, 2, [2, 2, 1]]) == 4


def test_own_backbone_only_through_the_custom_preset() -> None:
    path = f"{__name__}:own_backbone"
    network = build("custom", in_channels=1, out_channels=2, backbone=path, kernel=3, features=5, divisor=2)
    assert isinstance(network.backbone, nn.Conv3d)
    assert network(torch.zeros(1, 1, 4, 4, 4)).logits.shape == (1, 2, 4, 4, 4)
    with pytest.raises(UsageError, match="custom"):
        build("unet", in_channels=1, out_channels=2, backbone=path)
    with pytest.raises(UsageError, match="needs a backbone"):
        build("custom", in_channels=1, out_channels=2)
    with pytest.raises(UsageError, match="can't be imported"):
        build("custom", in_channels=1, out_channels=2, backbone="no_such_package:build")


def test_monai_and_torchvision_are_not_imported_with_the_module() -> None:
    code = "import sys, dictamen.models.presets; print(sorted({'monai', 'torchvision'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_each_preset_says_what_it_is_for() -> None:
    assert all(preset.why for preset in presets.PRESETS.values())
