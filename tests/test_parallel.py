import os
import threading
from functools import partial

import pytest

from dictamen.errors import InputError, ResourceError, UsageError
from dictamen.parallel import map_stages, map_studies

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


def test_stages_give_the_same_as_one_function() -> None:
    outcomes = list(map_stages(lambda n: n, partial(work, bad=2), str, ITEMS))
    assert [(o.study_id, o.value) for o in outcomes] == [
        (f"s{n}", None if n == 2 else str(n * n)) for n in range(len(ITEMS))
    ]
    assert outcomes[2].error is not None and outcomes[2].error.where == "s2"


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_failure_in_any_stage_stops_that_study_only(stage: int) -> None:
    stages = [partial(work, bad=1) if number == stage else (lambda n: n) for number in range(3)]
    outcomes = list(map_stages(*stages, [("s0", 0), ("s1", 1), ("s2", 2)]))
    assert [o.error is None for o in outcomes] == [True, False, True]


def test_the_next_is_read_and_the_last_written_while_one_is_computed() -> None:
    """Each waits for what only goes on at the same time; in turns they would wait for ever."""
    read, written = threading.Event(), threading.Event()

    def reading(number: int) -> int:
        if number == 1:
            read.set()
        return number

    def computing(number: int) -> int:
        assert read.wait(30)
        assert number == 0 or written.wait(30)
        return number

    def writing(number: int) -> int:
        written.set()
        return number

    assert [o.value for o in map_stages(reading, computing, writing, [("a", 0), ("b", 1)])] == [0, 1]


def test_what_is_being_written_at_an_interruption_is_written_to_its_end() -> None:
    written: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        list(map_stages(lambda n: n, stop, lambda n: written.append(n) or n, ITEMS))
    assert written == [0, 1, 2]


def test_a_full_disk_in_a_stage_stops_everything() -> None:
    computed: list[int] = []
    with pytest.raises(ResourceError):
        list(map_stages(lambda n: n, lambda n: computed.append(n) or n, full, ITEMS))
    assert len(computed) <= 2
