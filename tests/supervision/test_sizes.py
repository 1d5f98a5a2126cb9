"""Diameters to volumes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dictamen.errors import InputError
from dictamen.interval import Interval
from dictamen.supervision.sizes import (
    ball_volume,
    complete_axes,
    ellipsoid_volume,
    lesion_size,
    unknown_volume,
    volume_interval,
)

diameters = st.lists(st.floats(1, 200), min_size=1, max_size=3)
qualifiers = st.sampled_from([None, "exact", "approx", "max", "min", "range", "subcentimetre", "tiny", "large"])


def test_axes_are_completed() -> None:
    assert complete_axes([20]) == (20, 20, 20)
    assert complete_axes([10, 40]) == (40, 20, 10)
    assert complete_axes([1, 3, 2]) == (3, 2, 1)


@pytest.mark.parametrize("wrong", [[], [0], [-1], [1, 2, 3, 4], [math.nan], [math.inf]])
def test_impossible_diameters_are_refused(wrong: list[float]) -> None:
    with pytest.raises(InputError):
        complete_axes(wrong)


@given(diameters, qualifiers, st.booleans(), st.sampled_from([None, "lung", "kidney"]))
def test_intervals_are_ordered_positive_and_finite(
    sizes: list[float], qualifier: str | None, short: bool, organ: str | None
) -> None:
    volume = volume_interval(sizes, qualifier, short_axis=short, structure=organ)
    assert 0 < volume.lo < volume.hi < math.inf


@given(diameters, qualifiers)
def test_an_ellipsoid_of_the_size_is_allowed(sizes: list[float], qualifier: str | None) -> None:
    assert ellipsoid_volume(sizes) in volume_interval(sizes, qualifier)


@given(diameters)
def test_vaguer_words_allow_more(sizes: list[float]) -> None:
    exact = volume_interval(sizes, "exact")
    for vague in ("approx", "max", "min"):
        wide = volume_interval(sizes, vague)
        assert wide.lo <= exact.lo
        assert wide.hi >= exact.hi


def test_unknown_and_vague_sizes() -> None:
    assert volume_interval([]) == unknown_volume() == Interval(ball_volume(5), ball_volume(120))
    assert volume_interval([], "subcentimetre").hi < volume_interval([], "large").lo
    assert lesion_size([]).diameters_mm is None


def test_a_range_covers_both_its_ends() -> None:
    volume = volume_interval([], "range", Interval(2, 13))
    assert ball_volume(2) in volume
    assert ball_volume(13) in volume
    assert volume_interval([], "range", Interval(0, 6)).lo > 0
    assert volume_interval([13], "range", Interval(2, math.inf)).hi < math.inf
