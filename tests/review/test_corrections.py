"""What people said about findings on the page goes back as supervision."""

import pickle

from dictamen.cohort.store import Cohort
from dictamen.review.corrections import with_verdicts
from dictamen.supervision.feedback import FindingVerdict


def test_verdicts_change_the_findings_of_their_study_alone(livers: Cohort) -> None:
    read = livers.findings("first")
    assert read is not None
    (finding,) = read.findings
    said = {"study_id": "first", "span": finding.span, "structure": "liver"}
    wrong = FindingVerdict.model_validate(said | {"rater": "anna", "verdict": "rejected"})
    right = FindingVerdict.model_validate(said | {"rater": "ben", "verdict": "corrected", "kind": "metastasis"})
    stale = FindingVerdict.model_validate(said | {"rater": "ben", "verdict": "rejected", "span": (0, 3)})
    undone = FindingVerdict.model_validate(said | {"rater": "anna", "undoes": wrong.record_id})
    other, counts = with_verdicts(livers, [wrong, stale])
    assert counts == {"rejected": 1} and other.findings("first").findings == ()  # type: ignore[union-attr]
    other, counts = with_verdicts(livers, [wrong, right, undone])
    assert counts == {"corrected": 1}
    sent = pickle.loads(pickle.dumps(other))  # as to the workers of a data loader
    assert sent.findings("first").findings[0].kind == "metastasis"
    assert other.findings("second") == livers.findings("second") and livers.findings("first") == read
