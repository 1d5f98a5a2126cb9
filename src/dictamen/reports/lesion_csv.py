"""Findings as a csv file, one lesion a row, with the names of columns that R-Super's training reads.

Only the names are taken over, so that its users can change readers; what the columns hold is ours:
a study has a row for each lesion and for each organ said to be free of lesions ("no lesion" is 1 there); a study of
which nothing was read has one row with its id alone. A group with a number gives as many rows, the first with the size
stated, the others with an unknown one; "multiple" gives two.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, TextIO

from dictamen.reports.anatomy_ids import structure_ids
from dictamen.reports.schema import Finding, ReportFindings

COLUMNS = (
    "Encrypted Accession Number", "BDMAP ID", "Tumor ID", "Organ", "Tumor Type", "Tumor Location", "Tumor Size (mm)",
    "Tumor Attenuation", "Standardized Organ", "Standardized Location", "Standardized Attenuation",
    "Unknow Tumor Size", "Series", "Image", "no lesion",
)  # fmt: skip
"""As that training reads them, its spelling included."""
ATTENUATION = {
    "hypo": "hypoattenuating",
    "iso": "isoattenuating",
    "hyper": "hyperattenuating",
    "mixed": "mixed",
    "fat": "fat",
    "calcified": "calcified",
}


class LesionCsv:
    """Writes the rows of one report after the other to an open text file."""

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        self._writer.writeheader()

    def write(self, report: ReportFindings) -> None:
        """Rows of one report."""
        self._writer.writerows(rows(report))


def rows(report: ReportFindings) -> Iterator[dict[str, Any]]:
    """Rows of one report, by column; prior and absent lesions, and examples counted in their group, have none."""
    study = {"Encrypted Accession Number": report.study_id, "BDMAP ID": report.study_id}
    number = 0
    for finding in report.findings:
        if finding.temporal == "prior" or finding.existence == "absent":
            continue
        for index in range(_rows_of(finding, report)):
            number += 1
            yield {**study, "Tumor ID": number, **_lesion(finding, sized=index == 0)}
    for name in report.clear_structures:
        organ, _, side = name.partition(":")
        yield {
            **study,
            "Organ": organ.replace("_", " "),
            "Tumor Location": side,
            "Standardized Organ": organ,
            "Standardized Location": f"{organ}_{side}" if side else organ,
            "no lesion": 1,
        }
    if not number and not report.clear_structures:
        yield study


def _rows_of(finding: Finding, report: ReportFindings) -> int:
    """Lesions of a finding that have no row of their own: a group of five with two examples has three."""
    index = report.findings.index(finding)
    examples = sum(1 for other in report.findings if other.group == index)
    return max(int(finding.count.lo) - examples, 0 if examples else 1)


def _lesion(finding: Finding, *, sized: bool) -> dict[str, Any]:
    size = finding.diameters_mm if sized else ()
    first = finding.slices[0] if finding.slices and sized else None
    return {
        "Organ": finding.structure.replace("_", " "),
        "Tumor Type": finding.kind,
        "Tumor Location": " ".join([*([finding.side] if finding.side else []), *finding.parts]),
        "Tumor Size (mm)": " x ".join(f"{value:g}" for value in size),
        "Tumor Attenuation": finding.attenuation or "",
        "Standardized Organ": finding.structure,
        "Standardized Location": ";".join(sorted(structure_ids(finding))),
        "Standardized Attenuation": ATTENUATION.get(finding.attenuation or "", ""),
        "Unknow Tumor Size": int(not size),
        "Series": first.series if first and first.series is not None else "",
        "Image": first.image if first else "",
        "no lesion": 0,
    }
