"""Small findings, reports and label maps built in code."""

import numpy as np

from dictamen.anatomy.lesion_labels import parse
from dictamen.interval import Interval
from dictamen.reports.schema import Finding, OrganState, ReportFindings

KIDNEY_TUMOUR, KIDNEY_LESION, KIDNEY_CYST, LIVER_TUMOUR = map(
    parse, ["kidney_tumour", "kidney_lesion", "kidney_cyst", "liver_tumour"]
)
NAMES = {1: "kidney_left", 2: "kidney_right", 3: "liver", 4: "spleen"}
_SPANS = iter(range(0, 10**9, 10))


def finding(
    structure: str = "kidney", kind: str = "tumour", *, count: tuple[float, float] = (1, 1), **fields: object
) -> Finding:
    """A finding with a span of its own."""
    start = next(_SPANS)
    values = {
        "study_id": "s",
        "kind": kind,
        "structure": structure,
        "count": Interval(*count),
        "span": (start, start + 9),
    }
    return Finding.model_validate({**values, **fields})


def report(*findings: Finding, **fields: object) -> ReportFindings:
    """A report of these findings."""
    return ReportFindings.model_validate({"study_id": "s", "findings": findings, **fields})


def state(structure: str, status: str, side: str | None = None, **fields: object) -> OrganState:
    """One organ state."""
    return OrganState.model_validate({"structure": structure, "status": status, "side": side, **fields})


def body() -> np.ndarray:
    """[80, 60, 60]: left kidney at small x, right kidney at large x, liver in front of it, spleen."""
    labels = np.zeros((80, 60, 60), np.uint8)
    labels[10:20, 20:30, 10:50] = 1
    labels[60:70, 20:30, 10:50] = 2
    labels[40:75, 36:56, 30:58] = 3
    labels[4:12, 40:50, 30:50] = 4
    return labels


def affine(*spacing_mm: float) -> np.ndarray:
    """A canonical affine of this spacing, away from the origin."""
    matrix = np.diag([*spacing_mm, 1.0])
    matrix[:3, 3] = (-120.0, 35.0, -800.0)
    return matrix
