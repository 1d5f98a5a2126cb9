import numpy as np
import pytest
import torch
from small_models import Bright, random_network
from torch import Tensor, nn

from dictamen.errors import InputError, UsageError
from dictamen.inference.sliding import choose_device, predict_probabilities
from dictamen.models.presets import SegmentationOutput


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_one_window_equals_the_network_itself() -> None:
    network, array = random_network(), image(16, 16, 16)
    network.eval()
    with torch.no_grad():
        expected = network(torch.from_numpy(array)[None, None]).logits.sigmoid()[0].numpy()
    found = predict_probabilities(network, array, patch_size=(16, 16, 16), precision="32-true")
    assert found.dtype == np.float16
    assert np.abs(found - expected).max() < 1e-3


@pytest.mark.parametrize("shape", [(40, 33, 19), (5, 40, 16), (3, 3, 3)])
def test_windows_of_a_local_network_join_without_seams(shape: tuple[int, int, int]) -> None:
    """A network that looks at one voxel must give the same in windows as at once, also where the volume is padded."""
    array = np.clip(image(*shape), -1, 1)
    with torch.no_grad():
        expected = Bright()(torch.from_numpy(array)[None, None]).logits.sigmoid()[0].numpy()
    found = predict_probabilities(Bright(), array, patch_size=(16, 16, 16), precision="32-true")
    assert found.shape == (2, *shape)
    assert np.abs(found - expected).max() < 1e-3


def test_channels_may_be_given() -> None:
    array = image(9, 9, 9)
    with_channel = predict_probabilities(Bright(), array[None], patch_size=(8, 8, 8))
    assert np.array_equal(with_channel, predict_probabilities(Bright(), array, patch_size=(8, 8, 8)))


def test_bf16_stays_close() -> None:
    network, array = random_network(), image(24, 24, 24)
    fast = predict_probabilities(network, array, patch_size=(16, 16, 16), precision="bf16-mixed")
    exact = predict_probabilities(network, array, patch_size=(16, 16, 16), precision="32-true")
    assert np.abs(fast.astype(float) - exact).mean() < 0.01


class Ramp(nn.Module):
    """Sees where along an axis of the window a voxel lies: not symmetric under mirroring of that axis."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, window: Tensor) -> SegmentationOutput:
        shape = [1] * 5
        shape[self.axis + 2] = -1
        size = window.shape[self.axis + 2]
        return SegmentationOutput(torch.linspace(-3, 3, size).view(shape) + 0 * window, None)


@pytest.mark.parametrize(("axis", "mirrored"), [(0, False), (1, True), (2, True)])
def test_mirroring_never_swaps_left_and_right(axis: int, mirrored: bool) -> None:
    found = predict_probabilities(Ramp(axis), image(8, 8, 8), patch_size=(8, 8, 8), precision="32-true", mirror=True)
    profile = np.moveaxis(found[0], axis, 0)[:, 0, 0]
    assert np.allclose(profile, profile[::-1], atol=1e-3) == mirrored


def test_the_mode_of_the_network_is_kept() -> None:
    network = random_network().train()
    predict_probabilities(network, image(8, 8, 8), patch_size=(8, 8, 8))
    assert network.training


@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 4), (1, 1, 4, 4, 4)])
def test_wrong_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="must be"):
        predict_probabilities(Bright(), np.zeros(shape), patch_size=(4, 4, 4))


def test_devices() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda")
    with pytest.raises(UsageError, match="unknown"):
        choose_device("toaster")
    with pytest.raises(UsageError, match="not there"):
        choose_device(f"cuda:{torch.cuda.device_count()}")
