import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dictamen.cohort.sampling import StratifiedSampler, patch_start, start_containing
from dictamen.errors import UsageError

GROUPS = {"masks": [f"m{i}" for i in range(6)], "report": [f"r{i}" for i in range(17)]}
sizes = st.tuples(*[st.integers(1, 40)] * 3)


@given(st.integers(1, 4), st.integers(0, 5), st.integers(0, 99))
def test_each_batch_holds_what_was_asked_for(masks: int, reports: int, seed: int) -> None:
    sampler = StratifiedSampler(GROUPS, {"masks": masks, "report": reports}, seed)
    for step in (0, 3, 1000):
        groups = [group for group, _ in sampler.batch(step)]
        assert groups == ["masks"] * masks + ["report"] * reports


@given(st.integers(1, 5), st.integers(0, 99))
def test_every_study_is_seen_equally_often(per_batch: int, seed: int) -> None:
    sampler = StratifiedSampler(GROUPS, {"report": per_batch}, seed)
    drawn = [study for step in range(17) for _, study in sampler.batch(step)]
    assert Counter(drawn) == dict.fromkeys(GROUPS["report"], per_batch)


def test_a_pure_function_of_seed_and_step() -> None:
    first = StratifiedSampler(GROUPS, {"masks": 2, "report": 3}, 5)
    forwards = [first.batch(step) for step in range(50)]
    again = pickle.loads(pickle.dumps(StratifiedSampler(GROUPS, {"masks": 2, "report": 3}, 5)))
    assert [again.batch(step) for step in reversed(range(50))] == forwards[::-1]
    assert [StratifiedSampler(GROUPS, {"masks": 2, "report": 3}, 6).batch(s) for s in range(50)] != forwards


def test_epochs_differ_in_order() -> None:
    sampler = StratifiedSampler(GROUPS, {"report": 17}, 0)
    assert sampler.batch(0) != sampler.batch(1)
    assert sampler.steps_per_epoch("report") == 1


def test_an_empty_group_is_an_error_only_where_it_is_used() -> None:
    groups = {**GROUPS, "none": []}
    assert StratifiedSampler(groups, {"masks": 1, "none": 0}, 0).batch(0)
    with pytest.raises(UsageError, match="`none`"):
        StratifiedSampler(groups, {"none": 1}, 0)
    with pytest.raises(UsageError, match="negative"):
        StratifiedSampler(groups, {"masks": -1}, 0)


@given(sizes, sizes, st.integers(0, 1000), st.booleans(), st.data())
def test_patches_stay_inside_or_hold_the_volume_centred(
    shape: tuple[int, int, int], size: tuple[int, int, int], seed: int, boxed: bool, data: st.DataObject
) -> None:
    box = None
    if boxed:
        lo = [data.draw(st.integers(0, n - 1)) for n in shape]
        box = [lo, [data.draw(st.integers(a + 1, n)) for a, n in zip(lo, shape, strict=True)]]
    start = patch_start(shape, size, box=box, rng=np.random.default_rng(seed))
    for s, n, w in zip(start, shape, size, strict=True):
        if w <= n:
            assert 0 <= s <= n - w
        else:
            before, after = -s, s + w - n
            assert before >= 0
            assert after >= 0
            assert abs(before - after) <= 1


@given(st.integers(0, 2000))
def test_a_patch_on_a_box_shows_a_part_of_it(seed: int) -> None:
    box = [[10, 50, 3], [14, 54, 6]]
    start = np.array(patch_start((100, 100, 40), (32, 32, 16), box=box, rng=np.random.default_rng(seed)))
    assert (start < box[1]).all()
    assert (start + np.array([32, 32, 16]) > box[0]).all()


def test_without_a_box_every_position_occurs() -> None:
    rng = np.random.default_rng(0)
    starts = Counter(patch_start((5, 4, 4), (3, 4, 4), rng=rng)[0] for _ in range(300))
    assert set(starts) == {0, 1, 2}
    assert min(starts.values()) > 60


@given(st.lists(st.integers(1, 60), min_size=3, max_size=3), st.integers(0, 2**31), st.data())
def test_a_patch_that_is_large_enough_holds_the_whole_box(shape: list[int], seed: int, data: st.DataObject) -> None:
    lo = [data.draw(st.integers(0, n - 1)) for n in shape]
    hi = [data.draw(st.integers(a + 1, n)) for a, n in zip(lo, shape, strict=True)]
    size = [data.draw(st.integers(1, 70)) for _ in shape]
    start = start_containing(shape, size, [lo, hi], rng=np.random.default_rng(seed))
    for begin, a, b, window, extent in zip(start, lo, hi, size, shape, strict=True):
        if b - a <= window:
            assert begin <= a
            assert b <= begin + window
        else:
            assert a <= begin
            assert begin + window <= b
        if extent >= window:
            assert 0 <= begin <= extent - window
