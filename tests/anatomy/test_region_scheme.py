"""Region schemes: they cover the band, they are the same wherever the structure lies, they say what is wrong."""

import itertools

import numpy as np
import pytest

from dictamen.anatomy.patch_regions import disagreement, nearest_part
from dictamen.anatomy.region_scheme import RegionScheme, band_around, part_names, region_map
from dictamen.anatomy.slab_regions import long_axis
from dictamen.errors import InputError, UsageError

SPACING = (2.0, 2.0, 3.0)
AFFINE = np.diag([*SPACING, 1.0])
SHAPE = (30, 28, 34)
COVERING = ("slab", "slab_sector", "surface_patch", "supervoxel", "parts")


def organ(shift: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
    x, y, z = np.meshgrid(*(np.arange(n) - n // 2 - s for n, s in zip(SHAPE, shift, strict=True)), indexing="ij")
    return (x / 5) ** 2 + (y / 4) ** 2 + (z / 9) ** 2 <= 1


def image() -> np.ndarray:
    return np.random.default_rng(0).normal(40, 30, SHAPE).astype(np.int16)


def made(name: str, mask: np.ndarray, **fields: int) -> np.ndarray:
    scheme = RegionScheme(name, **fields)  # type: ignore[arg-type]
    return region_map(scheme, mask, AFFINE, structure="kidney_left", image=image())


@pytest.mark.parametrize("name", COVERING)
def test_regions_cover_the_band_and_nothing_else(name: str) -> None:
    index = made(name, organ())
    assert index.dtype == np.uint8
    assert np.array_equal(index > 0, band_around(organ(), SPACING, 6.0))
    count = {"slab": 6, "slab_sector": 24, "surface_patch": 6, "supervoxel": 6, "parts": 3}[name]
    assert set(np.unique(index)) == set(range(count + 1))


@pytest.mark.parametrize("name", [name for name in COVERING if name != "supervoxel"])
def test_a_structure_elsewhere_is_cut_alike(name: str) -> None:
    moved = np.roll(made(name, organ()), (2, -1, 3), axis=(0, 1, 2))
    assert np.array_equal(made(name, organ((2, -1, 3))), moved)


@pytest.mark.parametrize("name", COVERING)
def test_an_empty_mask_has_no_region(name: str) -> None:
    assert not made(name, np.zeros(SHAPE, dtype=bool)).any()


def test_slabs_have_equal_length_and_start_at_the_feet() -> None:
    index = made("slab", organ(), count=3)
    heights = [np.argwhere((index == k) & organ())[:, 2] for k in (1, 2, 3)]
    assert all(a.max() < b.min() for a, b in itertools.pairwise(heights))
    assert max(np.ptp(h) for h in heights) - min(np.ptp(h) for h in heights) <= 1
    # what lies beyond the ends belongs to the outer slabs, so that a missing cap has a region
    beyond = np.argwhere(index == 3)[:, 2].max()
    assert beyond > heights[2].max()


def test_long_axis_points_to_positive_patient_axes() -> None:
    _, axis = long_axis(organ(), SPACING)
    assert axis @ (0, 0, 1) > 0.99
    _, flipped = long_axis(organ()[:, :, ::-1], SPACING)
    assert flipped @ (0, 0, 1) > 0.99
    lying = organ().transpose(2, 0, 1)
    assert long_axis(lying, (3.0, 2.0, 2.0))[1] @ (1, 0, 0) > 0.99


def test_sectors_split_a_slab_by_angle() -> None:
    index = made("slab_sector", organ(), count=1, sectors=4)
    centres = [
        np.argwhere((index == k) & organ()).mean(axis=0)[:2] - np.argwhere(organ()).mean(axis=0)[:2]
        for k in range(1, 5)
    ]
    angles = [np.arctan2(c[1], c[0]) for c in centres]
    turns = [(b - a) % (2 * np.pi) for a, b in zip(angles, [*angles[1:], angles[0]], strict=True)]
    assert all(min(turn, 2 * np.pi - turn) == pytest.approx(np.pi / 2, abs=0.3) for turn in turns)


def test_patches_are_those_of_the_nearest_boundary_voxel() -> None:
    index = made("surface_patch", organ(), count=4)
    mask = organ()
    steps = [step for step in itertools.product((-1, 0, 1), repeat=3) if np.abs(step).sum() == 1]
    boundary = np.array([v for v in np.argwhere(mask) if not all(mask[tuple(v + step)] for step in steps)])
    rng = np.random.default_rng(1)
    for voxel in rng.permutation(np.argwhere(index))[:100]:
        distance = np.linalg.norm((boundary - voxel) * SPACING, axis=1)
        near = boundary[distance <= distance.min() + 1e-9]
        assert index[tuple(voxel)] in {index[tuple(b)] for b in near}
    heights = [np.argwhere(index == k)[:, 2].mean() for k in range(1, 5)]
    assert heights == sorted(heights)


def test_parts_are_the_radiologists_own_and_the_smaller_wins() -> None:
    assert part_names("kidney_left") == ("lower pole", "mid pole", "upper pole")
    index = made("parts", organ())
    heights = [np.argwhere(index == k)[:, 2].mean() for k in (1, 2, 3)]
    assert heights == sorted(heights)
    big, small = np.zeros((9, 3, 3), dtype=bool), np.zeros((9, 3, 3), dtype=bool)
    big[:6], small[4:6] = True, True
    got = nearest_part([big, small], np.ones((9, 3, 3), dtype=bool), (1, 1, 1))[:, 1, 1]
    assert got.tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 2]


def tilted(affine: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(places in mm [X, Y, Z, 3], mask) of one ellipsoid in patient space, on any grid around it."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) - (np.array(shape) - 1) / 2
    place = index @ affine[:3, :3].T
    return place, (place[..., 0] / 10) ** 2 + (place[..., 1] / 13) ** 2 + (place[..., 2] / 28) ** 2 <= 1


def grid(degrees: float, spacing: tuple[float, float, float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing)
    return affine


@pytest.mark.parametrize("name", ["slab", "slab_sector", "parts", "surface_patch"])
@pytest.mark.parametrize(("degrees", "spacing"), [(0, (1.5, 1.5, 5.0)), (25, (2.0, 2.0, 2.0)), (-30, (1.4, 2.0, 3.0))])
def test_regions_are_those_of_the_patient_on_any_grid(
    name: str, degrees: float, spacing: tuple[float, float, float]
) -> None:
    from scipy.spatial import cKDTree

    scheme = RegionScheme(name, 3, sectors=4)  # type: ignore[arg-type]
    found = []
    for affine, shape in ((grid(0, (2.0, 2.0, 2.0)), (24, 30, 44)), (grid(degrees, spacing), (44, 44, 46))):
        place, mask = tilted(affine, shape)
        index = region_map(scheme, mask, affine, structure="kidney_left")
        found.append((place[mask], index[mask]))
    (straight, expected), (other, got) = found
    same = expected[cKDTree(straight).query(other)[1]] == got
    # patches of the surface have no sharp place
    assert same.mean() > {"slab": 0.93, "slab_sector": 0.88, "parts": 0.93, "surface_patch": 0.6}[name]


@pytest.mark.parametrize("name", COVERING)
def test_the_same_input_gives_the_same_regions_and_nothing_is_changed(name: str) -> None:
    mask, affine = organ(), grid(20, SPACING)
    kept = mask.copy()
    scheme = RegionScheme(name)  # type: ignore[arg-type]
    first, second = (region_map(scheme, mask, affine, structure="spleen", image=image()) for _ in range(2))
    assert np.array_equal(first, second) and np.array_equal(mask, kept)
    assert np.array_equal(first > 0, band_around(mask, SPACING, 6.0))


def test_disagreement_numbers_components_by_size_and_drops_specks() -> None:
    first = np.zeros((20, 20, 20), dtype=bool)
    second = first.copy()
    first[2:6, 2:6, 2:6] = True
    second[10:13, 10:13, 10:13] = True
    second[18, 18, 18] = True
    index = disagreement(first, second, count=5)
    assert np.array_equal(index == 1, first)
    assert np.array_equal(index == 2, second & (np.indices(first.shape)[0] < 15))
    assert index.max() == 2
    assert disagreement(first, second, count=1).max() == 1
    assert not disagreement(first, first, count=5).any()


def test_scheme_text_round_trip_and_errors() -> None:
    scheme = RegionScheme("slab_sector", 5, sectors=3, band_mm=4.0)
    assert RegionScheme.from_text(scheme.to_text()) == scheme
    with pytest.raises(InputError, match="no region scheme"):
        RegionScheme.from_text('{"name": "slab", "colour": 1}')
    with pytest.raises(UsageError, match="unknown"):
        RegionScheme("cubes")  # type: ignore[arg-type]
    for wrong in ({"count": 0}, {"count": 256}, {"band_mm": 0.0}, {"band_mm": float("nan")}):
        with pytest.raises(UsageError, match="can't be made"):
            RegionScheme("slab", **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no parts"):
        region_map(RegionScheme("parts"), organ(), AFFINE, structure="liver")
    with pytest.raises(UsageError, match="needs a second mask"):
        region_map(RegionScheme("disagreement"), organ(), AFFINE)
