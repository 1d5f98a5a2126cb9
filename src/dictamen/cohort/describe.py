"""What is in a cohort, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dictamen.cohort.store import Cohort
from dictamen.reports.schema import ReportFindings


@dataclass(frozen=True)
class SplitCounts:
    """Studies of one split, and how many of them have what."""

    studies: int
    patients: int
    lesion_masks: int
    organ_masks: int
    reports: int


@dataclass(frozen=True)
class OrganFindings:
    """Current findings of one organ in all reports; `clear` counts the reports that call it free of lesions."""

    findings: int
    with_size: int
    reports: int
    clear: int


@dataclass(frozen=True)
class Description:
    """A cohort in numbers.

    Attributes:
        organs, lesions: label -> studies that have voxels of it.
        lesions_annotated: label -> studies in which its absence means absence.
        native_spacing_mm: smallest and largest spacing along x, y, z.
    """

    path: str
    spacing_mm: tuple[float, float, float]
    native_spacing_mm: tuple[tuple[float, float, float], tuple[float, float, float]] | None
    total: SplitCounts
    splits: dict[str, SplitCounts]
    organs: dict[str, int]
    lesions: dict[str, int]
    lesions_annotated: dict[str, int]
    lesion_components: int
    findings: dict[str, OrganFindings]
    failed: tuple[str, ...]
    problems: int
    disk_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def describe(path: Path | str) -> Description:
    """Count what the cohort at `path` holds.

    Raises:
        InputError: it is no complete cohort.
    """
    cohort = Cohort.open(path)
    table = cohort.studies
    present = Counter(label for labels in table["labels_present"] for label in labels)
    annotated = Counter(label for labels in table["lesion_names_annotated"] for label in labels)
    spacings = table["native_spacing_mm"].to_list()
    ranges = list(zip(*spacings, strict=True))
    read = [found for study_id in cohort.ids() if (found := cohort.findings(study_id)) is not None]
    return Description(
        path=str(cohort.path),
        spacing_mm=cohort.info.spacing_mm,
        native_spacing_mm=(tuple(map(min, ranges)), tuple(map(max, ranges))) if ranges else None,
        total=_counts(table),
        splits={name: _counts(part) for (name,), part in sorted(table.group_by("split"))},
        organs={name: present[f"organ:{name}"] for name in cohort.info.organ_labels.values()},
        lesions={name: present[f"lesion:{name}"] for name in cohort.info.lesion_labels.values()},
        lesions_annotated={name: annotated[name] for name in cohort.info.lesion_labels.values()},
        lesion_components=int(table["lesion_components"].sum()),
        findings=findings_by_organ(read),
        failed=cohort.manifest.failed,
        problems=len(cohort.manifest.problems),
        disk_bytes=sum(file.stat().st_size for file in cohort.path.rglob("*") if file.is_file()),
    )


def findings_by_organ(reports: list[ReportFindings]) -> dict[str, OrganFindings]:
    """Whole organ -> counts, the most frequent first."""
    rows = [
        (finding.structure, report.study_id, bool(finding.diameters_mm) or finding.size_range_mm is not None)
        for report in reports
        for finding in report.findings
        if finding.temporal == "current" and finding.existence != "absent"
    ]
    clear = Counter(organ for report in reports for organ in {name.split(":")[0] for name in report.clear_structures})
    count = Counter(organ for organ, _, _ in rows)
    return {
        organ: OrganFindings(
            findings=count[organ],
            with_size=sum(sized for name, _, sized in rows if name == organ),
            reports=len({study for name, study, _ in rows if name == organ}),
            clear=clear[organ],
        )
        for organ in sorted(count | clear, key=lambda name: (-count[name], name))
    }


def _counts(table: Any) -> SplitCounts:
    return SplitCounts(
        studies=table.height,
        patients=table["patient_id"].n_unique(),
        lesion_masks=int(table["has_lesions"].sum()),
        organ_masks=int(table["has_organs"].sum()),
        reports=int(table["has_report"].sum()),
    )
