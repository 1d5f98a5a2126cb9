"""Surface metrics against a direct computation: all surfels in a list, all distances in a table."""

import itertools
import math

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist
from surface_distance import lookup_tables

from dictamen.evaluation.surface import hausdorff, surface_distances, surface_metrics

Spacing = tuple[float, float, float]


def surfels(mask: np.ndarray, spacing: Spacing) -> tuple[np.ndarray, np.ndarray]:
    """Positions in mm and areas of all surface elements, corner by corner."""
    table = lookup_tables.create_table_neighbour_code_to_surface_area(spacing)
    padded = np.pad(mask, 1)
    positions, areas = [], []
    for corner in itertools.product(*(range(n + 1) for n in mask.shape)):
        around = padded[tuple(slice(c, c + 2) for c in corner)]
        if around.any() and not around.all():
            code = int((around * lookup_tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL).sum())
            positions.append(np.array(corner) * spacing)
            areas.append(float(table[code]))
    return np.array(positions), np.array(areas)


def reference(
    truth: np.ndarray, prediction: np.ndarray, spacing: Spacing, tolerance: float
) -> tuple[float, float, float]:
    (a, area_a), (b, area_b) = surfels(truth, spacing), surfels(prediction, spacing)
    table = cdist(a, b)
    to_b, to_a = table.min(axis=1), table.min(axis=0)
    total = area_a.sum() + area_b.sum()
    nsd = (area_a[to_b <= tolerance].sum() + area_b[to_a <= tolerance].sum()) / total

    def percentile(distance: np.ndarray, area: np.ndarray) -> float:
        order = np.argsort(distance)
        share = np.cumsum(area[order]) / area.sum()
        return float(distance[order][np.argmax(share >= 0.95)])

    assd = (to_b @ area_a + to_a @ area_b) / total
    return float(nsd), max(percentile(to_b, area_a), percentile(to_a, area_b)), float(assd)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 3.0), (2.0, 1.0, 0.5)])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_all_pairs_of_surfels(spacing: Spacing, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, prediction = (ndimage.gaussian_filter(rng.random((12, 10, 9)), 1.5) > 0.5 for _ in range(2))
    result = surface_metrics(truth, prediction, spacing_mm=spacing, tolerance_mm=1.1)
    expected = reference(truth, prediction, spacing, 1.1)
    assert (result.nsd, result.hd95_mm, result.assd_mm) == pytest.approx(expected, abs=1e-9)


def test_a_shift_is_its_distance() -> None:
    truth = np.zeros((30, 12, 12), bool)
    truth[3:9, 3:9, 3:9] = True
    moved = np.roll(truth, 15, axis=0)
    distances = surface_distances(truth, moved, spacing_mm=(2.0, 1.0, 1.0))
    assert hausdorff(distances, 1.0) == 30.0


def test_equal_masks_and_masks_at_the_border() -> None:
    whole = np.ones((4, 5, 6), bool)
    result = surface_metrics(whole, whole, spacing_mm=(1.0, 2.0, 3.0))
    assert (result.nsd, result.hd95_mm, result.assd_mm) == (1.0, 0.0, 0.0)


def test_empty_masks() -> None:
    none, some = np.zeros((5, 5, 5), bool), np.zeros((5, 5, 5), bool)
    some[2, 2, 2] = True
    both = surface_metrics(none, none, spacing_mm=(1.0, 1.0, 1.0))
    assert all(math.isnan(value) for value in (both.nsd, both.hd95_mm, both.assd_mm))
    for pair in ((none, some), (some, none)):
        one = surface_metrics(*pair, spacing_mm=(1.0, 1.0, 1.0))
        assert one.nsd == 0 and math.isnan(one.hd95_mm) and math.isnan(one.assd_mm)


def test_volumes_far_apart_are_cropped_and_metrics_do_not_depend_on_the_frame() -> None:
    rng = np.random.default_rng(1)
    truth, prediction = (ndimage.gaussian_filter(rng.random((8, 8, 8)), 1) > 0.5 for _ in range(2))
    padded = [np.pad(mask, ((5, 9), (0, 3), (7, 1))) for mask in (truth, prediction)]
    spacing = (1.0, 1.5, 2.5)
    assert surface_metrics(*padded, spacing_mm=spacing) == surface_metrics(truth, prediction, spacing_mm=spacing)
