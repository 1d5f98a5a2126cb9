import pytest
import torch
from torch import nn

from dictamen.models.precision import arrange, memory_format, resolve


@pytest.mark.parametrize("feature", ["amx_bf16", "avx512_bf16", "bf16"])
def test_bfloat16_where_the_cpu_computes_in_it(feature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {feature: True})
    assert resolve("auto", "cpu") == "bf16-mixed"


def test_float32_where_bfloat16_is_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "amx_bf16": False})
    assert resolve("auto", torch.device("cpu")) == "32-true"
    assert resolve("auto", "mps") == "32-true"


def test_what_the_user_says_wins() -> None:
    assert resolve("bf16-mixed", "cpu") == "bf16-mixed"
    assert resolve("32-true", "cpu") == "32-true"


def test_weights_follow_the_number_format() -> None:
    network = nn.Conv3d(4, 4, 3)
    arrange(network, "bf16-mixed")
    assert network.weight.is_contiguous(memory_format=torch.channels_last_3d)
    arrange(network, "32-true")
    assert network.weight.is_contiguous()
    assert memory_format("32-true") is torch.contiguous_format
