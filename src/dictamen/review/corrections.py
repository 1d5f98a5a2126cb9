"""A cohort whose findings are as people left them on the review page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from dictamen.cohort.store import Cohort
from dictamen.supervision.feedback import FindingVerdict, current_verdicts
from dictamen.supervision.verdicts import corrected


def with_verdicts(cohort: Cohort, verdicts: Iterable[FindingVerdict]) -> tuple[Cohort, dict[str, int]]:
    """The same cohort with corrected findings; nothing on disk changes.

    Args:
        cohort: opened.
        verdicts: of `FeedbackStore.verdicts()`, taken-back ones included.

    Returns:
        The cohort, and how many findings were confirmed, corrected and rejected.
    """
    by_study: dict[str, list[FindingVerdict]] = {}
    for verdict in current_verdicts(verdicts):
        by_study.setdefault(verdict.study_id, []).append(verdict)
    findings, counts = {}, Counter[str]()
    for study_id, given in by_study.items():
        found = cohort.findings(study_id)
        if found is None:
            continue
        known = {(study_id, *finding.span, finding.structure) for finding in found.findings}
        latest = {verdict.place: verdict for verdict in given if verdict.place in known}
        findings[study_id] = corrected(found, latest.values())
        counts.update(str(verdict.verdict) for verdict in latest.values())
    return cohort.with_findings(findings), dict(counts)
