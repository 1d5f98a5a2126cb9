"""The page of a grounded study: each sentence beside the picture of what it means. It quotes the report."""

from __future__ import annotations

from pathlib import Path

from dictamen.evaluation import html
from dictamen.evaluation.pictures import slices
from dictamen.files import write_text
from dictamen.models.normalise import IntensityWindow
from dictamen.prompting.grounding import Grounded, GroundedStudy
from dictamen.reports.phrases import sentence_span

OWNER_ONLY = 0o600
"""A page quotes a report, so that only its owner can read it, as of a cohort's reports.parquet."""
SURE, DOUBTFUL = 0.5, 0.25
FIELD_MM = 240.0


def write_page(path: Path, study: GroundedStudy, text: str | None, *, window: IntensityWindow) -> None:
    """Write the page.

    Args:
        text: of the report; without it, the page has no sentences.
        window: grey values of the pictures.
    """
    blocks = [_finding(study, one, text, window) for one in study.findings]
    if not blocks:
        blocks = [html.section("Findings", html.paragraph("The report speaks of no finding that could be painted."))]
    found = sum(one.lesion is not None for one in study.findings)
    write_text(
        path,
        html.page(
            f"Findings of {study.canonical_image.study_id}",
            blocks,
            subtitle=f"{found} of {len(study.findings)} findings painted. This page quotes the report.",
        ),
    )
    path.chmod(OWNER_ONLY)


def _finding(study: GroundedStudy, one: Grounded, text: str | None, window: IntensityWindow) -> str:
    lead = ""
    if text is not None:
        start, end = sentence_span(text, one.finding.span)
        lead = text[start:end].strip()
    facts: dict[str, html.Cell] = {
        "how sure": round(one.sure, 2),
        "present": round(one.presence, 2),
        "mean probability": round(one.mean_probability, 2),
        "size agrees": None if one.size_agreement is None else round(one.size_agreement, 2),
        "place agrees": None if one.place_agreement is None else round(one.place_agreement, 2),
        "volume, ml": round(one.volume_mm3 / 1000, 2),
    }
    body = [html.cards(facts)]
    notes = []
    if one.lesion is None:
        notes.append("Nothing was painted: no voxel is more likely than not, or all belong to other findings.")
    elif one.sure < DOUBTFUL:
        notes.append("Doubtful: look at the picture before you use it.")
    if not one.told_apart:
        notes.append("Another finding of the report fits the same words: which lesion is meant can't be told.")
    if notes:
        body.append(html.notice(*notes))
    mask = study.canonical_labels == one.number
    picture = slices(
        study.canonical_image.array[0],
        prediction=mask if mask.any() else None,
        spacing_mm=study.canonical_image.spacing_mm,
        field_mm=FIELD_MM,
        window_hu=(window.lo_hu, window.hi_hu),
    )
    body.append(html.figure(picture, alt=f"finding {one.number}"))
    return html.section(f"{one.number}. {_verdict(one)}", *body, lead=lead)


def _verdict(one: Grounded) -> str:
    if one.lesion is None:
        return "Not found"
    return "Found" if one.sure >= SURE else "Found, not sure" if one.sure >= DOUBTFUL else "Doubtful"
