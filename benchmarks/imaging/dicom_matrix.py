"""The matrix of DICOM series: what is read, what goes out as SEG and SR, what dciodvfy says of it, what is refused.

    python benchmarks/imaging/dicom_matrix.py

Needs dciodvfy (Debian package dicom3tools). Series are generated in code; one real one is shipped with pydicom.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import pydicom

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "dicom_matrix.md"
sys.path.insert(0, str(ROOT / "tests" / "imaging"))

from synthetic_dicom import Scan  # noqa: E402
from test_dicom_out import label_map, objects  # noqa: E402
from test_dicom_refused import BAD  # noqa: E402
from test_dicom_series import GOOD  # noqa: E402

from dictamen.errors import InputError  # noqa: E402
from dictamen.imaging.dicom.segmentation import read_segmentation, write_dataset  # noqa: E402
from dictamen.imaging.dicom.volume import read_dicom  # noqa: E402

REAL = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests" / "98892001" / "CT5N"


def said(path: Path) -> Counter[str]:
    """How many errors and warnings dciodvfy has for a file."""
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    return Counter(line.split(" ")[0] for line in (done.stdout + done.stderr).splitlines())


def row(name: str, path: Path, folder: Path) -> tuple[str, Counter[str], int]:
    """A line of the table, dciodvfy's counts, and how many voxels came back wrong."""
    total: Counter[str] = Counter()
    cells, wrong = [], 0
    for form, deidentify in (("binary", False), ("binary", True)):
        volume, seg, sr, _ = objects(path, form=form, deidentify=deidentify)
        for kind, made in (("seg", seg), ("sr", sr)):
            write_dataset(made, folder / f"{kind}.dcm")
            counts = said(folder / f"{kind}.dcm")
            total += counts
            cells.append(f"{counts['Error']} / {counts['Warning']}")
        back, _ = read_segmentation(folder / "seg.dcm", volume)
        truth = np.array([0, 0, 0, 1, 0, 0, 0, 2, 0, 3])[label_map(volume.shape)]
        wrong += int((back.array[0] != truth).sum())
    return f"| {name} | {' | '.join(cells)} | {wrong} |", total, wrong


def main() -> None:
    """Write the table."""
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        rows = [row(name, make(scan, base / name), base) for name, (scan, make) in GOOD.items()]
        rows.append(row("real: CT5N of pydicom", REAL, base))
        refused = []
        for name, (make, _) in BAD.items():
            try:
                read_dicom(make(Scan(), base / f"bad {name}"))
            except InputError as error:
                refused.append(f"| {name} | {error.what} |")
            else:
                refused.append(f"| {name} | **read** |")
    total = sum((counts for _, counts, _ in rows), Counter())
    wrong = sum(count for *_, count in rows)
    read = sum("**read**" in line for line in refused)
    lines = [
        "# DICOM: series read, SEG and SR written, dciodvfy's verdict\n",
        f"{date.today()}, `python benchmarks/imaging/dicom_matrix.py`, pydicom {pydicom.__version__}; dciodvfy of "
        "Debian's dicom3tools.\n",
        f"**{len(rows)} series read; {4 * len(rows)} objects written: {total['Error']} errors, {total['Warning']} "
        f"warnings of dciodvfy; {wrong} voxels differ after mask -> SEG -> mask. {len(refused) - read} of "
        f"{len(refused)} series that can't be right refused.**\n",
        "Errors / warnings. The warnings are of values that are empty and that an index on a CD would want.\n",
        "| series | SEG | SR | SEG de-identified | SR de-identified | wrong voxels |",
        "|---|---|---|---|---|---|",
        *(line for line, *_ in rows),
        "\n| refused | because |\n|---|---|",
        *refused,
    ]
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(RESULT.read_text())


if __name__ == "__main__":
    main()
