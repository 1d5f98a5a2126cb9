"""The page of an audit: each contradiction with its sentence and its picture."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from dictamen.cohort.store import Cohort
from dictamen.errors import DictamenError
from dictamen.evaluation import html, pictures
from dictamen.evaluation.audit import Audit
from dictamen.evaluation.contradictions import Contradiction
from dictamen.evaluation.page import CONVENTION, LEGEND
from dictamen.reports.phrases import sentence_span


def audit_page(cohort: Cohort, found: Audit, *, pictures: int) -> str:
    """The whole page as HTML; it quotes the sentences of the reports.

    Args:
        pictures: how many contradictions are shown with slices, the most severe ones.
    """
    numbers: dict[str, html.Cell] = {
        "Studies audited": len(found.studies),
        "with contradictions": len({one.study_id for one in found.contradictions}),
        **{kind.capitalize(): count for kind, count in found.kinds.items()},
    }
    blocks: list[str] = [html.cards(numbers)]
    if found.failed:
        lines = [f"{study}: {reason}" for study, reason in found.failed.items()]
        blocks.append(html.details(f"{len(lines)} studies failed", html.notice(*lines)))
    rows: list[dict[str, html.Cell]] = [
        {
            "Study": one.study_id,
            "Label": one.label,
            "What": one.kind,
            "Severity": one.severity,
            "Report": one.said,
            "Mask": one.found,
        }
        for one in found.contradictions
    ]
    listed = html.table(rows, sortable=True) if rows else html.paragraph("Masks and reports agree.")
    lead = (
        "Severity ranks by how much and how sure the report is. "
        "Either side may be wrong: the mask, the report, or its reading."
    )
    shown = [_shown(cohort, one) for one in found.contradictions[:pictures]]
    sections = [
        html.section("Where masks and reports contradict each other", *blocks, listed, lead=lead),
        html.section("One by one", html.legend({"mask (solid)": next(iter(LEGEND.values()))}), *shown, lead=CONVENTION),
    ]
    return html.page("Audit of masks and reports", sections, subtitle="Quotes reports: keep it where they may be kept.")


def _shown(cohort: Cohort, one: Contradiction) -> Markup:
    text = cohort.report(one.study_id) or ""
    sentences = dict.fromkeys(sentence_span(text, span) for span in one.spans)
    quotes = [html.paragraph(f"\u201c{text[start:end].strip()}\u201d") for start, end in sentences]
    facts = html.paragraph(f"Report: {one.said}. Mask: {one.found}. Severity {one.severity:.2f}.", muted=True)
    title = f"{one.study_id}: {one.label.replace('_', ' ')}, {one.kind}"
    try:
        picture = html.figure(_picture(cohort, one), title)
    except DictamenError:  # it was found: a picture that can't be drawn must not cost the finding
        picture = html.paragraph("The picture can't be drawn.", muted=True)
    return html.subsection(title, *quotes, facts, picture)


def _picture(cohort: Cohort, one: Contradiction) -> bytes:
    study = cohort.study(one.study_id)
    removed = one.kind == "removed organ"
    names = cohort.info.organ_labels if removed else cohort.info.lesion_labels
    wanted = [value for value, name in names.items() if name == one.label or name.startswith(one.label + "_")]
    mask = np.isin(study.level("organs" if removed else "lesions", 0), wanted)
    x, y, z = np.linalg.norm(study.native_affine[:3, :3], axis=0).tolist()
    return pictures.slices(study.level("image", 0), mask, None, spacing_mm=(x, y, z), focus=one.focus)
