"""Axis by axis: the same values as smoothing the whole volume first and interpolating it with ITK."""

from functools import partial

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from dictamen.imaging.geometry import _as_type
from dictamen.imaging.separable import is_parallel, resample_parallel

OUTSIDE = -7.0
sizes = st.tuples(*[st.integers(2, 40)] * 3)


def slowly(array: np.ndarray, step: np.ndarray, shape: tuple[int, ...], sigmas: list[float]) -> np.ndarray:
    smooth = ndimage.gaussian_filter(array, sigmas, mode="nearest", output=np.float32)
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(step[:3, :3].ravel().tolist())
    transform.SetTranslation(step[:3, 3].tolist())
    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetSize([int(n) for n in shape])
    resampler.SetTransform(transform)
    resampler.SetDefaultPixelValue(OUTSIDE)
    resampler.SetInterpolator(SimpleITK.sitkLinear)
    return SimpleITK.GetArrayFromImage(resampler.Execute(SimpleITK.GetImageFromArray(np.ascontiguousarray(smooth.T)))).T


@given(
    seed=st.integers(0, 10**6),
    old=sizes,
    new=sizes,
    scale=st.tuples(*[st.floats(0.2, 6).map(lambda f: f * (-1) ** int(f * 1000))] * 3),
    shift=st.tuples(*[st.floats(-3, 3)] * 3),
    smooth=st.tuples(*[st.sampled_from([0.0, 0.5, 2.0])] * 3),
    order=st.permutations(range(3)),
)
@settings(max_examples=60, deadline=None)
def test_the_same_as_itk(seed, old, new, scale, shift, smooth, order) -> None:
    """Finer, coarser, flipped, shifted, partly outside; arrays that lie in memory in any order of their axes."""
    array = np.random.default_rng(seed).normal(0, 300, [old[axis] for axis in order]).astype(np.int16)
    array = array.transpose(np.argsort(order))
    step = np.diag([*scale, 1.0])
    step[:3, 3] = [s + (n - 1 if factor < 0 else 0) for s, n, factor in zip(shift, old, scale, strict=True)]
    found = resample_parallel(
        array, step, new, list(smooth), outside=OUTSIDE, as_type=partial(_as_type, dtype=np.dtype("f4"))
    )
    expected = slowly(array, step, new, list(smooth))
    edge = np.zeros(new, dtype=bool)  # where rounding decides what is outside
    for axis, (n, factor) in enumerate(zip(old, scale, strict=True)):
        place = factor * np.arange(new[axis]) + step[axis, 3]
        near = np.minimum(np.abs(place + 0.5), np.abs(place - n + 0.5)) < 1e-6
        np.moveaxis(edge, axis, 0)[near] = True
    assert found.shape == new
    assert np.abs(found - expected)[~edge].max(initial=0) < 0.02  # of 300; ITK and scipy round, too


@pytest.mark.parametrize(("degrees", "parallel"), [(0.0, True), (1e-5, True), (0.1, False), (90.0, False)])
def test_oblique_grids_are_not_taken(degrees: float, parallel: bool) -> None:
    angle = np.deg2rad(degrees)
    step = np.eye(4)
    step[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert is_parallel(step, (100, 100, 100)) is parallel
