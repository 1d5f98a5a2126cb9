import pytest
import torch
from torch import nn

from dictamen.models.precision import arrange, memory_format, resolve


@pytest.mark.parametrize("feature", ["amx_bf16", "avx512_bf16", "bf16"])
def test_bfloat16_where_the_cpu_computes_in_it(feature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {feature: True})
    assert resolve("auto", "cpu", training=False) == "bf16-mixed"
    assert resolve("auto", "cpu", training=True) == ("bf16-mixed" if feature == "amx_bf16" else "32-true")


def test_float32_where_bfloat16_is_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "amx_bf16": False})
    assert resolve("auto", torch.device("cpu"), training=False) == "32-true"
    assert resolve("auto", "mps", training=False) == "32-true"


def test_what_the_user_says_wins() -> None:
    assert resolve("bf16-mixed", "cpu", training=True) == "bf16-mixed"
    assert resolve("32-true", "cpu", training=True) == "32-true"


def test_weights_follow_the_number_format() -> None:
    network = nn.ModuleDict({"volume": nn.Conv3d(4, 4, 3), "slice": nn.Conv2d(4, 4, 3), "linear": nn.Linear(4, 4)})
    arrange(network, "bf16-mixed")
    assert network["volume"].weight.is_contiguous(memory_format=torch.channels_last_3d)
    arrange(network, "32-true")
    assert network["volume"].weight.is_contiguous()
    assert memory_format("32-true") is torch.contiguous_format
