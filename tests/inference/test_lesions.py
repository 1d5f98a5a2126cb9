import numpy as np
import pytest
from small_models import ball, grid

from dictamen.inference.lesions import Lesion, measure, midline_mm, scores_by_side, side_finder

SHAPE, AFFINE = (60, 40, 30), grid("RAS", (2.0, 2.0, 3.0))
MIDDLE = AFFINE[:3, :3] @ ((np.array(SHAPE) - 1) / 2) + AFFINE[:3, 3]
OFFSET = np.array([30.0, 0.0, 0.0])


def at(x: float, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """Millimetres from the middle of the grid."""
    return MIDDLE + np.array([x, y, z])


def body(shift_mm: float = 0.0) -> np.ndarray:
    image = np.full(SHAPE, -1000, dtype=np.int16)
    image[ball(SHAPE, AFFINE, at(shift_mm, 0, 0), 38)] = 0
    return image


def test_a_row_tells_the_truth() -> None:
    centre = at(20, 5, -10)
    mask = ball(SHAPE, AFFINE, centre, 12)
    image = np.where(mask, 87, 0)
    probability = np.where(mask, 0.75, 0.0).astype(np.float16)
    probability[tuple(np.argwhere(mask)[0])] = 1.0
    (lesion,) = measure(
        mask.astype(np.uint16),
        1,
        image=image,
        probability=probability,
        affine=AFFINE,
        study_id="s",
        label="kidney_tumour",
    )
    assert lesion.volume_mm3 == pytest.approx(mask.sum() * 12)
    assert lesion.volume_mm3 == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.05)
    assert (lesion.diameter_mm_1, lesion.diameter_mm_2, lesion.diameter_mm_3) == pytest.approx((24, 24, 24), abs=3)
    assert lesion.mean_hu == 87
    assert lesion.score == 1.0
    assert lesion.mean_probability == pytest.approx(0.75, abs=0.01)
    assert lesion.centroid_mm == pytest.approx(tuple(centre), abs=0.5)
    assert lesion.side is None
    assert set(lesion.row()) == set(Lesion.columns())


def test_sides_from_the_two_predicted_kidneys() -> None:
    """The organs decide even where the body's middle would say otherwise."""
    organs = np.zeros(SHAPE, dtype=np.uint8)
    organs[ball(SHAPE, AFFINE, MIDDLE + OFFSET, 15)] = 5
    organs[ball(SHAPE, AFFINE, MIDDLE - OFFSET, 15)] = 5
    side_of = side_finder("kidney", organs=organs, names={5: "kidney"}, image=body(25.0), affine=AFFINE)
    assert side_of(np.stack([MIDDLE + OFFSET / 2, MIDDLE - OFFSET / 2])).tolist() == [True, False]


def test_sides_from_named_sides() -> None:
    organs = np.zeros(SHAPE, dtype=np.uint8)
    organs[ball(SHAPE, AFFINE, MIDDLE + OFFSET, 15)] = 1
    organs[ball(SHAPE, AFFINE, MIDDLE - OFFSET, 15)] = 2
    names = {1: "kidney_right", 2: "kidney_left"}
    side_of = side_finder("kidney", organs=organs, names=names, image=body(), affine=AFFINE)
    assert side_of(np.stack([MIDDLE + OFFSET, MIDDLE - OFFSET])).tolist() == [True, False]


def test_without_organs_the_body_s_middle_decides() -> None:
    organs = np.zeros(SHAPE, dtype=np.uint8)
    side_of = side_finder("kidney", organs=organs, names={}, image=body(10.0), affine=AFFINE)
    assert midline_mm(body(10.0), AFFINE) == pytest.approx(MIDDLE[0] + 10, abs=4)
    assert side_of(np.stack([at(16, 0, 0), at(4, 0, 0)])).tolist() == [True, False]


def test_midline_of_an_empty_image_is_the_grid_s() -> None:
    assert midline_mm(np.full(SHAPE, -1000), AFFINE) == pytest.approx(MIDDLE[0])


def test_scores_by_side() -> None:
    probability = np.zeros(SHAPE, dtype=np.float16)
    probability[45, 20, 15] = 0.75
    probability[10, 20, 15] = 0.25
    probability[11, 20, 15] = 0.001
    found = scores_by_side(probability, AFFINE, lambda points: points[:, 0] > MIDDLE[0], at_least=0.01)
    assert found == {"left": 0.25, "right": 0.75}
    assert scores_by_side(np.zeros(SHAPE), AFFINE, lambda p: p[:, 0] > 0, at_least=0.01) == {"left": 0.0, "right": 0.0}
