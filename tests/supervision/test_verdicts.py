"""Findings as people left them: what a verdict changes, and what it must not imply."""

from dictamen.anatomy import lesion_labels
from dictamen.interval import Interval
from dictamen.reports.schema import Finding, OrganState, ReportFindings
from dictamen.supervision.feedback import FindingVerdict
from dictamen.supervision.from_findings import constraints
from dictamen.supervision.verdicts import corrected

CYST = Finding(
    study_id="s", kind="cyst", structure="kidney", side="left", parts=("upper pole",), count=Interval.exact(1),
    diameters_mm=(23.0,), size_qualifier="approx", span=(10, 20), confidence=0.6,
)  # fmt: skip
OTHER = CYST.model_copy(update={"span": (30, 40), "structure": "liver", "side": None, "parts": ()})
FOUND = ReportFindings(
    study_id="s",
    findings=(CYST, OTHER),
    organ_states=(
        OrganState(structure="kidney", side="left", status="lesions_complete"),
        OrganState(structure="liver", status="lesions_complete"),
    ),
)


def say(finding: Finding, verdict: str, **fields: object) -> FindingVerdict:
    return FindingVerdict.model_validate(
        {"study_id": "s", "rater": "r", "span": finding.span, "structure": finding.structure, "verdict": verdict}
        | fields
    )


def test_confirmed_is_certain_and_nothing_else_changes() -> None:
    after = corrected(FOUND, [say(CYST, "confirmed")])
    assert after.findings == (CYST.model_copy(update={"confidence": 1.0}), OTHER)
    assert after.organ_states == FOUND.organ_states
    assert corrected(FOUND, []) == FOUND


def test_a_rejected_finding_leaves_no_absence_behind() -> None:
    after = corrected(FOUND, [say(CYST, "rejected")])
    assert after.findings == (OTHER,)
    assert [state.status for state in after.organ_states] == ["lesions_incomplete", "lesions_complete"]
    target = (lesion_labels.parse("kidney_lesion", organs=("kidney_left", "kidney_right")),)
    assert any(one.count.is_absent for one in constraints(FOUND.model_copy(update={"findings": (OTHER,)}), target)[0])
    assert not any(one.count.is_absent for one in constraints(after, target)[0])


def test_corrections_reach_the_constraints() -> None:
    verdict = say(CYST, "corrected", kind="tumour", side="right", diameters_mm=(12.0, 31.0))
    after = corrected(FOUND, [say(CYST, "rejected"), verdict]).findings[0]
    assert (after.kind, after.side, after.diameters_mm) == ("tumour", "right", (31.0, 12.0))
    assert (after.reader, after.confidence, after.size_qualifier) == ("person", 1.0, None)
    assert after.parts == ("upper pole",)
    target = (lesion_labels.parse("kidney_tumour", organs=("kidney_left", "kidney_right")),)
    (before,), (now,) = (
        [one for one in constraints(found, target)[0] if one.count.lo >= 1] or [None]
        for found in (FOUND, corrected(FOUND, [verdict]))
    )
    assert before is None  # a cyst is no tumour
    assert now is not None and now.region.side == "right"


def test_another_organ_loses_the_parts_of_the_first() -> None:
    after = corrected(FOUND, [say(CYST, "corrected", corrected_structure="adrenal_gland")])
    assert (after.findings[0].structure, after.findings[0].parts) == ("adrenal_gland", ())
    assert after.organ_states[0].status == "lesions_incomplete"
