"""Grids: world coordinates survive every turn, resampling and way back."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dictamen.errors import UsageError
from dictamen.imaging.geometry import (
    back_to,
    canonical_axes,
    grid_difference,
    reorient,
    resample,
    same_grid,
    to_canonical,
)
from dictamen.imaging.volume import Volume

TURNS = [
    (order, flips) for order in itertools.permutations(range(3)) for flips in itertools.product((False, True), repeat=3)
]


def volume(seed: int = 0, shape: tuple[int, int, int] = (4, 5, 6), *, oblique: bool = False) -> Volume:
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0] if oblique else np.eye(3)
    affine = np.eye(4)
    affine[:3, :3] = turn * rng.uniform(0.5, 5, 3)
    affine[:3, 3] = rng.uniform(-200, 200, 3)
    return Volume(rng.permutation(int(np.prod(shape))).reshape(1, *shape).astype(np.int16), affine, "S1")


def by_place(v: Volume) -> dict[tuple[float, ...], int]:
    """World position (rounded to .001 mm) -> voxel: what a volume says, apart from how it is stored."""
    index = np.argwhere(np.ones(v.shape, dtype=bool))
    places = np.round(index @ v.affine[:3, :3].T + v.affine[:3, 3], 3) + 0.0
    return dict(zip(map(tuple, places.tolist()), v.array[0][tuple(index.T)].tolist(), strict=True))


@pytest.mark.parametrize(("order", "flips"), TURNS)
def test_all_48_orientations(order: tuple[int, ...], flips: tuple[bool, ...]) -> None:
    original = volume()
    turned = reorient(original, order=order, flips=flips)
    assert by_place(turned) == by_place(original)
    canonical = to_canonical(turned)
    assert np.array_equal(canonical.array, original.array)
    assert np.allclose(canonical.affine, original.affine, rtol=0, atol=1e-9)
    back = back_to(canonical, turned)
    assert np.array_equal(back.array, turned.array)
    assert np.array_equal(back.affine, turned.affine)


@given(seed=st.integers(0, 10**6), turn=st.sampled_from(TURNS))
@settings(max_examples=60, deadline=None)
def test_oblique_grids_are_turned_but_never_interpolated(seed: int, turn: tuple) -> None:
    original = reorient(volume(seed, oblique=True), order=turn[0], flips=turn[1])
    canonical = to_canonical(original)
    assert sorted(by_place(canonical).values()) == sorted(by_place(original).values())
    assert (np.diag(canonical.affine)[:3] > 0).all() or canonical_axes(canonical.affine)[1] == (False, False, False)
    assert canonical_axes(canonical.affine)[0] == (0, 1, 2)
    back = back_to(canonical, original)
    assert np.array_equal(back.array, original.array)
    assert np.array_equal(back.affine, original.affine)


@given(seed=st.integers(0, 10**6), spacing=st.tuples(*[st.floats(0.4, 6)] * 3))
@settings(max_examples=40, deadline=None)
def test_resampling_shows_the_same_place(seed: int, spacing: tuple[float, float, float]) -> None:
    """An image that is linear in world coordinates stays that linear function away from the border."""
    grid = volume(seed, (9, 10, 11), oblique=True)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    slope = np.array([0.3, -0.7, 0.5])
    image = Volume(((index @ grid.affine[:3, :3].T + grid.affine[:3, 3]) @ slope).astype(np.float32)[None], grid.affine)
    new = resample(image, spacing_mm=spacing)
    assert np.allclose(new.spacing_mm, spacing)
    places = np.stack(np.meshgrid(*map(np.arange, new.shape), indexing="ij"), axis=-1)
    expected = (places @ new.affine[:3, :3].T + new.affine[:3, 3]) @ slope
    old = (places @ (np.linalg.inv(image.affine) @ new.affine)[:3, :3].T) + (np.linalg.inv(image.affine) @ new.affine)[
        :3, 3
    ]
    factors = np.asarray(spacing) / image.spacing_mm
    inner = ((old >= 2 * factors) & (old <= np.array(image.shape) - 1 - 2 * factors)).all(axis=-1)
    assert np.allclose(new.array[0][inner], expected[inner], atol=0.02 * np.ptp(image.array) / 10)


def test_field_of_view_stays() -> None:
    image = volume(shape=(20, 30, 40))
    new = resample(image, spacing_mm=[2 * s for s in image.spacing_mm])
    assert new.shape == (10, 15, 20)
    corner = image.affine @ [-0.5, -0.5, -0.5, 1]
    assert np.allclose(new.affine @ [-0.5, -0.5, -0.5, 1], corner)


def test_constant_image_stays_constant_up_to_its_edge() -> None:
    image = Volume(np.full((1, 7, 8, 9), -700, dtype=np.int16), volume().affine)
    for spacing in (0.3, 1.0, 9.0):
        new = resample(image, spacing_mm=(spacing,) * 3)
        assert (new.array == -700).all() and new.array.dtype == np.int16


def test_outside_is_air_or_background() -> None:
    image = volume(shape=(6, 6, 6))
    away = image.affine.copy()
    away[:3, 3] += 1000
    like = Volume(np.zeros((1, 3, 3, 3)), away)
    assert (resample(image, like=like).array == image.array.min()).all()
    assert (resample(image, like=like, labels=True).array == 0).all()
    assert (resample(image, like=like, outside=-1024).array == -1024).all()


@given(seed=st.integers(0, 10**6), factor=st.floats(0.25, 1.0))
@settings(max_examples=20, deadline=None)
def test_labels_survive_a_finer_grid_and_the_way_back(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    grid = volume(seed, (6, 7, 8), oblique=True)
    labels = Volume(rng.integers(0, 5, (1, 6, 7, 8)).astype(np.uint8), grid.affine)
    fine = resample(
        to_canonical(labels), spacing_mm=[s * factor / 1.01 for s in to_canonical(labels).spacing_mm], labels=True
    )
    back = back_to(fine, labels)
    assert back.array.dtype == np.uint8
    assert np.mean(back.array == labels.array) > 0.97
    assert set(np.unique(fine.array)) <= set(np.unique(labels.array))


def test_strong_downsampling_does_not_alias() -> None:
    """A checkerboard at the voxel's frequency becomes its mean, not one of its two values."""
    board = (np.indices((24, 24, 24)).sum(axis=0) % 2 * 1000.0).astype(np.float32)
    new = resample(Volume(board[None], np.eye(4)), spacing_mm=(4, 4, 4))
    assert abs(float(new.array.mean()) - 500) < 20
    assert float(new.array.std()) < 60


def test_grid_difference_says_what() -> None:
    a = volume()
    assert same_grid(a, Volume(a.array.copy(), a.affine + 1e-4 * np.eye(4)))
    shifted = a.affine.copy()
    shifted[0, 3] += 1
    assert "1.00 mm apart" in (grid_difference(a, Volume(a.array, shifted)) or "")
    assert "shape" in (grid_difference(a, Volume(a.array[:, 1:], a.affine)) or "")
    assert "spacing" in (grid_difference(a, Volume(a.array, a.affine * [1.1, 1, 1, 1])) or "")
    flipped = reorient(a, order=(0, 1, 2), flips=(True, False, False))
    assert not same_grid(a, flipped)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"spacing_mm": (1, 1, 1), "like": volume()},
        {"spacing_mm": (1, 0, 1)},
        {"spacing_mm": (1, 1)},
        {"spacing_mm": (1, 1, float("nan"))},
    ],
)
def test_wrong_use(arguments: dict) -> None:
    with pytest.raises(UsageError):
        resample(volume(), **arguments)


@pytest.mark.parametrize("dtype", ["b1", "u1", "i2", "u2", "i4", "f2", "f4", "f8", "i8"])
@pytest.mark.parametrize("labels", [True, False])
def test_types_stay(dtype: str, labels: bool) -> None:
    image = Volume((volume(shape=(6, 6, 6)).array % 2).astype(dtype), np.eye(4))
    new = resample(image, spacing_mm=(0.7, 0.8, 1.3), labels=labels)
    assert new.array.dtype == (np.dtype("f4") if dtype == "f8" and not labels else np.dtype(dtype))
    assert new.array.min() >= 0 and new.array.max() <= 1


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_nearest_labels_against_a_slow_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    old, new = volume(seed, (5, 6, 7), oblique=True), volume(seed + 1, (6, 5, 4), oblique=True)
    new = Volume(new.array, new.affine + np.pad((old.affine - new.affine)[:3, 3:], ((0, 1), (3, 0))))
    labels = Volume(rng.integers(1, 9, (1, 5, 6, 7)).astype(np.uint8), old.affine)
    moved = resample(labels, like=new, labels=True).array[0]
    step = np.linalg.inv(old.affine) @ new.affine
    for index in np.ndindex(moved.shape):
        place = step[:3, :3] @ index + step[:3, 3]
        if np.abs(place % 1 - 0.5).min() < 1e-3:
            continue  # between two voxels, either is right
        near = np.rint(place).astype(int)
        inside = (near >= 0).all() and (near < labels.shape).all()
        assert moved[index] == (labels.array[0][tuple(near)] if inside else 0)
