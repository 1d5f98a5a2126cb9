"""Maps of many labels, and the part of the image's grid that a label needs."""

import numpy as np
import pytest
import torch
from small_models import grid

from dictamen.imaging.geometry import resample, to_canonical
from dictamen.imaging.volume import Volume
from dictamen.inference.native import NativeGrid
from dictamen.inference.probability_maps import NEXT_TO_NOTHING, ProbabilityMaps
from dictamen.inference.sliding import TILE, Tile

SHEARED = grid("RAS", (1.5, 1.5, 3)) @ np.array([[1, 0, 0, 0], [0, 1, 0.6, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
NATIVES = {
    "the same grid": ((40, 36, 30), grid("RAS", (2, 2, 2))),
    "finer": ((60, 50, 45), grid("RAS", (1.1, 1.2, 1.3))),
    "coarser, smoothed": ((20, 36, 12), grid("RAS", (4, 2, 5))),
    "oblique": ((50, 40, 30), grid("RAS", (1.5, 1.5, 3), degrees=15)),
    "sheared": ((50, 40, 20), SHEARED),
}


def maps_of(array: np.ndarray) -> ProbabilityMaps:
    """[L, X, Y, Z] in tiles."""
    maps = ProbabilityMaps(array.shape[1:])  # type: ignore[arg-type]
    for x in range(0, array.shape[1], TILE[0]):
        for y in range(0, array.shape[2], TILE[1]):
            for z in range(0, array.shape[3], 7):
                part = array[:, x : x + TILE[0], y : y + TILE[1], z : z + 7]
                maps.add(Tile((x, y, z), torch.from_numpy(part.astype(np.float32)).logit()))
    return maps


def blobs(shape: tuple[int, int, int]) -> np.ndarray:
    """A label in a corner, one in the middle, one nowhere."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    middle = np.array(shape) // 2
    return np.stack(
        [
            np.exp(-(np.linalg.norm(index - [1, 0, 2], axis=-1) ** 2) / 30),
            0.9 * np.exp(-(np.linalg.norm(index - middle, axis=-1) ** 2) / 40),
            np.full(shape, NEXT_TO_NOTHING / 4),
        ]
    )


def test_maps_hold_what_was_put_in() -> None:
    array = blobs((70, 40, 30))
    maps = maps_of(array)
    for channel in range(3):
        assert np.abs(maps[channel] - array[channel]).max() < 1e-3
    box = (slice(20, 55), slice(3, 40), slice(5, 20))
    assert np.array_equal(maps.inside(1, box), maps[1][box])
    assert maps.highest(1) == pytest.approx(0.9, abs=1e-3)
    assert (maps.highest(2), maps.box(2, 0.1)) == (0.0, None)
    found = maps.box(1, 0.5)
    assert found is not None
    outside = np.ones(maps.shape, dtype=bool)
    outside[found] = False
    assert maps[1][outside].max() < 0.5
    for axis, edge in enumerate(found):
        assert all(np.take(maps[1], place, axis=axis).max() >= 0.5 for place in (edge.start, edge.stop - 1))
    maps.remove(1, maps[1] >= 0.5)
    assert maps.highest(1) < 0.5


def test_labels_that_are_nowhere_take_no_memory() -> None:
    assert not maps_of(blobs((70, 40, 30)))._tiles.get(2)


@pytest.mark.parametrize("name", NATIVES)
def test_a_part_is_what_the_whole_would_be_there(name: str) -> None:
    shape, affine = NATIVES[name]
    native = to_canonical(Volume(np.zeros((1, *shape), dtype=np.int16), affine))
    model = resample(native, spacing_mm=(2, 2, 2))
    maps = maps_of(blobs(model.shape))
    seen = NativeGrid(native, model)
    for channel in (0, 1):
        whole = seen.whole(maps[channel]).copy()
        found = seen.part(maps, channel, 0.3)
        assert found is not None
        box, part = found
        assert part.shape != whole.shape
        assert np.array_equal(part >= 0.3, whole[box] >= 0.3)
        assert np.abs(part.astype(float) - whole[box])[whole[box] >= 0.3].max(initial=0) < 1e-3
        whole[box] = 0
        assert whole.max() < 0.3
    assert seen.part(maps, 2, 0.3) is None
