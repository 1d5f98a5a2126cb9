"""Findings as people left them: rejected ones go, corrected ones change, confirmed ones are certain."""

from __future__ import annotations

from collections.abc import Iterable

from dictamen.reports.schema import Finding, OrganState, ReportFindings
from dictamen.supervision.feedback import FindingVerdict

PERSON = "person"
"""`Finding.reader` of a finding that a person has corrected."""


def corrected(found: ReportFindings, verdicts: Iterable[FindingVerdict]) -> ReportFindings:
    """Apply current verdicts to what was read from one report; the latest verdict on a finding holds, whoever gave it.

    A rejected finding leaves no absence behind: that it was misread says nothing of the organ, so a list of the
    lesions of that organ counts as incomplete from then on. So does that of an organ which a correction left.

    Args:
        found: as read; verdicts name its findings by span and structure.
        verdicts: `feedback.current_verdicts` of the study, in the order they came; others are ignored.
    """
    said = {verdict.place: verdict for verdict in verdicts}
    kept: list[Finding] = []
    left: set[str] = set()
    for finding in found.findings:
        verdict = said.get((found.study_id, *finding.span, finding.structure))
        after = finding if verdict is None else _after(finding, verdict)
        if after is None or after.structure != finding.structure:
            left.add(finding.structure)
        if after is not None:
            kept.append(after)
    states = tuple(_incomplete(state) if state.structure in left else state for state in found.organ_states)
    return found.model_copy(update={"findings": tuple(kept), "organ_states": states})


def _after(finding: Finding, verdict: FindingVerdict) -> Finding | None:
    if verdict.verdict == "rejected":
        return None
    if verdict.verdict == "confirmed":
        return finding.model_copy(update={"confidence": 1.0})
    changes: dict[str, object] = {"confidence": 1.0, "reader": PERSON}
    if verdict.kind is not None:
        changes |= {"kind": verdict.kind, "kind_certainty": "certain"}
    if verdict.side is not None:
        changes["side"] = verdict.side
    if verdict.corrected_structure not in (None, finding.structure):
        changes |= {"structure": verdict.corrected_structure, "parts": ()}  # parts of the organ that it is not in
    if verdict.diameters_mm is not None:
        largest_first = tuple(sorted(verdict.diameters_mm, reverse=True))
        changes |= {"diameters_mm": largest_first, "size_qualifier": None, "size_range_mm": None}
    return finding.model_copy(update=changes)


def _incomplete(state: OrganState) -> OrganState:
    return state.model_copy(update={"status": "lesions_incomplete"}) if state.status == "lesions_complete" else state
