from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dictamen.cohort.splits import by_patient, conflicts
from dictamen.errors import InputError


@given(st.dictionaries(st.text(min_size=1, max_size=4), st.sampled_from("ABCDEFGH"), max_size=40), st.integers(0, 5))
def test_a_patient_is_in_one_split(patients: dict[str, str], seed: int) -> None:
    split = by_patient(patients, seed=seed)
    assert split.keys() == patients.keys()
    for patient in patients.values():
        assert len({split[study] for study, other in patients.items() if other == patient}) == 1


@pytest.mark.parametrize("number", [3, 10, 100, 333])
def test_shares(number: int) -> None:
    counts = Counter(by_patient({str(i): str(i) for i in range(number)}, seed=1).values())
    assert counts["train"] == pytest.approx(0.7 * number, abs=1.5)
    assert counts["val"] >= 1
    assert counts["test"] >= 1


def test_each_stratum_is_divided() -> None:
    patients = {str(i): str(i) for i in range(40)}
    strata = {name: "masks" if int(name) < 10 else "other" for name in patients}
    split = by_patient(patients, seed=3, strata=strata)
    masks = Counter(split[name] for name in patients if strata[name] == "masks")
    assert masks == {"train": 7, "val": 1, "test": 2}


def test_same_seed_same_splits_whatever_the_order() -> None:
    patients = {str(i): f"p{i // 2}" for i in range(60)}
    turned = dict(reversed(patients.items()))
    assert by_patient(patients, seed=7) == by_patient(turned, seed=7)
    assert by_patient(patients, seed=7) != by_patient(patients, seed=8)


def test_given_splits_hold_and_other_studies_follow() -> None:
    patients = {"a1": "A", "a2": "A", "b": "B", "c": "C"}
    split = by_patient(patients, seed=0, given={"a1": "test"})
    assert split["a1"] == split["a2"] == "test"


def test_a_patient_given_to_two_splits_is_an_error() -> None:
    patients = {"a1": "A", "a2": "A", "b": "B"}
    wrong = {"a1": "train", "a2": "test", "b": "val"}
    assert conflicts(patients, wrong) == ["a1", "a2"]
    with pytest.raises(InputError) as error:
        by_patient(patients, seed=0, given=wrong)
    assert "a1" in str(error.value)
    assert " A" not in str(error.value)
