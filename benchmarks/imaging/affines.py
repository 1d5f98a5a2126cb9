"""Random grids (oblique, flipped, negated, permuted, anisotropic, sheared): mask -> SEG -> the place of the segment.

usage: python benchmarks/imaging/affines.py [--grids 2000] [--seed 0]

The place is computed from the SEG's own geometry, by the standard's equation and not by the code that reads SEGs; the
mask is read back by that code and compared voxel by voxel. Writes a row of
benchmarks/results/affines.md; five seeds are 10,000 grids.
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
IN_MEMORY = Path("/dev/shm")
"""Where a file that is synchronised to disk costs nothing (Linux)."""
HEAD = (
    "# Random grids: mask -> SEG -> place",
    "",
    "`python benchmarks/imaging/affines.py --seed SEED`, a row a seed.",
    "",
    f"| seed | grids | largest error of a centroid, mm | above {LIMIT_MM:g} mm | wrong voxels after reading back | |",
    "|---|---|---|---|---|---|",
)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grids", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    errors, wrong = [], 0
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        path = Path(folder) / "seg.dcm"
        for _ in range(arguments.grids):
            scan = random_scan(random)
            mask = random_mask(scan.shape, random)
            seg = segmentation_of(scan, mask)
            errors.append(float(np.abs(centroid_in_file(seg) - centroid_of_mask(scan, mask)).max()))
            write_dataset(seg, path)
            like = Volume(np.zeros((1, *scan.shape), dtype=np.int16), scan.affine)
            wrong += int((read_segmentation(path, like)[0].array[0] != mask).sum())
    rows = RESULT.read_text(encoding="utf-8").splitlines()[len(HEAD) :] if RESULT.is_file() else []
    rows = [row for row in rows if not row.startswith(f"| {arguments.seed} |")]
    above = sum(error > LIMIT_MM for error in errors)
    rows.append(f"| {arguments.seed} | {len(errors):,} | {max(errors):.1e} | {above} | {wrong} | {date.today()} |")
    RESULT.write_text("\n".join([*HEAD, *sorted(rows)]) + "\n", encoding="utf-8")
    print(rows[-1])


if __name__ == "__main__":
    main()
