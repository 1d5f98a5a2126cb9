"""A real language model, where one is given: DICTAMEN_LLM_URL and DICTAMEN_LLM_MODEL (docs/reports.md says how).

A small model's nonsense must not reach the findings: what the reader takes from it stands in the text.
"""

from __future__ import annotations

import os

import pytest

from dictamen.reports.llm_reader import LlmReader
from dictamen.reports.llm_server import Server
from dictamen.reports.rules import read_report

URL, MODEL = os.environ.get("DICTAMEN_LLM_URL"), os.environ.get("DICTAMEN_LLM_MODEL", "model")
REPORTS = (
    "FINDINGS: A 14 mm cyst in the left kidney. The aorta measures 32 mm. No nodule in the spleen.",
    "Liver: 25 mm lesion in segment 6, previously 19 mm. The pancreas is normal.",
)


@pytest.mark.skipif(URL is None, reason="no language model: DICTAMEN_LLM_URL is not set")
@pytest.mark.parametrize("text", REPORTS)
def test_only_what_the_text_says_is_taken(text: str) -> None:
    assert URL is not None
    with Server(URL, MODEL) as server:
        report = LlmReader(server, which="all").read(text, "S")
    rules = read_report(text, "S")
    assert {(f.structure, f.diameters_mm) for f in rules.findings} <= {
        (f.structure, f.diameters_mm) for f in report.findings
    }
    for finding in report.findings:
        assert finding.reader == "rules" or all(
            f"{size:g}" in text or f"{size / 10:g}" in text for size in finding.diameters_mm
        )
    assert not {f.structure for f in report.findings} & {"spleen", "aorta"}
