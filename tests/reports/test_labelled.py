"""The rule reader on our own labelled reports (benchmarks/reports/labelled), and the scorer that judges it."""

from __future__ import annotations

from typing import Any

import pytest
from scoring import Score, interval, labelled, pooled, score

from dictamen.interval import Interval
from dictamen.reports.rules import read_report
from dictamen.reports.schema import Finding, ReportFindings

GOLD: dict[str, Any] = {
    "id": "S",
    "text": "A 14 mm cyst in the upper pole of the left kidney.",
    "lesions": [{"organ": "kidney", "location": "left upper pole", "count": 1, "diameters_mm": [14], "type": "cyst"}],
    "organs_negative": ["spleen"],
}
REST = (("fourth", 30), ("fifth", 20), ("sixth", 20), ("seventh", 24), ("german", 8), ("german_second", 4))
RIGHT = Finding(
    study_id="S", kind="cyst", structure="kidney", side="left", parts=("upper pole",), diameters_mm=(14.0,), span=(0, 5)
)


@pytest.mark.parametrize(("name", "reports"), [*((name, 20) for name in ("first", "second", "third")), *REST])
def test_every_set_is_well_formed(name: str, reports: int) -> None:
    rows = labelled(name)
    assert len({row["id"] for row in rows}) == len(rows) == reports
    for row in rows:
        assert row["text"].strip() and row["phenomena"]
        for lesion in row["lesions"]:
            assert lesion["diameters_mm"] == sorted(lesion["diameters_mm"], reverse=True)
            assert lesion["count"] == "multiple" or lesion["count"] >= 1


def test_a_right_reading_scores_one() -> None:
    total, errors, _ = score(GOLD, ReportFindings(study_id="S", findings=(RIGHT,), clear_structures=("spleen",)))
    assert (total.f1, errors) == (1.0, [])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"diameters_mm": (20.0,)}, "wrong size"),
        ({"side": "right"}, "wrong place"),
        ({"count": Interval(2)}, "wrong count"),
        ({"kind": "tumour"}, "wrong kind"),
        ({"structure": "liver"}, "missed"),
    ],
)
def test_each_wrong_attribute_is_named(change: dict[str, Any], what: str) -> None:
    read = ReportFindings(study_id="S", findings=(RIGHT.model_copy(update=change),), clear_structures=("spleen",))
    assert what in [error.what for error in score(GOLD, read)[1]]


def test_clearing_a_diseased_organ_is_a_contradiction() -> None:
    total, errors, _ = score(
        GOLD, ReportFindings(study_id="S", findings=(RIGHT,), clear_structures=("kidney", "spleen"))
    )
    assert total.counts["contradiction"] == 1
    assert errors[0].what == "contradiction"


def test_the_interval_holds_the_figure() -> None:
    scores = pooled(labelled("first"), read_report)[0]
    low, high = interval(scores, lambda part: part.f1, draws=200)
    assert low <= sum(scores, Score()).f1 <= high
