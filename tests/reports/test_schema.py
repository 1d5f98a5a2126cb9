from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from dictamen.reports.rules import read_report
from dictamen.reports.schema import Finding, ReportFindings, json_schema

PUBLISHED = Path(__file__).parents[2] / "docs" / "findings.schema.json"
TEXT = (
    "Multiple liver cysts, the largest 31 mm. A 14 mm nodule in the left adrenal gland. The spleen is normal. "
    "Status post cholecystectomy. Possible lesion in the right kidney."
)


def test_the_published_json_schema_is_that_of_the_code() -> None:
    """Write it anew with: python -m dictamen.reports.schema > docs/findings.schema.json"""
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == json_schema()


def test_every_field_is_described_in_the_json_schema() -> None:
    finding = json_schema()["$defs"]["Finding"]
    assert set(finding["properties"]) == set(Finding.model_fields)


def test_organ_states_say_how_complete_the_report_is() -> None:
    report = read_report(TEXT, "S")
    liver, adrenal = report.state("liver"), report.state("adrenal_gland", "left")
    assert (liver.status, liver.count and liver.count.to_json(), liver.largest_mm) == (
        "lesions_incomplete", [2.0, None], 31.0,
    )  # fmt: skip
    assert (adrenal.status, adrenal.count and adrenal.count.to_json(), adrenal.side_known) == (
        "lesions_complete", [1.0, 1.0], True,
    )  # fmt: skip
    assert report.state("spleen").status == "lesion_free"
    assert report.state("gallbladder").status == "removed"
    assert report.state("pancreas").status == "not_mentioned"
    kidney = report.state("kidney", "right")
    assert (kidney.status, kidney.count and kidney.count.to_json()) == ("lesions_incomplete", [0.0, 1.0])
    assert kidney.confidence < adrenal.confidence


def test_rules_and_mentions_tell_how_a_finding_came_about() -> None:
    text = "FINDINGS: A 22 mm mass in the right kidney.\nIMPRESSION: Right renal mass, 22 mm."
    (finding,) = read_report(text, "S").findings
    assert finding.rules == ("sentence", "merged")
    assert [text[slice(*span)] for span in finding.mentions] == ["mass, 22 mm"]


def test_unknown_keys_are_errors() -> None:
    with pytest.raises(ValidationError, match="extra"):
        ReportFindings.model_validate({"study_id": "S", "lesions": []})
