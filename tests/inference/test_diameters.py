import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ball, grid, world

from dictamen.inference.diameters import diameters_mm, outline


def slow(mask: np.ndarray, affine: np.ndarray) -> tuple[float, float, float]:
    """All pairs of outline points of all slices."""
    best, across = 0.0, 0.0
    for k in range(mask.shape[2]):
        if not mask[:, :, k].any():
            continue
        points = outline(mask[:, :, k]) @ affine[:3, :2].T
        distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
        i, j = np.unravel_index(distances.argmax(), distances.shape)
        if distances[i, j] > best + 1e-9:
            along = (points[i] - points[j]) / distances[i, j]
            rest = points - np.outer(points @ along, along)
            rest -= rest[0]
            sideways = rest[np.linalg.norm(rest, axis=1).argmax()]
            sideways /= max(np.linalg.norm(sideways), 1e-12)
            best, across = distances[i, j], float(np.ptp(points @ sideways))
    filled = np.flatnonzero(mask.any(axis=(0, 1)))
    return best, across, (filled[-1] - filled[0] + 1) * float(np.linalg.norm(affine[:3, 2]))


@pytest.mark.parametrize("degrees", [0.0, 17.0])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 3.0), (1.5, 1.0, 2.0)])
@pytest.mark.parametrize("axes_mm", [(40.0, 25.0, 30.0), (16.0, 16.0, 24.0)])
def test_ellipsoids(axes_mm: tuple[float, ...], spacing: tuple[float, float, float], degrees: float) -> None:
    shape = tuple(int(60 / s) for s in spacing)
    affine = grid("RAS", spacing, degrees)
    at = world(shape, affine) - affine[:3, :3] @ ((np.array(shape) - 1) / 2) - affine[:3, 3]
    own = at @ (affine[:3, :3] / spacing)  # along the grid's own axes
    mask = ((own / (np.array(axes_mm) / 2)) ** 2).sum(axis=-1) <= 1
    found = diameters_mm(mask, affine)
    expected = (max(axes_mm[:2]), min(axes_mm[:2]), axes_mm[2])
    assert found == pytest.approx(expected, abs=max(spacing) + 0.2)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(*[st.floats(0.5, 4.0)] * 3))
def test_any_shape_equals_all_pairs(seed: int, spacing: tuple[float, float, float]) -> None:
    mask = np.random.default_rng(seed).random((6, 5, 4)) < 0.3
    mask[2, 2, 2] = True
    affine = grid("RAS", spacing)
    found, expected = diameters_mm(mask, affine), slow(mask, affine)
    assert found[0] == pytest.approx(expected[0])
    assert found[2] == pytest.approx(expected[2])


def test_width_across_a_turned_ellipse() -> None:
    affine = grid("RAS", (0.5, 0.5, 1.0))
    x, y = np.meshgrid(np.arange(120) * 0.5 - 30, np.arange(120) * 0.5 - 30, indexing="ij")
    u, v = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
    mask = ((u / 20) ** 2 + (v / 6) ** 2 <= 1)[:, :, None]
    assert diameters_mm(mask, affine)[:2] == pytest.approx((40, 12), abs=0.6)


def test_one_voxel_measures_its_own_size() -> None:
    assert diameters_mm(np.ones((1, 1, 1), dtype=bool), grid("RAS", (2, 2, 5))) == pytest.approx((2, 2, 5))


def test_the_longest_slice_counts_not_the_middle_one() -> None:
    mask = np.zeros((30, 5, 3), dtype=bool)
    mask[10:15, 2, 1] = True
    mask[2:28, 2, 2] = True
    assert diameters_mm(mask, grid("RAS", (1, 1, 1)))[0] == pytest.approx(26, abs=0.05)


def test_moving_a_ball_by_part_of_a_voxel_hardly_matters() -> None:
    affine = grid("RAS", (1, 1, 1))
    centre = affine[:3, :3] @ np.array([12.0, 12.0, 12.0]) + affine[:3, 3]
    found = [diameters_mm(ball((25, 25, 25), affine, centre + shift, 8.3), affine)[0] for shift in (0.0, 0.3, 0.5)]
    assert found == pytest.approx([16.6] * 3, abs=1.0)
