import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_models import Bright, random_network
from torch import Tensor, nn

from dictamen.errors import InputError, UsageError
from dictamen.inference import slabs
from dictamen.inference.sides import mirror_axes, mirror_partners, mirrored_name
from dictamen.inference.sliding import _Network, choose_device, predict_probabilities, slide
from dictamen.inference.windows import Axis
from dictamen.models.presets import SegmentationNetwork, SegmentationOutput, build


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


@pytest.mark.parametrize("mirror", [(), (0,), (1,), (0, 1), (2,)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mirroring_averages_over_the_axes_asked_for(axis: int, mirror: tuple[int, ...]) -> None:
    found = predict_probabilities(Ramp(axis), image(8, 8, 8), patch_size=(8, 8, 8), precision="32-true", mirror=mirror)
    profile = np.moveaxis(found[0], axis, 0)[:, 0, 0]
    assert np.allclose(profile, profile[::-1], atol=1e-3) == (axis in mirror)


class TwoSides(nn.Module):
    """Finds what is bright: at small x (the left side) it is label 0, at large x label 1."""

    def forward(self, window: Tensor) -> SegmentationOutput:
        right = (torch.arange(window.shape[2]) >= window.shape[2] / 2).float().view(-1, 1, 1)
        return SegmentationOutput(torch.cat([window * (1 - right), window * right], dim=1), None)


def test_mirroring_exchanges_labels_of_either_side() -> None:
    array = image(8, 8, 8)
    options = {"patch_size": (8, 8, 8), "precision": "32-true"}
    plain = predict_probabilities(TwoSides(), array, **options)
    right = predict_probabilities(TwoSides(), array, **options, mirror=(0,), partners=(1, 0))
    wrong = predict_probabilities(TwoSides(), array, **options, mirror=(0,))
    assert np.allclose(plain, right, atol=1e-3)
    assert not np.allclose(plain, wrong, atol=1e-1)


def pointwise(labels: int, features: int = 4) -> SegmentationNetwork:
    """A network that looks at one voxel, with the head that all have; its activation normalises nothing."""
    torch.manual_seed(5)
    network = SegmentationNetwork(
        nn.Conv3d(1, features, 1), features=features, out_channels=labels, auxiliary_head=False
    )
    network.activate = nn.Sequential(nn.LeakyReLU(0.1))
    return network.eval()


@pytest.mark.parametrize("labels", [2, 4, 25])
@pytest.mark.parametrize("shape", [(70, 33, 19), (5, 40, 16), (16, 16, 61), (3, 3, 3)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.7])
@pytest.mark.parametrize("small", [slabs.SMALL, 0])
def test_exact_to_a_hundred_thousandth(
    labels: int, shape: tuple[int, int, int], overlap: float, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slabs, "SMALL", small)
    network, array = pointwise(labels), image(*shape)
    with torch.no_grad():
        expected = network(torch.from_numpy(array)[None, None]).logits[0].numpy()
    found = np.full_like(expected, np.nan)
    for tile in slide(network, array, patch_size=(16, 16, 16), precision="32-true", overlap=overlap):
        assert np.isnan(found[(slice(None), *tile.place)]).all()
        found[(slice(None), *tile.place)] = tile.logits.numpy()
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize(("shape", "axis"), [((200, 200, 300), 0), ((400, 400, 600), 2), ((600, 400, 400), 0)])
def test_sums_are_kept_of_half_a_window_across_the_longest_axis(shape: tuple[int, int, int], axis: int) -> None:
    along = [Axis.of(size, 64, 0.5) for size in shape]
    sums = slabs.Slabs(along)
    sums.begin(0, 0)
    sums.add(0, torch.ones(1, 64, 64, 64))
    assert sums._buffer is not None
    assert sums.axes[0] == axis
    assert sums._buffer.shape[1 + axis] <= 64 - min(end - begin for begin, end in map(along[axis].finished, range(3)))
    assert sums._buffer.numel() < 64 * shape[0] * shape[1] * shape[2] / shape[axis]


def test_the_head_of_blended_features_is_the_blend_of_logits() -> None:
    torch.manual_seed(1)
    network = build("unet_tiny", in_channels=1, out_channels=12)
    array = image(24, 20, 40)
    options = {"patch_size": (16, 16, 16), "precision": "32-true", "mirror": (0, 1), "partners": (1, 0, *range(2, 12))}
    features = predict_probabilities(network, array, **options)

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, window: Tensor) -> SegmentationOutput:
            return self.network(window)  # type: ignore[no-any-return]

    assert np.abs(features - predict_probabilities(Whole(), array, **options)).max() < 1e-3


@pytest.mark.parametrize(("labels", "blended"), [(2, 2), (4, 4), (25, 4), (300, 4)])
def test_the_memory_does_not_grow_with_the_labels(labels: int, blended: int) -> None:
    network = _Network(pointwise(labels), torch.device("cpu"), "32-true")
    assert len(network.channels(torch.zeros(1, 1, 8, 8, 8))) == blended


def test_windows_of_air_are_computed_once_and_give_the_same() -> None:
    array = np.full((16, 16, 70), -1.0, dtype=np.float32)
    array[4:9, 4:9, 20:24] = 0.5
    network = random_network()
    calls: list[int] = []
    network.register_forward_pre_hook(lambda *_: calls.append(1))
    found = predict_probabilities(network, array, patch_size=(16, 16, 16), precision="32-true")
    assert len(calls) < 8 == len(Axis.of(70, 16, 0.5).starts)
    almost = array.copy()
    almost[0, 0, ::8] = np.nextafter(np.float32(-1), np.float32(0))
    assert (
        np.abs(found - predict_probabilities(network, almost, patch_size=(16, 16, 16), precision="32-true")).max()
        < 2e-3
    )


@given(size=st.integers(1, 300), window=st.integers(1, 64), overlap=st.floats(0, 0.9))
def test_windows_cover_an_axis_with_the_overlap_asked_for(size: int, window: int, overlap: float) -> None:
    window = min(size, window)
    axis = Axis.of(size, window, overlap)
    steps = np.diff(axis.starts)
    assert axis.starts[0] == 0 and axis.starts[-1] == size - window
    assert (steps <= max(1, window * (1 - overlap)) + 1).all() and (steps > 0).all()
    assert (axis.total > 0).all()
    ends = [axis.finished(number) for number in range(len(axis.starts))]
    assert [first for first, _ in ends] == [0, *(end for _, end in ends[:-1])] and ends[-1][1] == size


def test_labels_that_change_sides() -> None:
    names = ("kidney_left", "liver", "kidney_right", "right lung", "LEFT lung", "leftover")
    assert [mirrored_name(name) for name in names[:2]] == ["kidney_right", "liver"]
    assert mirror_partners(("kidney_left", "liver", "kidney_right", "leftover")) == (2, 1, 0, 3)
    assert mirror_partners(("kidney_left", "liver")) is None
    assert (mirror_axes(("kidney_left",)), mirror_axes(("liver",))) == ((1,), (0, 1))


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
