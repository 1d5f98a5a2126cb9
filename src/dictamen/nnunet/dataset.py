"""What a data set in nnU-Net's raw layout says: its labels and its reports."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dictamen.anatomy.lesion_labels import LesionLabel
from dictamen.cohort.layouts.dataset_json import REPORT_FILES, label_table, reports_beside
from dictamen.cohort.names import lesion_label, organ_id, whole_organ
from dictamen.errors import InputError
from dictamen.reports.rules import read_report
from dictamen.reports.schema import ReportFindings
from dictamen.reports.table import read_jsonl

FINDINGS = "findings.jsonl"
"""What `dictamen read` wrote, of whatever reader; it comes before the reports."""


@dataclass(frozen=True)
class Labels:
    """The labels of dataset.json.

    Args:
        organs: value of the label map -> structure id.
        lesions: value of the label map -> name.
        others: names that mean neither an organ nor a lesion.
        targets: lesion labels that reports can speak of.
    """

    organs: Mapping[int, str]
    lesions: Mapping[int, str]
    others: tuple[str, ...]
    targets: tuple[LesionLabel, ...]

    def values(self, target: LesionLabel) -> frozenset[int]:
        """Values of the label map that are this lesion."""
        return frozenset(value for value, name in self.lesions.items() if name == target.name)

    def around(self, target: LesionLabel) -> frozenset[int]:
        """Values of the label map that are the organ in which this lesion lies."""
        own = {value for value, organ in self.organs.items() if whole_organ(organ) == target.structure}
        return frozenset(own - set(self.lesions))


def read_labels(dataset: Mapping[str, Any], path: Path) -> Labels:
    """The labels of a dataset.json.

    Raises:
        InputError: no label is the name of a lesion, or none is that of an organ.
    """
    table = label_table(dataset, path)
    organs = {value: organ for value, name in table.organs.items() if (organ := organ_id(name))}
    targets = {name: lesion_label(name, tuple(organs.values())) for name in table.lesions.values()}
    known = tuple(target for target in targets.values() if target is not None)
    if not known or not organs:
        raise InputError(
            f"No label is {'an organ' if known else 'a lesion'}.",
            where=path,
            got=", ".join((*table.organs.values(), *table.lesions.values())),
            expected="labels such as liver and liver_tumour",
        )
    meant = {*(table.organs[value] for value in organs), *(target.name for target in known)}
    others = tuple(name for name in (*table.organs.values(), *targets) if name not in meant)
    return Labels(organs, {v: name for v, name in table.lesions.items() if targets[name]}, others, known)


def read_findings(folder: Path, cases: Collection[str]) -> dict[str, ReportFindings]:
    """case -> what its report says: of findings.jsonl in the data set's folder, or of reports.csv, read by the rules.

    Raises:
        InputError: neither file is there, it can't be read, or it names none of the cases.
    """
    path = folder / FINDINGS
    if path.is_file():
        found = {report.study_id: report for report in read_jsonl(path) if report.study_id in set(cases)}
    else:
        path = next((folder / name for name in REPORT_FILES if (folder / name).is_file()), folder / REPORT_FILES[0])
        if not path.is_file():
            raise InputError(
                "The data set has no reports.", where=path, expected="columns study_id (the case) and report"
            )
        found = {case: read_report(text, case) for case, text in reports_beside(folder).items() if case in set(cases)}
    if not found:
        raise InputError(
            "No report belongs to a case.",
            where=path,
            expected=f"study_id as in imagesTr without _0000, for example {min(cases, default='CASE_001')}",
        )
    return found
