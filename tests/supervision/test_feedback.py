"""Feedback records: what is consistent, what counts after corrections, how several raters become one row."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from dictamen.anatomy.region_scheme import RegionScheme
from dictamen.supervision.feedback import (
    FindingVerdict,
    RegionAnswer,
    current_answers,
    current_verdicts,
    known_first,
)
from dictamen.supervision.region_targets import DIRECTION_CODES, RegionTargets, balanced, region_targets
from dictamen.supervision.score_scale import ScoreScale

SCHEME = RegionScheme("slab").to_text()


def answer(**fields: Any) -> RegionAnswer:
    plain = {"study_id": "s1", "rater": "anna", "label": "spleen", "mask_sha256": "ab", "scheme": SCHEME, "region": 1}
    if not ({"undoes", "skipped", "score"} & set(fields)):
        fields |= {"score": 3, "direction": "over"}
    return RegionAnswer.model_validate(plain | fields)


@pytest.mark.parametrize(
    "wrong",
    [
        {"score": 5, "direction": "over"},
        {"score": 4, "direction": "none"},
        {"score": 4},
        {"score": 6, "direction": "over"},
        {"skipped": True, "score": 2, "direction": "over"},
        {"undoes": "x", "score": 2, "direction": "over"},
        {"region": 0},
        {"seconds": -1},
        {"colour": "red"},
        {"rater": ""},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_inconsistent_answers_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        answer(**wrong)


def test_the_latest_answer_of_each_rater_counts_until_taken_back() -> None:
    first, second = answer(), answer(score=2, direction="under")
    other = answer(rater="ben", score=5, direction="none")
    elsewhere = answer(region=2)
    assert current_answers([first, second, other, elsewhere]) == [second, other, elsewhere]
    undo = answer(undoes=second.record_id)
    assert current_answers([first, second, other, elsewhere, undo]) == [first, other, elsewhere]
    again = answer(undoes=first.record_id)
    assert current_answers([first, second, undo, again]) == []


def test_verdicts_say_what_is_right_exactly_when_corrected() -> None:
    plain: dict[str, Any] = {"study_id": "s1", "rater": "anna", "span": [3, 9], "structure": "kidney"}
    fine = FindingVerdict.model_validate(plain | {"verdict": "corrected", "side": "left"})
    assert FindingVerdict.model_validate_json(fine.model_dump_json()) == fine
    for wrong in ({"verdict": "corrected"}, {"verdict": "confirmed", "side": "left"}, {}, {"verdict": "maybe"}):
        with pytest.raises(ValidationError):
            FindingVerdict.model_validate(plain | wrong)
    later = FindingVerdict.model_validate(plain | {"verdict": "rejected"})
    assert current_verdicts([fine, later]) == [later]
    assert current_verdicts([fine, later, FindingVerdict.model_validate(plain | {"undoes": later.record_id})]) == [fine]


def test_a_known_answer_is_believed_alone() -> None:
    known, said, other = answer(gold=True, rater="known"), answer(score=1, direction="under"), answer(region=2)
    assert known_first([said, known, other]) == [known, other]
    assert known_first([said, other]) == [said, other]


def test_one_row_a_region() -> None:
    answers = [
        answer(),
        answer(rater="ben", score=4, direction="over"),
        answer(rater="carl", score=2, direction="under"),
        answer(region=3, score=1, direction="under"),
        answer(region=3, rater="ben", score=1, direction="over"),
        answer(region=4, skipped=True),
    ]
    scale = ScoreScale()
    table = region_targets(answers, regions=4, scale=scale)
    assert table.weight.tolist() == [1, 0, 1, 0] and table.answered == 2
    assert table.target[0] == pytest.approx(np.mean([scale.target(s) for s in (3, 4, 2)]))
    assert (table.lo[0], table.hi[0]) == pytest.approx((0.70, 0.97))
    assert table.direction.tolist() == [DIRECTION_CODES["over"], 0, DIRECTION_CODES["mixed"], 0]
    told = region_targets(answers, regions=4, rater_directions={3: "under"})
    assert told.direction[2] == DIRECTION_CODES["under"]


def test_balanced_directions_count_the_same_up_to_a_limit() -> None:
    def table(*directions: int) -> RegionTargets:
        full = np.ones(len(directions), dtype=np.float32)
        return RegionTargets(full, full, full, np.array(directions, dtype=np.uint8), (np.array(directions) > 0) * full)

    tables = [table(1, 1, 1, 4, 4, 0), table(1, 1, 1, 2, 4, 4)]
    after = balanced(tables)
    sums = [sum(float(t.weight[t.direction == code].sum()) for t in after) for code in (1, 2, 4)]
    assert sums == pytest.approx([11 / 3, 11 / 3, 11 / 3])
    assert after[0].weight[-1] == 0
    rare = balanced([table(*[1] * 60, 2)])[0]
    assert rare.weight[-1] == 4  # not the 30 that would make it even
    assert balanced([table(0)])[0].weight[0] == 0
