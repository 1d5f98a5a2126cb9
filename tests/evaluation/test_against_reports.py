import math

import pytest

from dictamen.evaluation.against_reports import is_healthy, report_truth
from dictamen.interval import Interval
from dictamen.reports.schema import Finding, ReportFindings
from dictamen.supervision.constraint import Constraint, LesionSize, Region

ONE, NONE, ANY = Interval.exact(1), Interval.exact(0), Interval()
LABEL = "kidney_tumour"


def constraint(
    count: Interval,
    side: str | None = None,
    *,
    diameter: float | None = None,
    spread: float = 2.0,
    parts: tuple[str, ...] = (),
) -> Constraint:
    sizes = () if diameter is None else (LesionSize((diameter,) * 3, Interval(100.0, 100.0 * spread)),)
    return Constraint(LABEL, Region("kidney", side, parts), count, ANY, sizes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("constraints", "study", "left", "right"),
    [
        ([constraint(ONE, "left"), constraint(NONE, "right")], "present", "present", "absent"),
        ([constraint(NONE, "left"), constraint(NONE, "right")], "absent", "absent", "absent"),
        ([constraint(NONE)], "absent", "absent", "absent"),
        ([constraint(NONE, "left"), constraint(ANY, "right")], "unknown", "absent", "unknown"),
        ([constraint(ONE, "bilateral")], "present", "unknown", "unknown"),  # "a renal mass": on which side?
        ([constraint(Interval(0, 1), "left"), constraint(NONE, "right")], "unknown", "unknown", "absent"),  # possible
        ([], "unknown", "unknown", "unknown"),
    ],
)  # fmt: skip
def test_states(constraints: list[Constraint], study: str, left: str, right: str) -> None:
    assert report_truth(constraints, LABEL).state == study
    assert report_truth(constraints, LABEL, side="left").state == left
    assert report_truth(constraints, LABEL, side="right").state == right


def test_other_labels_do_not_matter() -> None:
    assert report_truth([constraint(ONE, "left")], "liver_tumour").state == "unknown"


def test_description() -> None:
    truth = report_truth(
        [constraint(ONE, "left", diameter=21, parts=("upper pole",)), constraint(NONE, "right")], LABEL
    )
    assert (truth.count, truth.diameter_mm, truth.parts, truth.side) == (ONE, 21, ("upper pole",), "left")
    assert [truth.count_error(n) for n in (0, 1, 3)] == [-1, 0, 2]


def test_bounds_and_lesions_without_size_give_no_diameter() -> None:
    assert report_truth([constraint(ONE, diameter=20, spread=22)], LABEL).diameter_mm is None
    sized = constraint(Interval(2, 2), diameter=20)
    unsized = Constraint(LABEL, Region("kidney"), ONE, ANY, (LesionSize(None, ANY),))
    assert report_truth([sized, unsized], LABEL).diameter_mm is None


def test_an_open_side_opens_the_count() -> None:
    truth = report_truth([constraint(ONE, "left"), constraint(ANY, "right")], LABEL)
    assert truth.count == Interval(1, math.inf) and truth.count_error(7) == 0


def test_healthy_is_without_any_current_finding() -> None:
    def report(**fields: object) -> ReportFindings:
        finding = Finding(study_id="S", kind="cyst", structure="liver", span=(0, 1), **fields)  # type: ignore[arg-type]
        return ReportFindings(study_id="S", findings=(finding,))

    assert is_healthy(ReportFindings(study_id="S"))
    assert (
        is_healthy(report(existence="absent"))
        and is_healthy(report(temporal="prior"))
        and is_healthy(report(trend="resolved"))
    )
    assert not is_healthy(report()) and not is_healthy(report(existence="possible"))
