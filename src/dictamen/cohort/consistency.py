"""Whether a study's report and its masks can be used together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from dictamen.cohort import names
from dictamen.cohort.manifest import Problem
from dictamen.cohort.source import SourceStudy
from dictamen.reports.schema import ReportFindings


def report_against_organs(findings: ReportFindings, *, masked: Collection[str] | None) -> list[Problem]:
    """Warn of a report that says nothing usable, and of findings in organs without a mask.

    Args:
        masked: ids of the structures that have a mask; None where that is not known.
    """
    study_id = findings.study_id
    if not findings.findings and not findings.clear_structures:
        message = "The report has no finding and calls no organ clear, so it teaches nothing."
        return [Problem(study_id, "report_without_finding", "warning", message)]
    current = {f.structure for f in findings.findings if f.temporal == "current" and f.existence != "absent"}
    missing = sorted(current - set(names.whole_organs(masked or ()))) if masked is not None else []
    if not missing:
        return []
    message = (
        f"The report has findings in organs without a mask: {', '.join(missing)}. Those are deferred. "
        "Next: add masks of these organs, for example from TotalSegmentator."
    )
    return [Problem(study_id, "organ_mask_missing", "warning", message)]


def without_report(studies: Sequence[SourceStudy], with_findings: Iterable[str] = ()) -> list[Problem]:
    """Studies that lack what others have: a report; and studies that have neither report nor masks."""
    told = {s.study_id for s in studies if s.has_report} | set(with_findings)
    problems = []
    for study in studies:
        if study.study_id in told:
            continue
        if study.lesions is None:
            message = "The study has neither a report nor a lesion mask: nothing can be learnt or measured on it."
            problems.append(Problem(study.study_id, "nothing_known", "warning", message))
        elif told:
            problems.append(Problem(study.study_id, "study_without_report", "warning", "The study has no report."))
    return problems
