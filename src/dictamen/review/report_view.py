"""The report beside the volume: plain stretches of text, its findings, and where to look for each."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from dictamen.anatomy.regions import region_mask
from dictamen.cohort.store import Cohort
from dictamen.errors import DictamenError
from dictamen.reports.highlights import describe
from dictamen.reports.schema import Finding
from dictamen.review.view import StudyView, Voxel, nearest_to_middle
from dictamen.supervision.feedback import FindingVerdict


def stretches(text: str, findings: tuple[Finding, ...]) -> list[dict[str, Any]]:
    """The text cut at the borders of findings: [{"text", "finding": number or None}]; the shorter finding wins."""
    edges = sorted({0, len(text), *(min(max(edge, 0), len(text)) for finding in findings for edge in finding.span)})
    cut = []
    for start, end in pairwise(edges):
        over = [n for n, finding in enumerate(findings) if finding.span[0] <= start and end <= finding.span[1]]
        chosen = min(over, key=lambda n: findings[n].span[1] - findings[n].span[0], default=None)
        cut.append({"text": text[start:end], "finding": chosen})
    return cut


def report_of(cohort: Cohort, study_id: str, verdicts: list[FindingVerdict]) -> dict[str, Any]:
    """Text and findings of a study's report, with this rater's verdicts."""
    text, found = cohort.report(study_id) or "", cohort.findings(study_id)
    findings = found.findings if found is not None else ()
    said = {verdict.place[1:]: verdict for verdict in verdicts}
    rows = []
    for number, finding in enumerate(findings):
        verdict = said.get((*finding.span, finding.structure))
        rows.append(
            {
                "number": number,
                "words": describe(finding),
                "kind": finding.kind,
                "structure": finding.structure,
                "side": finding.side,
                "diameters_mm": list(finding.diameters_mm),
                "verdict": verdict.verdict if verdict else None,
                "record_id": verdict.record_id if verdict else None,
            }
        )
    return {"stretches": stretches(text, findings), "findings": rows}


def place_of(cohort: Cohort, view: StudyView, finding: Finding) -> Voxel | None:
    """Native voxel where a finding is, or may be: a lesion within its region, else the region's middle."""
    arrays = view.arrays
    if not arrays.has("organs"):
        return None
    try:
        found = region_mask(
            arrays.level("organs"), cohort.info.organ_labels, arrays.affine,
            structure=finding.structure, side=finding.side, parts=finding.parts,
        )  # fmt: skip
    except DictamenError:  # a structure that the vocabulary has no region for
        return None
    if found is None or not found.mask.any():
        return None
    lesions = arrays.level("lesions") > 0 if arrays.has("lesions") else np.zeros_like(found.mask)
    inside = found.mask & lesions
    return view.native_voxel(nearest_to_middle(np.argwhere(inside if inside.any() else found.mask)))
