"""Some damaged inputs of each kind; benchmarks/robustness/fuzz.py tries thousands under limits of memory and time."""

from pathlib import Path

import pytest
from fuzzing import TARGETS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = 40


@pytest.mark.parametrize("kind", TARGETS)
def test_damaged_inputs_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    made, read = TARGETS[kind](tmp_path)

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(made)
    def attempt(one: object) -> None:
        read(one)

    attempt()


def test_an_error_that_is_not_ours_would_be_found(tmp_path: Path) -> None:
    @settings(max_examples=EXAMPLES, database=None)
    @given(st.binary())
    def attempt(data: bytes) -> None:
        data.decode("ascii")

    with pytest.raises(UnicodeDecodeError):
        attempt()
