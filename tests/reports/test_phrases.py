"""Phrases that mean one finding of a report and no other."""

from hypothesis import given
from hypothesis import strategies as st

from dictamen.reports.phrases import describe, phrases, refers, sentence_span
from dictamen.reports.rules import read_report
from dictamen.reports.schema import Finding

TEXT = (
    "FINDINGS: There is a 24 mm hypodense lesion in the upper pole of the left kidney. "
    "A 12 mm cyst is seen in the lower pole of the left kidney. No lesion in the spleen."
)


def finding(**values: object) -> Finding:
    base = {"study_id": "a", "kind": "cyst", "structure": "kidney", "side": "left", "span": (0, 1)}
    return Finding.model_validate({**base, **values})


def test_the_fullest_phrase_comes_first_and_all_are_of_this_finding() -> None:
    one, other = finding(diameters_mm=(24,), parts=("upper pole",)), finding(diameters_mm=(12,), side="right")
    found = phrases(one, [other])
    assert found[0] == "24 mm cyst in the upper pole of the left kidney"
    assert "cyst in the left kidney" in found and "larger cyst in the kidney" in found
    assert not [phrase for phrase in found if "right" in phrase or "smaller" in phrase]
    assert "cyst in the kidney" not in found  # both are
    assert "smaller lesion in the kidney" in phrases(other, [one])


def test_findings_that_nothing_tells_apart_have_no_phrase() -> None:
    assert phrases(finding(), [finding()]) == ()
    assert describe(finding()) == "cyst in the left kidney"


def test_what_is_not_known_of_another_finding_could_be_so() -> None:
    """A cyst without a stated size may be the 24 mm one; one without a side may be the left one."""
    assert not [p for p in phrases(finding(diameters_mm=(24,)), [finding()]) if "mm" in p and "left" in p]
    assert phrases(finding(), [finding(side=None)]) == ()


def test_the_largest_needs_all_sizes() -> None:
    sized = [finding(diameters_mm=(size,)) for size in (10, 20, 30)]
    assert "largest cyst in the left kidney" in phrases(sized[2], sized[:2])
    assert not [p for p in phrases(sized[2], [*sized[:2], finding()]) if "largest" in p]
    assert not [p for p in phrases(finding(diameters_mm=(31,)), sized) if "largest" in p]  # as good as equal


@given(st.permutations([(14.0, "left"), (22.0, "left"), (30.0, "right"), (9.0, "right")]))
def test_no_phrase_means_two_findings(facts: list[tuple[float, str]]) -> None:
    found = [finding(diameters_mm=(size,), side=side) for size, side in facts]
    said = [set(phrases(one, [other for other in found if other is not one])) for one in found]
    assert all(said)
    assert not any(said[i] & said[j] for i in range(4) for j in range(i))


def test_sentences_and_what_can_be_painted() -> None:
    report = read_report(TEXT, "a")
    there = [one for one in report.findings if refers(one)]
    assert len(there) == 2
    spans = [sentence_span(TEXT, one.span) for one in there]
    assert [TEXT[slice(*span)].strip()[:7] for span in spans] == ["There i", "A 12 mm"]
    assert sentence_span(TEXT, (0, 8))[0] >= 0
