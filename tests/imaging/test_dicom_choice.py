"""Which of several series is read, and when it is read again."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_variants import two_series
from synthetic_dicom import Scan, uid

from dictamen.errors import UsageError
from dictamen.imaging.dicom.series import choose, find_series
from dictamen.imaging.dicom.volume import read_dicom


@pytest.mark.parametrize(("rule", "slices"), [("largest", 9), ("thinnest", 7), ("1", 7), (uid("series", "1", "2"), 9)])
def test_series_are_chosen_by_rule(rule: str, slices: int, tmp_path: Path) -> None:
    assert read_dicom(two_series(Scan(), tmp_path), series=rule).shape[2] == slices


def test_a_series_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No series has.*number 1 .CT, 7 slices of 12 x 14, step 3 mm, kernel B30f"):
        choose(find_series(two_series(Scan(), tmp_path)).series, "5", where="x")


def test_a_changed_folder_is_read_again(tmp_path: Path) -> None:
    Scan(shape=(14, 12, 3)).write(tmp_path / "below")
    assert read_dicom(tmp_path).shape[2] == 3
    Scan(shape=(14, 12, 7)).write(tmp_path / "below")
    assert read_dicom(tmp_path).shape[2] == 7
