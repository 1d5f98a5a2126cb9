import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dictamen.models.normalise import IntensityWindow


def test_ends_and_middle_of_the_window() -> None:
    values = IntensityWindow(lo_hu=-160, hi_hu=240).apply(np.array([-1024, -160, 40, 240, 3071], dtype=np.int16))
    assert values.dtype == np.float32
    assert values.tolist() == pytest.approx([-1, -1, 0, 1, 1])


@given(st.floats(-2000, 2000), st.floats(1, 4000), st.lists(st.integers(-32768, 32767), min_size=1))
def test_it_stays_in_range_and_keeps_order(lo: float, width: float, hounsfield: list[int]) -> None:
    values = IntensityWindow(lo_hu=lo, hi_hu=lo + width).apply(np.sort(np.array(hounsfield, dtype=np.int16)))
    assert (np.abs(values) <= 1 + 1e-5).all()
    assert (np.diff(values) >= 0).all()


def test_integers_and_floats_agree_and_the_input_stays() -> None:
    given_hu = np.arange(-300, 300, dtype=np.int16)
    before = given_hu.copy()
    window = IntensityWindow()
    assert np.array_equal(window.apply(given_hu), window.apply(given_hu.astype(np.float64)))
    assert np.array_equal(given_hu, before)


def test_nan_is_air() -> None:
    assert IntensityWindow().apply(np.array([np.nan])).tolist() == [-1.0]


@pytest.mark.parametrize("limits", [(1.0, 1.0), (5.0, -5.0), (float("nan"), 1.0)])
def test_wrong_limits(limits: tuple[float, float]) -> None:
    with pytest.raises(ValidationError):
        IntensityWindow(lo_hu=limits[0], hi_hu=limits[1])
