"""No grid that DICOM can hold moves a segment. benchmarks/imaging/affines.py does the same ten thousand times."""

from pathlib import Path

import numpy as np
import pytest
from random_grids import centroid_in_file, centroid_of_mask, random_mask, random_scan, segmentation_of

from dictamen.imaging.dicom.segmentation import read_segmentation, write_dataset
from dictamen.imaging.volume import Volume


@pytest.mark.parametrize("seed", range(12))
def test_a_segment_stays_where_it_is(seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    scan = random_scan(random)
    mask = random_mask(scan.shape, random)
    seg = segmentation_of(scan, mask)
    assert np.abs(centroid_in_file(seg) - centroid_of_mask(scan, mask)).max() < 1e-3
    write_dataset(seg, tmp_path / "seg.dcm")
    like = Volume(np.zeros((1, *scan.shape), dtype=np.int16), scan.affine)
    assert np.array_equal(read_segmentation(tmp_path / "seg.dcm", like)[0].array[0], mask)
