"""A report as HTML with its findings highlighted: what was read, from which words. Everything is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from dictamen.reports.schema import Finding, OrganState, ReportFindings

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text; `style` is a CSS class ("" for plain text), `title` the hover text."""

    text: str
    style: str = ""
    title: str = ""


def segments(text: str, findings: ReportFindings) -> list[Segment]:
    """The text cut at the borders of all spans; findings win over organ states where they overlap."""
    marks = [(finding.span, f"finding {_style(finding)}", describe(finding)) for finding in findings.findings]
    states = [state for state in findings.organ_states if state.span and state.status in ("lesion_free", "removed")]
    marks += [(state.span or (0, 0), f"state {state.status}", _describe_state(state)) for state in states]
    marks += [(flag.span, "flag", flag.message) for flag in findings.flags if flag.span]
    edges = sorted({0, len(text), *(min(max(edge, 0), len(text)) for span, _, _ in marks for edge in span)})
    cut = []
    for start, end in pairwise(edges):
        over = [(style, title) for span, style, title in marks if span[0] <= start and end <= span[1]]
        style = over[0][0] if over else ""
        cut.append(Segment(text[start:end], style, "; ".join(dict.fromkeys(title for _, title in over))))
    return cut


def describe(finding: Finding) -> str:
    """One line on a finding: "cyst, kidney left upper pole, 39 mm"."""
    place = " ".join([finding.structure.replace("_", " "), finding.side or "", *finding.parts]).strip()
    size = " x ".join(f"{value:g}" for value in finding.diameters_mm)
    qualifier = f" ({finding.size_qualifier})" if finding.size_qualifier not in (None, "exact") else ""
    words = [
        finding.kind if finding.kind_certainty == "certain" else f"{finding.kind_certainty} {finding.kind}",
        place,
        _count(finding),
        f"{size} mm{qualifier}" if size else f"size unknown{qualifier}",
        *(str(word) for word in (finding.attenuation, finding.trend) if word),
        *([finding.existence] if finding.existence != "present" else []),
        *(["prior"] if finding.temporal == "prior" else []),
    ]
    return ", ".join(word for word in words if word)


def _count(finding: Finding) -> str:
    low, high = finding.count.lo, finding.count.hi
    if low == high:
        return "" if low == 1 else f"{low:g} lesions"
    return f"{low:g} or more" if math.isinf(high) else f"{low:g} to {high:g}"


def _style(finding: Finding) -> str:
    if finding.temporal == "prior" or finding.existence == "absent":
        return "prior"
    return "possible" if finding.existence == "possible" else finding.kind


def _describe_state(state: OrganState) -> str:
    words = [state.structure.replace("_", " "), state.side or "", state.status.replace("_", " ")]
    return " ".join(word for word in words if word) + (", limited examination" if state.limited else "")


def html(text: str, findings: ReportFindings) -> str:
    """One report as a fragment of HTML (a <section>), to be put into any page."""
    return _environment().get_template("report.html.j2").render(report=_view(text, findings), describe=describe)


def page(
    reports: Iterable[tuple[str, ReportFindings]], *, title: str = "What was read from the reports"
) -> Iterator[str]:
    """A self-contained page over (text, findings) of many reports, in pieces, so that it can be streamed to a file."""
    views = (_view(text, findings) for text, findings in reports)
    return _environment().get_template("page.html.j2").generate(reports=views, title=title, describe=describe)


def _view(text: str, findings: ReportFindings) -> dict[str, object]:
    return {"findings": findings, "segments": segments(text, findings)}


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("dictamen.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
