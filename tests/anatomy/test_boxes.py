"""Bounding boxes and dilation against slow references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from dictamen.anatomy.boxes import bounding_box, dilate
from dictamen.errors import InputError

MASKS = npst.arrays(bool, st.tuples(*[st.integers(1, 7)] * 3))
SPACINGS = st.tuples(*[st.floats(0.5, 5.0)] * 3)


@given(mask=MASKS, spacing=SPACINGS, distance=st.floats(0, 8))
@settings(max_examples=60, deadline=None)
def test_dilation_equals_all_pairs_of_distances(
    mask: np.ndarray, spacing: tuple[float, float, float], distance: float
) -> None:
    points = np.argwhere(np.ones(mask.shape)) * spacing
    inside = points[mask.ravel()]
    apart = np.linalg.norm(points[:, None] - inside[None], axis=-1)
    nearest = apart.min(axis=1, initial=np.inf).reshape(mask.shape)
    unclear = np.abs(nearest - distance) < 1e-9
    assert ((dilate(mask, spacing, distance) == (nearest <= distance)) | unclear).all()


@given(mask=MASKS)
@settings(max_examples=40, deadline=None)
def test_box_holds_the_mask_and_nothing_less(mask: np.ndarray) -> None:
    box = bounding_box(mask)
    if box is None:
        assert not mask.any()
        return
    assert mask[box].sum() == mask.sum()
    for axis in range(3):
        faces = mask[box].any(axis=tuple(other for other in range(3) if other != axis))
        assert faces[0] and faces[-1]


def test_margin_is_in_millimetres_and_stays_inside() -> None:
    mask = np.zeros((20, 20, 20), dtype=bool)
    mask[10, 1, 10] = True
    assert bounding_box(mask, 6.0, (1.0, 2.0, 5.0)) == (slice(4, 17), slice(0, 5), slice(8, 13))


@pytest.mark.parametrize(("spacing", "distance"), [((1, 1, 0), 3.0), ((1, 1, 1), -1.0), ((1, 1, 1), float("nan"))])
def test_bad_values(spacing: tuple[float, float, float], distance: float) -> None:
    with pytest.raises(InputError):
        dilate(np.ones((2, 2, 2), dtype=bool), spacing, distance)
