"""Reports to constraints."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supervision_builders import KIDNEY_CYST, KIDNEY_LESION, KIDNEY_TUMOUR, LIVER_TUMOUR, finding, report, state

from dictamen.anatomy.lesion_labels import LesionLabel, parse
from dictamen.interval import Interval
from dictamen.reports.schema import Finding, ReportFindings
from dictamen.supervision.constraint import Constraint, Region
from dictamen.supervision.from_findings import constraints
from dictamen.supervision.study_regions import kind_of


def made(
    said: ReportFindings, target: LesionLabel = KIDNEY_TUMOUR
) -> dict[tuple[str | None, tuple[str, ...]], Constraint]:
    """Constraints of one label by (side, parts)."""
    found = constraints(said, [target])[0]
    return {(c.region.side, c.region.parts): c for c in found}


def reasons(said: ReportFindings, target: LesionLabel = KIDNEY_TUMOUR) -> list[str]:
    return [item.reason for item in constraints(said, [target])[1]]


def test_a_lesion_free_organ_is_absent() -> None:
    for said in (report(clear_structures=("kidney",)), report(organ_states=(state("kidney", "lesion_free"),))):
        (constraint,) = made(said).values()
        assert constraint.region == Region("kidney")
        assert constraint.count.is_absent
        assert constraint.volume_mm3.is_absent
        assert constraint.rest == "negative"
        assert constraint.weight == 1


def test_an_organ_that_is_not_mentioned_is_unknown_not_negative() -> None:
    (constraint,) = made(report(finding("liver", diameters_mm=(20,)))).values()
    assert constraint.count == Interval()
    assert constraint.weight == 0
    assert "no label in this organ" in reasons(report(finding("liver")))


def test_a_side_says_nothing_about_the_other() -> None:
    said = made(report(finding(side="left", diameters_mm=(23,))))
    assert said["left", ()].count == Interval.exact(1)
    assert said["left", ()].rest == "negative"
    assert kind_of(said["right", ()]) == "unknown"


@pytest.mark.parametrize(
    "fields", [{"clear_structures": ("kidney:right",)}, {"organ_states": (state("kidney", "lesions_complete"),)}]
)
def test_a_complete_report_clears_the_other_side(fields: dict[str, object]) -> None:
    said = made(report(finding(side="left", diameters_mm=(23,)), **fields))
    assert kind_of(said["right", ()]) == "absent"


def test_an_unknown_side_is_the_side_that_is_left() -> None:
    said = made(report(finding(diameters_mm=(23,)), clear_structures=("kidney:right",)))
    assert set(said) == {("left", ()), ("right", ())}
    assert kind_of(said["left", ()]) == "positive"


def test_a_part_leaves_the_rest_of_the_organ_unknown_unless_complete() -> None:
    lesion = finding(side="left", parts=("upper pole",), diameters_mm=(23,))
    assert kind_of(made(report(lesion))[None, ()]) == "unknown"
    complete = made(report(lesion, organ_states=(state("kidney", "lesions_complete"),)))
    assert set(complete) == {("left", ("upper pole",)), ("right", ())}


def test_one_lesion_with_a_part_and_one_without_share_the_organ() -> None:
    said = made(
        report(
            finding(side="left", parts=("upper pole",), diameters_mm=(10,)), finding(side="left", diameters_mm=(30,))
        )
    )
    joint = said["left", ()]
    assert joint.count == Interval.exact(2)
    assert [size.diameters_mm[0] for size in joint.lesions if size.diameters_mm] == [30, 10]
    assert ("left", ("upper pole",)) not in said


def test_multiple_gives_lower_bounds_and_ignores_the_rest() -> None:
    group = finding("liver", "metastasis", count=(2, math.inf), diameters_mm=(20,), size_qualifier="max")
    (constraint,) = made(report(group), LIVER_TUMOUR).values()
    assert constraint.count == Interval(2, math.inf)
    assert constraint.volume_mm3.lo > 0
    assert math.isinf(constraint.volume_mm3.hi)
    assert constraint.rest == "ignore"
    assert [size.diameters_mm is not None for size in constraint.lesions] == [True, False]


def test_a_group_and_its_examples_count_once() -> None:
    group = finding("liver", "metastasis", count=(2, math.inf), diameters_mm=(30,), size_qualifier="max")
    examples = [
        finding("liver", "metastasis", parts=(f"segment {n}",), diameters_mm=(d,)) for n, d in ((6, 30), (4, 12))
    ]
    (constraint,) = made(report(group, *examples), LIVER_TUMOUR).values()
    assert constraint.count.lo == 2
    assert [size.diameters_mm[0] for size in constraint.lesions if size.diameters_mm] == [30, 12]


def test_unknown_size_has_a_lesion_without_diameters() -> None:
    constraint = made(report(finding(side="left")))["left", ()]
    assert constraint.lesions[0].diameters_mm is None
    assert constraint.rest == "ignore"


def test_possible_has_no_lower_bound_and_less_weight() -> None:
    constraint = made(report(finding(side="left", diameters_mm=(8,), existence="possible", confidence=0.8)))["left", ()]
    assert constraint.count == Interval(0, 1)
    assert constraint.volume_mm3.lo == 0
    assert constraint.weight == pytest.approx(0.4)
    assert not constraint.lesions


def test_an_uncertain_kind_is_no_tumour_for_certain_but_a_lesion() -> None:
    said = report(finding(kind="uncertain", side="left", diameters_mm=(8,)))
    assert made(said)["left", ()].count.lo == 0
    assert made(said, KIDNEY_LESION)["left", ()].count == Interval.exact(1)


def test_a_cyst_is_no_tumour() -> None:
    cyst = finding(kind="cyst", side="left", diameters_mm=(20,))
    assert all(
        kind_of(c) == "unknown"
        for c in made(report(cyst, organ_states=(state("kidney", "lesions_incomplete"),))).values()
    )
    no_mass = finding(kind="tumour", existence="absent")
    (constraint,) = made(report(cyst, no_mass)).values()
    assert kind_of(constraint) == "absent"
    assert made(report(cyst, no_mass), KIDNEY_CYST)["left", ()].count == Interval.exact(1)


def test_no_metastasis_says_nothing_on_cysts() -> None:
    said = report(finding("kidney", "metastasis", existence="absent"))
    assert kind_of(*made(said, KIDNEY_CYST).values()) == "unknown"
    assert "an absence of another kind than the label's" in reasons(said, KIDNEY_CYST)


def test_prior_and_resolved_findings_are_deferred() -> None:
    said = report(finding(temporal="prior", diameters_mm=(9,)), finding(trend="resolved"))
    assert [kind_of(c) for c in made(said).values()] == ["unknown"]
    assert reasons(said) == ["a finding of a prior study", "a resolved finding"]


def test_a_removed_organ_is_absent_with_caution() -> None:
    said = made(report(removed_structures=("kidney:left",), clear_structures=("kidney:right",)))
    assert said["left", ()].count.is_absent
    assert said["left", ()].weight < said["right", ()].weight


def test_bilateral_means_at_least_one_on_each_side() -> None:
    said = made(report(finding(side="bilateral", count=(2, math.inf), diameters_mm=(30,), size_qualifier="max")))
    assert said["left", ()].count == said["right", ()].count == Interval(1, math.inf)


def test_a_label_of_one_side_ignores_the_other() -> None:
    target = parse("left_kidney_tumour")
    said = report(finding(side="right", diameters_mm=(20,)), clear_structures=("kidney:left",))
    (constraint,) = made(said, target).values()
    assert constraint.region.side == "left"
    assert kind_of(constraint) == "absent"
    assert "on the other side than the label's" in reasons(said, target)


def test_a_contradicted_clear_organ_does_not_make_negatives() -> None:
    said = report(finding(side="left", diameters_mm=(20,)), clear_structures=("kidney",))
    assert made(said)["left", ()].rest == "ignore"
    assert "a lesion in an organ that is called clear or removed" in reasons(said)


def test_a_label_without_organ_is_deferred() -> None:
    found, deferred = constraints(report(), [LesionLabel("lesion", None, KIDNEY_LESION.kinds)])
    assert not found
    assert [item.reason for item in deferred] == ["the label names no organ"]


def test_limited_studies_weigh_less() -> None:
    (constraint,) = made(report(organ_states=(state("kidney", "lesion_free", limited=True),))).values()
    assert constraint.weight == 0.5


sides = st.sampled_from([None, "left", "right", "bilateral"])
any_finding = st.builds(
    lambda structure, kind, count, **fields: finding(structure, kind, count=count, **fields),
    st.sampled_from(["kidney", "liver"]),
    st.sampled_from(["cyst", "tumour", "metastasis", "benign", "malignant", "uncertain"]),
    st.sampled_from([(1, 1), (2, 2), (2, math.inf), (1, math.inf), (3, 5), (0, 0)]),
    side=sides,
    parts=st.sampled_from([(), ("upper pole",), ("lower pole",), ("upper pole", "mid")]),
    diameters_mm=st.lists(st.integers(2, 150).map(float), max_size=3).map(lambda d: tuple(sorted(d, reverse=True))),
    size_qualifier=st.sampled_from([None, "exact", "approx", "max", "min", "subcentimetre", "tiny", "large"]),
    existence=st.sampled_from(["present", "present", "possible", "absent"]),
    kind_certainty=st.sampled_from(["certain", "probable", "possible"]),
    temporal=st.sampled_from(["current", "current", "current", "prior"]),
    trend=st.sampled_from([None, "stable", "resolved"]),
    confidence=st.sampled_from([0.3, 0.9, 1.0]),
)
entries = st.lists(st.sampled_from(["kidney", "kidney:left", "kidney:right", "liver"]), max_size=2).map(tuple)
statuses = st.builds(
    state,
    st.sampled_from(["kidney", "liver"]),
    st.sampled_from(["lesion_free", "lesions_complete", "lesions_incomplete", "not_mentioned", "removed"]),
    st.sampled_from([None, "left", "right"]),
    limited=st.booleans(),
)
reports = st.builds(
    lambda found, clear, removed, states: report(
        *found, clear_structures=clear, removed_structures=removed, organ_states=states
    ),
    st.lists(any_finding, max_size=5), entries, entries, st.lists(statuses, max_size=2).map(tuple),
)  # fmt: skip
targets = st.sampled_from([KIDNEY_TUMOUR, KIDNEY_LESION, KIDNEY_CYST, LIVER_TUMOUR, parse("left_kidney_tumour")])


def _sides(constraint: Constraint) -> set[str]:
    return {constraint.region.side} if constraint.region.side in ("left", "right") else {"left", "right"}


@given(reports, targets)
def test_whatever_is_said_there_is_no_contradiction(said: ReportFindings, target: LesionLabel) -> None:
    found, deferred = constraints(said, [target])
    assert found
    assert len({(c.region.side, c.region.parts) for c in found if kind_of(c) != "unknown"}) == len(
        [c for c in found if kind_of(c) != "unknown"]
    )
    for constraint in found:
        _is_consistent(constraint)
    positive = [c for c in found if kind_of(c) in ("positive", "possible")]
    absent = [c for c in found if kind_of(c) == "absent"]
    assert not any(_sides(p) & _sides(a) for p in positive for a in absent)
    for one in positive:
        for other in positive:
            if one is not other and _sides(one) & _sides(other):
                assert one.region.parts and other.region.parts
                assert not set(one.region.parts) & set(other.region.parts)
    assert all(item.study_id == "s" for item in deferred)


def _is_consistent(constraint: Constraint) -> None:
    assert 0 <= constraint.weight <= 1
    assert constraint.count.is_absent == constraint.volume_mm3.is_absent
    assert sum(size.volume_mm3.lo for size in constraint.lesions) <= constraint.volume_mm3.lo * (1 + 1e-9) or not all(
        size.diameters_mm for size in constraint.lesions
    )
    assert len(constraint.lesions) <= constraint.count.hi
    known = [size.diameters_mm is not None for size in constraint.lesions]
    assert known == sorted(known, reverse=True)
    largest = [size.diameters_mm[0] for size in constraint.lesions if size.diameters_mm is not None]
    assert largest == sorted(largest, reverse=True)
    if kind_of(constraint) in ("unknown", "possible"):
        assert constraint.rest == "ignore"
        assert not constraint.lesions


@given(reports, targets)
def test_nothing_said_is_dropped(said: ReportFindings, target: LesionLabel) -> None:
    found, deferred = constraints(said, [target])
    used = {span for constraint in found for span in constraint.spans}
    unused = [f for f in said.findings if f.span not in used and f.structure == target.structure]
    assert len([item for item in deferred if item.label]) >= len(unused)


@given(reports, any_finding)
def test_a_present_lesion_is_never_made_negative_by_other_statements(said: ReportFindings, other: Finding) -> None:
    lesion = finding(side="left", diameters_mm=(20,))
    more = said.model_copy(update={"findings": (*said.findings, other, lesion)})
    there = [c for c in constraints(more, [KIDNEY_TUMOUR])[0] if lesion.span in c.spans and c.count.lo >= 1]
    assert len(there) == 1
    assert there[0].volume_mm3.hi >= there[0].volume_mm3.lo > 0
