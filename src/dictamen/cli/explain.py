"""One report in the terminal: its text with the findings marked, and why each was read as it was."""

from __future__ import annotations

from rich.text import Text

from dictamen.reports.highlights import describe, describe_state, segments
from dictamen.reports.schema import Finding, ReportFindings

_STYLES = {
    "cyst": "black on cyan",
    "benign": "black on green",
    "uncertain": "black on yellow",
    "tumour": "black on bright_red",
    "malignant": "white on red",
    "metastasis": "white on red",
    "possible": "black on magenta",
    "prior": "strike",
    "lesion_free": "green",
    "removed": "dim underline",
    "flag": "bold red",
}
"""Colours by the last word of a segment's style; the page of `--html` uses the same kinds."""


def explained(text: str, report: ReportFindings) -> Text:
    """The report, then a line on each finding, organ state and flag; numbers join marks and lines."""
    shown = Text()
    numbers = {finding.span[0]: number for number, finding in enumerate(report.findings, start=1)}
    offset = 0
    for segment in segments(text, report):
        shown.append(segment.text, style=_STYLES.get(segment.style.split(" ")[-1], ""))
        if offset in numbers:
            shown.append(f"[{numbers[offset]}]", style="bold")
        offset += len(segment.text)
    shown.append(f"\n\nFindings ({report.reader}, lexicon {report.lexicon_hash})\n", style="bold")
    for number, finding in enumerate(report.findings, start=1):
        shown.append(f"[{number}] {describe(finding)}\n")
        shown.append(f"     {_why(finding)}\n", style="dim")
    if not report.findings:
        shown.append("none\n")
    shown.append("\nOrgans\n", style="bold")
    for state in report.organ_states:
        shown.append(f"{describe_state(state)}\n")
    for flag in report.flags:
        shown.append(f"\n{flag.code}: {flag.message}", style="bold red")
    return shown


def _why(finding: Finding) -> str:
    words = [
        f"confidence {finding.confidence:g}",
        f"rules: {', '.join(finding.rules) or 'none'}",
        f"characters {finding.span[0]}-{finding.span[1]}",
        *([f"under {finding.section!r}"] if finding.section else []),
        *([f"also at {', '.join(f'{a}-{b}' for a, b in finding.mentions)}"] if finding.mentions else []),
        *([f"example of [{finding.group + 1}]"] if finding.group is not None else []),
    ]
    return "; ".join(words)
