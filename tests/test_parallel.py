import os
from functools import partial

import pytest

from dictamen.errors import InputError, ResourceError, UsageError
from dictamen.parallel import map_studies

ITEMS = [(f"s{i}", i) for i in range(6)]


def work(number: int, *, bad: int = -1) -> int:
    if number == bad:
        raise InputError("A bad study.", where=f"s{number}")
    return number * number


def defect(number: int) -> int:
    return {0: 1}[number]


def threads(number: int) -> str | None:
    return os.environ.get("OMP_NUM_THREADS")


def full(number: int) -> int:
    raise ResourceError("The disk is full.")


def huge(number: int) -> int:
    if number == 2:
        raise MemoryError
    return number


def stop(number: int) -> int:
    if number == 3:
        raise KeyboardInterrupt
    return number


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_keep_their_order_and_a_failure_is_a_value(jobs: int) -> None:
    outcomes = list(map_studies(partial(work, bad=2), ITEMS, jobs=jobs))
    assert [o.study_id for o in outcomes] == [name for name, _ in ITEMS]
    assert [o.value for o in outcomes] == [0, 1, None, 9, 16, 25]
    assert isinstance(outcomes[2].error, InputError)
    assert outcomes[2].error.where == "s2"


def test_workers_use_one_thread() -> None:
    assert {o.value for o in map_studies(threads, ITEMS, jobs=2)} == {"1"}


def test_a_defect_names_its_kind_and_place_but_not_its_words() -> None:
    outcome = list(map_studies(defect, ITEMS))[1]
    assert "KeyError at test_parallel.py" in str(outcome.error)


def test_disk_full_stops_everything() -> None:
    with pytest.raises(ResourceError, match="disk is full"):
        list(map_studies(full, ITEMS))


def test_a_study_too_large_for_memory_is_one_failure() -> None:
    outcomes = list(map_studies(huge, ITEMS))
    assert [o.study_id for o in outcomes if o.error] == ["s2"]


def test_interrupt_passes_through_after_what_is_done() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt):
        for outcome in map_studies(stop, ITEMS):
            done.append(outcome.study_id)
    assert done == ["s0", "s1", "s2"]


def test_progress_counts_every_study() -> None:
    seen: list[tuple[int, int]] = []
    list(map_studies(partial(work, bad=1), ITEMS, progress=lambda done, total: seen.append((done, total))))
    assert seen == [(i, 6) for i in range(1, 7)]


def test_jobs_must_be_positive() -> None:
    with pytest.raises(UsageError, match="jobs"):
        list(map_studies(work, ITEMS, jobs=0))


def test_nothing_to_do() -> None:
    assert list(map_studies(work, [], jobs=2)) == []
