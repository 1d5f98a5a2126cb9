"""All 48 orders of the axes of one volume give the same segmentation in millimetres."""

import itertools

import numpy as np
import pytest
from small_models import CARD, LESION_HU, ORGAN_HU, Bright, ball, grid

from dictamen.imaging.geometry import reorient
from dictamen.imaging.volume import Volume
from dictamen.inference.study import Settings, segment

ORDERS = [
    (order, flips) for order in itertools.permutations(range(3)) for flips in itertools.product((False, True), repeat=3)
]


def scan() -> Volume:
    shape, affine = (20, 18, 16), grid("RAS", (2.5, 2, 3), degrees=8)
    centre = affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3]
    image = np.full(shape, -100, dtype=np.int16)
    image[ball(shape, affine, centre, 16)] = ORGAN_HU
    image[ball(shape, affine, centre + np.array([5, 3, -2]), 7)] = LESION_HU
    return Volume(image[None], affine, "s")


def predicted(volume: Volume) -> tuple[set[tuple[float, ...]], object]:
    """Millimetres and label of each voxel found, and the lesions."""
    found = segment(Bright(), CARD, volume, Settings(device="cpu", precision="32-true"))
    labels = found.labels.array[0]
    index = np.argwhere(labels)
    place = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return {(*np.round(p, 3).tolist(), int(labels[tuple(i)])) for p, i in zip(place, index, strict=True)}, [
        lesion.row() for lesion in found.lesions
    ]


@pytest.fixture(scope="module")
def expected() -> tuple[set[tuple[float, ...]], object]:
    voxels, lesions = predicted(scan())
    assert {voxel[3] for voxel in voxels} == {1, 2}
    return voxels, lesions


def test_there_are_48() -> None:
    assert len(set(ORDERS)) == 48


@pytest.mark.parametrize("number", range(48))
def test_each_order_gives_the_same(number: int, expected: tuple[set[tuple[float, ...]], object]) -> None:
    order, flips = ORDERS[number]
    assert predicted(reorient(scan(), order=order, flips=flips)) == expected
