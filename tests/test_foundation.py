"""Errors, intervals, files."""

import errno
import math
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dictamen.errors import DictamenError, InputError, ResourceError, UsageError, resource_errors
from dictamen.files import atomic_path, output_folder, write_json, write_text
from dictamen.interval import Interval

ends = st.floats(0, 1e9)


def test_errors_say_everything_and_survive_a_process_boundary() -> None:
    error = InputError("Bad.", where="study A", got=3, expected=4, next_step="do that")
    assert str(error) == "Bad. Where: study A. Received: 3. Expected: 4. Next: do that."
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (InputError, str(error))
    assert error.to_dict() == {
        "error": "InputError",
        "what": "Bad.",
        "where": "study A",
        "got": "3",
        "expected": "4",
        "next": "do that",
    }


def test_exit_codes() -> None:
    assert [kind.exit_code for kind in (DictamenError, UsageError, InputError, ResourceError)] == [1, 2, 3, 4]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_resource_errors_name_the_place(number: int) -> None:
    with pytest.raises(ResourceError, match=r"out\.json"), resource_errors("out.json"):
        raise OSError(number, "x")


def test_other_os_errors_pass() -> None:
    with pytest.raises(FileNotFoundError), resource_errors("x"):
        raise FileNotFoundError(errno.ENOENT, "x")


@given(ends, ends, ends, ends)
def test_interval_sum_contains_the_sum_of_members(a: float, b: float, c: float, d: float) -> None:
    first, second = Interval(*sorted((a, b))), Interval(*sorted((c, d)))
    assert first.lo + second.lo in first + second
    assert first.hi + second.hi in first + second


@given(ends, st.one_of(st.none(), ends))
def test_interval_json_round_trip(lo: float, hi: float | None) -> None:
    interval = Interval(lo, math.inf if hi is None else max(lo, hi))
    assert Interval.from_json(interval.to_json()) == interval


@pytest.mark.parametrize("pair", [(2, 1), (-1, 1), (math.nan, 1)])
def test_wrong_intervals_are_refused(pair: tuple[float, float]) -> None:
    with pytest.raises(InputError):
        Interval(*pair)


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text(encoding="utf-8") == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_nan_is_never_written_as_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"a": math.nan})


def test_output_folder_refuses_a_file_and_a_full_folder(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "1")
    with pytest.raises(UsageError, match="not empty"):
        output_folder(tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        output_folder(tmp_path / "x")
    assert output_folder(tmp_path, resume=True) == tmp_path
    assert output_folder(tmp_path / "new" / "deep").is_dir()
