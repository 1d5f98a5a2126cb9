"""A report as HTML with its findings highlighted: what was read, from which words. Everything is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from dictamen.interval import Interval
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
    marks += [(state.span or (0, 0), f"state {state.status}", describe_state(state)) for state in states]
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
    place = " ".join([finding.structure.replace("_", " "), *([finding.side] if finding.side else []), *finding.parts])
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
    return "" if finding.count == Interval.exact(1) else _range(finding.count)


def _range(count: Interval) -> str:
    if count.lo == count.hi:
        return f"{count.lo:g} lesion{'s' * (count.lo != 1)}"
    return f"{count.lo:g} or more" if math.isinf(count.hi) else f"{count.lo:g} to {count.hi:g}"


def _style(finding: Finding) -> str:
    if finding.temporal == "prior" or finding.existence == "absent":
        return "prior"
    return "possible" if finding.existence == "possible" else finding.kind


def describe_state(state: OrganState) -> str:
    """One line on an organ: "kidney left, lesion free", "liver, lesions incomplete, 2 or more, largest 12 mm"."""
    place = " ".join(word for word in (state.structure.replace("_", " "), state.side or "") if word)
    words = [place, state.status.replace("_", " ")]
    if state.count is not None and state.count.hi > 0:
        words.append(_range(state.count))
    if state.largest_mm is not None:
        words.append(f"largest {state.largest_mm:g} mm")
    return ", ".join(words) + (", limited examination" if state.limited else "")


def html(text: str, findings: ReportFindings) -> str:
    """One report as a fragment of HTML (a <section>), to be put into any page."""
    return (
        _environment()
        .get_template("report.html.j2")
        .render(report=_view(text, findings), describe=describe, describe_state=describe_state)
    )


def page(
    reports: Iterable[tuple[str, ReportFindings]], *, title: str = "What was read from the reports"
) -> Iterator[str]:
    """A self-contained page over (text, findings) of many reports, in pieces, so that it can be streamed to a file."""
    views = (_view(text, findings) for text, findings in reports)
    return (
        _environment()
        .get_template("page.html.j2")
        .generate(reports=views, title=title, describe=describe, describe_state=describe_state)
    )


def _view(text: str, findings: ReportFindings) -> dict[str, object]:
    current = [f for f in findings.findings if f.temporal == "current" and f.existence != "absent"]
    return {
        "findings": findings,
        "segments": segments(text, findings),
        "organs": " ".join(sorted({finding.structure for finding in current})),
        "kinds": " ".join(sorted({finding.kind for finding in current})),
    }


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
