"""Random grids (oblique, flipped, negated, permuted, anisotropic, sheared): mask -> SEG -> the place of the segment.

usage: python benchmarks/imaging/affines.py [--grids 10000] [--seed 0]

The place is computed from the SEG's own geometry, by the standard's equation and not by the code that reads SEGs; the
mask is read back by that code and compared voxel by voxel. Writes benchmarks/results/affines.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "affines.md"
sys.path.insert(0, str(ROOT / "tests" / "imaging"))

from random_grids import centroid_in_file, centroid_of_mask, random_mask, random_scan, segmentation_of  # noqa: E402

from dictamen.imaging.dicom.segmentation import read_segmentation, write_dataset  # noqa: E402
from dictamen.imaging.volume import Volume  # noqa: E402

LIMIT_MM = 1e-3


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grids", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    errors, wrong = [], 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seg.dcm"
        for _ in range(arguments.grids):
            scan = random_scan(random)
            mask = random_mask(scan.shape, random)
            seg = segmentation_of(scan, mask)
            errors.append(float(np.abs(centroid_in_file(seg) - centroid_of_mask(scan, mask)).max()))
            write_dataset(seg, path)
            like = Volume(np.zeros((1, *scan.shape), dtype=np.int16), scan.affine)
            wrong += int((read_segmentation(path, like)[0].array[0] != mask).sum())
    text = (
        f"# Random grids: mask -> SEG -> place\n\n{date.today()}, "
        f"`python benchmarks/imaging/affines.py --grids {arguments.grids} --seed {arguments.seed}`\n\n"
        f"- grids: {len(errors):,}\n- largest error of a centroid: {max(errors):.1e} mm (limit {LIMIT_MM:g})\n"
        f"- above the limit: {sum(error > LIMIT_MM for error in errors)}\n- wrong voxels after reading back: {wrong}\n"
    )
    RESULT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
