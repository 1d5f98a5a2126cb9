"""Volumes refuse what is no grid."""

import numpy as np
import pytest

from dictamen.errors import InputError
from dictamen.imaging.volume import Volume


def test_shape_and_spacing() -> None:
    turn = np.array([[0, -3.0, 0, 1], [2.0, 0, 0, 2], [0, 0, 1.5, 3], [0, 0, 0, 1]])
    volume = Volume(np.zeros((2, 4, 5, 6)), turn)
    assert volume.shape == (4, 5, 6)
    assert volume.spacing_mm == (2.0, 3.0, 1.5)


@pytest.mark.parametrize(
    ("shape", "affine"),
    [
        ((4, 5, 6), np.eye(4)),
        ((1, 4, 5, 6), np.eye(3)),
        ((1, 4, 5, 6), np.diag([1.0, 0, 1, 1])),
        ((1, 4, 5, 6), np.diag([1.0, np.nan, 1, 1])),
    ],
)
def test_what_is_no_volume(shape: tuple[int, ...], affine: np.ndarray) -> None:
    with pytest.raises(InputError, match="S1"):
        Volume(np.zeros(shape), affine, "S1")
