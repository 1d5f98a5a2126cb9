"""The table in docs/supervision.md is true."""

from pathlib import Path

import pytest
from supervision_builders import KIDNEY_TUMOUR

from dictamen.reports.rules import read_report
from dictamen.supervision.from_findings import constraints
from dictamen.supervision.picture import describe

PAGE = Path(__file__).parents[2] / "docs" / "supervision.md"
ROWS = [
    line.strip("| \n").split(" | ")
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| The")
]


@pytest.mark.parametrize(("sentence", "expected"), ROWS)
def test_each_sentence_becomes_these_constraints(sentence: str, expected: str) -> None:
    found = constraints(read_report(sentence, "s"), [KIDNEY_TUMOUR])[0]
    assert "; ".join(describe(constraint) for constraint in found) == expected


def test_the_table_was_found() -> None:
    assert len(ROWS) == 6
