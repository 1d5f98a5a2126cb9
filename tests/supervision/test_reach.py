"""How far lesions reach out of organ masks."""

import numpy as np
import pytest

from dictamen.supervision.reach import Reach, lesion_reaches, measured_dilation
from dictamen.supervision.region_geometry import Dilation

SPACING = (2.0, 1.0, 4.0)


def organ() -> np.ndarray:
    mask = np.zeros((40, 60, 30), bool)
    mask[10:20, 20:40, 10:20] = True
    return mask


def test_reach_is_in_mm_along_each_axis_and_lesions_far_away_do_not_count() -> None:
    lesions = np.zeros_like(organ())
    lesions[12:14, 22:24, 12:14] = True  # inside
    lesions[15:23, 30, 15] = True  # three voxels of 2 mm beyond the mask
    lesions[15, 25, 17:22] = True  # two voxels of 4 mm beyond it
    inside, along_z, along_x = lesion_reaches(organ(), lesions, SPACING)
    assert inside == Reach(0.0, pytest.approx((6 * 8 * 8 / np.pi) ** (1 / 3)))
    assert along_x.outside_mm == pytest.approx(6, rel=0.1)
    assert along_z.outside_mm == pytest.approx(8, rel=0.1)
    lesions[:] = False
    lesions[39, 59, 29] = True
    assert lesion_reaches(organ(), lesions, (2.0, 3.0, 4.0)) == []
    assert lesion_reaches(organ(), np.zeros_like(lesions), SPACING) == []


def test_the_dilation_holds_the_farthest_lesion_and_a_quarter_more() -> None:
    default = Dilation()
    reaches = [Reach(0.0, 40.0), Reach(4.0, 20.0), Reach(2.0, 10.0)]
    assert measured_dilation(reaches, default) == Dilation(part_mm=15.0, organ_mm=5.0, lesion_share=0.25)
    assert measured_dilation([Reach(0.0, 30.0)] * 3, default) == Dilation(organ_mm=3.0, lesion_share=0.0)
    assert measured_dilation([Reach(30.0, 35.0)] * 3, default) == default
    assert measured_dilation(reaches[:2], default) == default
