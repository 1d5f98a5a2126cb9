"""From measurements of studies to one summary a label: metrics with intervals, size strata, study level by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dictamen.evaluation.against_reports import SIDES, Side
from dictamen.evaluation.bootstrap import RESAMPLES, Estimate, Statistic, estimate, mean_of, ratio_of
from dictamen.evaluation.detection import Lesion, stratum, stratum_names
from dictamen.evaluation.measure import Measurement
from dictamen.evaluation.study_level import study_metrics

Values = Callable[[Measurement], float]

VOXEL_METRICS: dict[str, Values] = {
    "dice": lambda m: m.overlap.dice if m.overlap else math.nan,
    "iou": lambda m: m.overlap.iou if m.overlap else math.nan,
    "nsd": lambda m: m.surface.nsd if m.surface else math.nan,
    "hd95_mm": lambda m: m.surface.hd95_mm if m.surface else math.nan,
    "assd_mm": lambda m: m.surface.assd_mm if m.surface else math.nan,
    "volume_difference": lambda m: m.overlap.volume_difference if m.overlap else math.nan,
}
"""Means over the studies whose mask has the label."""


@dataclass(frozen=True)
class LabelSummary:
    """All about one label.

    Attributes:
        studies: how many are present, absent, unknown (unknown ones count nowhere).
        metrics: name -> value with interval; voxel metrics over studies with the label, lesion metrics over all known.
        strata: size stratum -> metrics, by the true longest axial diameter.
        study_level: "study", "left", "right" -> metrics.
        score_source: "model", or "predicted volume" where some study had no score.
    """

    label: str
    studies: dict[str, int]
    metrics: dict[str, Estimate] = field(default_factory=dict)
    strata: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    study_level: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    score_source: str = "model"

    def to_json(self) -> dict[str, Any]:
        """Plain values, nan as null."""
        return {
            "label": self.label,
            "studies": self.studies,
            "score_source": self.score_source,
            "metrics": _plain(self.metrics),
            "strata": {name: _plain(metrics) for name, metrics in self.strata.items()},
            "study_level": {name: _plain(metrics) for name, metrics in self.study_level.items()},
        }


def summarise(
    label: str,
    measurements: Sequence[Measurement],
    *,
    score_source: str = "model",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> LabelSummary:
    """Summarise one label over studies; every interval uses the same resamples of patients.

    Args:
        label: its name.
        measurements: of any labels; those of `label` are used.
        score_source: see `LabelSummary`.
        resamples, seed: of the bootstrap.
    """
    own = [m for m in measurements if m.label == label]
    whole = [m for m in own if m.side is None]
    known = [m for m in whole if m.truth != "unknown"]
    boot = _Bootstrap(resamples, seed)
    sides = {side: [m for m in own if m.side == side and m.truth != "unknown"] for side in SIDES}
    return LabelSummary(
        label=label,
        studies={state: sum(m.truth == state for m in whole) for state in ("present", "absent", "unknown")},
        metrics=_voxel_metrics(known, boot) | _lesion_metrics(known, boot) | _report_metrics(known, boot),
        strata=_strata(known, boot),
        study_level={name: _study_level(group, boot) for name, group in _groups(known, sides).items() if group},
        score_source=score_source,
    )


@dataclass(frozen=True)
class _Bootstrap:
    resamples: int
    seed: int

    def __call__(self, statistic: Statistic, studies: Sequence[Measurement], n: int) -> Estimate:
        return estimate(statistic, [m.patient_id for m in studies], resamples=self.resamples, seed=self.seed, n=n)

    def mean(self, values: Sequence[float], studies: Sequence[Measurement]) -> Estimate:
        return self(mean_of(values), studies, int(np.isfinite(values).sum()))


def _groups(known: Sequence[Measurement], sides: dict[Side, list[Measurement]]) -> dict[str, Sequence[Measurement]]:
    return {"study": known, "left": sides["left"], "right": sides["right"]}


def _voxel_metrics(known: Sequence[Measurement], boot: _Bootstrap) -> dict[str, Estimate]:
    positive = [m for m in known if m.overlap and m.truth == "present"]
    negative = [m for m in known if m.overlap and m.truth == "absent"]
    metrics = (
        {name: boot.mean([value(m) for m in positive], positive) for name, value in VOXEL_METRICS.items()}
        if positive
        else {}
    )
    if negative:
        volumes = [m.overlap.false_positive_mm3 / 1000 for m in negative if m.overlap]
        metrics["false_positive_ml_without_lesion"] = boot.mean(volumes, negative)
    return metrics


def _lesion_metrics(known: Sequence[Measurement], boot: _Bootstrap) -> dict[str, Estimate]:
    studies = [m for m in known if m.detection]
    if not studies:
        return {}
    found = [m.detection for m in studies if m.detection]
    hits = np.array([d.true_positives for d in found])
    false = np.array([d.false_positives for d in found])
    true = np.array([len(d.truths) for d in found])
    predicted = np.array([len(d.predictions) for d in found])
    return {
        "lesion_sensitivity": boot(ratio_of(hits, true), studies, int(true.sum())),
        "lesion_precision": boot(ratio_of(hits, predicted), studies, int(predicted.sum())),
        "lesion_f1": boot(ratio_of(2 * hits, true + predicted), studies, int(true.sum())),
        "false_positives_per_study": boot.mean(false.astype(float).tolist(), studies),
        "count_error": boot.mean([abs(m.count_error) for m in studies], studies),
        "diameter_error_mm": boot.mean([abs(m.diameter_error_mm) for m in studies], studies),
    }


def _report_metrics(known: Sequence[Measurement], boot: _Bootstrap) -> dict[str, Estimate]:
    studies = [m for m in known if m.against == "reports" and m.truth == "present" and m.predicted]
    if not studies:
        return {}
    return {
        "report_count_error": boot.mean([abs(m.count_error) for m in studies], studies),
        "report_diameter_error_mm": boot.mean([abs(m.diameter_error_mm) for m in studies], studies),
        "report_part_agreement": boot.mean([m.part_agreement for m in studies], studies),
    }


def _strata(known: Sequence[Measurement], boot: _Bootstrap) -> dict[str, dict[str, Estimate]]:
    """Sensitivity by true size; F1 where a predicted lesion without partner counts in the stratum of its own size."""
    studies = [m for m in known if m.detection]
    result = {}
    for name in stratum_names():
        inside = [[lesion for lesion in _truths(m) if _is_in(lesion, name)] for m in studies]
        unmatched = [[p for p in _predictions(m) if not p.matched and _is_in(p, name)] for m in studies]
        true = np.array([len(lesions) for lesions in inside])
        hits = np.array([sum(lesion.matched for lesion in lesions) for lesions in inside])
        false = np.array([len(lesions) for lesions in unmatched])
        if true.sum() or false.sum():
            result[name] = {
                "lesion_sensitivity": boot(ratio_of(hits, true), studies, int(true.sum())),
                "lesion_f1": boot(ratio_of(2 * hits, true + hits + false), studies, int(true.sum())),
                "false_positives_per_study": boot.mean(false.astype(float).tolist(), studies),
            }
    return result


def _study_level(known: Sequence[Measurement], boot: _Bootstrap) -> dict[str, Estimate]:
    return study_metrics(
        [m.truth == "present" for m in known],
        [m.predicted for m in known],
        [m.patient_id for m in known],
        score=[m.score for m in known],
        healthy=[m.healthy for m in known],
        resamples=boot.resamples,
        seed=boot.seed,
    )


def _is_in(lesion: Lesion, name: str) -> bool:
    return stratum(lesion.diameter_mm) == name


def _truths(measurement: Measurement) -> tuple[Lesion, ...]:
    return measurement.detection.truths if measurement.detection else ()


def _predictions(measurement: Measurement) -> tuple[Lesion, ...]:
    return measurement.detection.predictions if measurement.detection else ()


def _plain(metrics: dict[str, Estimate]) -> dict[str, Any]:
    return {name: value.to_json() for name, value in metrics.items()}
