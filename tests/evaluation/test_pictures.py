import io
import math

import numpy as np
import pytest
from matplotlib.image import imread

from dictamen.evaluation.pictures import compare_intervals, focus_of, slices

SHAPE = (24, 20, 10)
SPACING = (2.0, 2.0, 4.0)


def pixels(png: bytes) -> np.ndarray:
    return imread(io.BytesIO(png), format="png")[:, :, :3]


def near(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(picture * 255 - np.array(colour)).max(axis=-1) < 40


def image() -> np.ndarray:
    return np.full(SHAPE, -1000, np.int16)


def box(*bounds: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[bounds] = True
    return mask


def test_the_right_of_the_patient_is_left_in_the_picture_and_anterior_is_up() -> None:
    bright = image()
    bright[18:, 14:, :] = 200  # right, anterior, whole height
    picture = pixels(slices(bright, focus=(20, 16, 5), spacing_mm=SPACING))
    axial = picture[:, : picture.shape[1] // 3].mean(axis=-1) > 0.85
    rows, columns = np.nonzero(axial[10:])
    assert columns.mean() < axial.shape[1] / 2 and rows.mean() + 10 < axial.shape[0] / 2


def test_outlines_have_their_colours() -> None:
    truth, prediction = box(slice(4, 10), slice(4, 10), slice(2, 6)), box(slice(6, 14), slice(6, 14), slice(2, 8))
    picture = pixels(slices(image(), truth, prediction, spacing_mm=SPACING, region=truth | prediction))
    assert near(picture, (86, 180, 233)).any() and near(picture, (230, 159, 0)).any()


@pytest.mark.parametrize(
    "masks", [(None, None), (np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)), (None, np.ones(SHAPE, bool))]
)
def test_missing_empty_and_full_masks(masks: tuple[np.ndarray | None, np.ndarray | None]) -> None:
    for field in (None, 30.0, 500.0):
        assert slices(image(), *masks, spacing_mm=SPACING, region=masks[0], field_mm=field).startswith(b"\x89PNG")


def test_focus_lies_in_the_largest_lesion() -> None:
    mask = box(slice(0, 2), slice(0, 2), slice(0, 2)) | box(slice(10, 16), slice(10, 15), slice(4, 8))
    assert mask[focus_of(mask, shape=SHAPE)] and focus_of(mask, shape=SHAPE)[0] >= 10
    assert focus_of(None, np.zeros(SHAPE, bool), shape=SHAPE) == (12, 10, 5)


def test_intervals_of_models() -> None:
    values = {
        "masks only": {"Dice": (0.3, 0.2, 0.4), "AUC": (0.5, math.nan, math.nan)},
        "masks + reports": {"Dice": (0.6, 0.5, 0.7)},
    }
    assert compare_intervals(values, title="Test").startswith(b"\x89PNG")
    assert compare_intervals({}).startswith(b"\x89PNG")
    assert compare_intervals({"one": {"HD95": (12.0, 8.0, 20.0), "x": (math.nan,) * 3}}, limits=None).startswith(
        b"\x89PNG"
    )
