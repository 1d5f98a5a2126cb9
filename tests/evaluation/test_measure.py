import math
from functools import partial
from typing import Any

import numpy as np
import pytest

from dictamen.errors import UsageError
from dictamen.evaluation.against_reports import ReportTruth
from dictamen.evaluation.measure import (
    Measurement,
    Settings,
    against_mask,
    against_report,
    drop_small,
    midplane,
    split_sides,
)
from dictamen.interval import Interval

MAKE = partial(Measurement, "S1", "P1", "kidney_tumour")
SPACING = (2.0, 1.0, 3.0)


def cubes(*starts: int, size: int = 3) -> np.ndarray:
    mask = np.zeros((30, 12, 12), bool)
    for x in starts:
        mask[x : x + size, 4 : 4 + size, 4 : 4 + size] = True
    return mask


def test_against_a_mask() -> None:
    m = against_mask(cubes(2, 20), cubes(2), MAKE, spacing_mm=SPACING)
    assert (m.truth, m.predicted, m.count_error, m.score) == ("present", True, -1, 27 * 6.0)
    row = m.row()
    assert (row["lesions"], row["lesions_found"], row["dice"]) == (2, 1, round(2 / 3, 4))
    assert row["diameter_error_mm"] == 0


def test_without_truth_there_is_no_dice_but_a_false_positive_volume() -> None:
    for prediction, volume in ((cubes(2), 162.0), (cubes(), 0.0)):
        row = against_mask(cubes(), prediction, MAKE, spacing_mm=SPACING).row()
        assert "dice" not in row and row["false_positive_mm3"] == volume


def test_against_a_report() -> None:
    truth = ReportTruth("present", Interval.exact(1), 20.0, ("upper pole",), "left")
    m = against_report(truth, cubes(2, 20), MAKE, spacing_mm=(1, 1, 1), score=0.7, part=cubes(2))
    assert (m.count_error, m.part_agreement, m.score) == (1, 0.5, 0.7)
    assert m.diameter_error_mm == m.diameter_predicted_mm - 20
    nothing = against_report(truth, cubes(), MAKE, spacing_mm=(1, 1, 1))
    assert not nothing.predicted and nothing.score == 0 and math.isnan(nothing.diameter_error_mm)
    absent = against_report(ReportTruth("absent", Interval.exact(0)), cubes(2), MAKE, spacing_mm=(1, 1, 1))
    assert absent.truth == "absent" and math.isnan(absent.count_error)


def test_sides() -> None:
    organs = np.zeros((30, 12, 12), np.uint8)
    organs[cubes(3, size=5)], organs[cubes(21, size=5)] = 7, 8
    plane = midplane(organs, [7], [8])
    assert plane == 14.0
    assert split_sides(cubes(2, 20), plane) == {"left": 27, "right": 27}
    assert split_sides(cubes(13, size=2), plane) == {"left": 8, "right": 0}
    assert split_sides(cubes(), plane) == {"left": 0, "right": 0}
    assert midplane(organs, [7], [9]) is None


def test_small_components_are_dropped() -> None:
    mask = cubes(2) | cubes(20, size=1)
    kept = drop_small(mask, spacing_mm=(1, 1, 1), minimum_mm3=5)
    assert (kept == cubes(2)).all()
    assert drop_small(mask, spacing_mm=(1, 1, 1), minimum_mm3=0) is mask


@pytest.mark.parametrize(
    "wrong", [{"tolerance_mm": -1.0}, {"iou_at_least": 0.0}, {"criterion": "dice"}, {"minimum_mm3": -2.0}]
)
def test_settings_out_of_range_are_refused_before_any_study(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Settings(**wrong)
