"""The table of an ablation of pretraining, in markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

Results = Mapping[str, Mapping[int, Mapping[int, Mapping[str, Any]]]]
"""arm -> labels -> seed -> {"dice": {organ: ...}, "hd95_mm": {organ: ...}}"""
BASE = "scratch"
ENCODER_COLUMNS = (
    ("recall_at_1", "R@1"), ("recall_at_5", "R@5"), ("chance_at_1", "chance @1"), ("tag_map", "tag mAP"),
    ("tag_map_chance", "chance"), ("tag_accuracy", "tag accuracy"), ("pointing", "pointing"),
    ("pointing_chance", "chance"), ("image_effective_rank", "effective rank"),
)  # fmt: skip
CONFIDENCE = 0.95


def ablation_table(
    results: Results,
    encoders: Mapping[str, Mapping[int, Mapping[str, float]]],
    *,
    organs: Sequence[str],
    train: int,
    test: int,
    batch: int,
) -> str:
    """Encoders; Dice by arm and number of labels; what each arm gains over `scratch` with the same seeds; organs."""
    counts = sorted({count for of_arm in results.values() for count in of_arm})
    parts = [
        "## Encoders\n\nMean and standard deviation over seeds, on the validation studies. "
        f"A contrastive loss that knows nothing is ln {batch} = {math.log(batch):.2f}.\n",
        _table(
            ["encoder", "seeds", "first contrastive loss", *(title for _, title in ENCODER_COLUMNS)],
            [
                [
                    name,
                    str(len(seeds)),
                    *(_spread([found[key] for found in seeds.values() if key in found])
                      for key in ("first_contrastive", *(key for key, _ in ENCODER_COLUMNS))),
                ]
                for name, seeds in encoders.items()
            ],
        ),
        f"\n## Dice, mean over {', '.join(organs)}\n\n{test} test studies; {train} training studies are all labels.\n",
        _table(
            ["arm", *(f"{count} labels" for count in counts)],
            [
                [arm, *(_spread(_dice(of_arm.get(count, {})).values()) for count in counts)]
                for arm, of_arm in results.items()
            ],
        ),
        f"\n## Gain in Dice over `{BASE}` with the same seed and labels\n\n"
        "Mean, 95 % interval over seeds (Student's t), seeds that gained.\n",
        _table(
            ["arm", *(f"{count} labels" for count in counts)],
            [
                [arm, *(_gain(results, arm, count) for count in counts)]
                for arm in results
                if arm != BASE and BASE in results
            ],
        ),
        "\n## HD95 in mm, mean over organs that are there and found\n",
        _table(
            ["arm", *(f"{count} labels" for count in counts)],
            [
                [arm, *(_spread((_mean(run["hd95_mm"].values()) for run in of_arm.get(count, {}).values()), digits=1)
                        for count in counts)]
                for arm, of_arm in results.items()
            ],
        ),
    ]  # fmt: skip
    for count in counts:
        parts += [
            f"\n## Dice of each organ with {count} labels\n",
            _table(
                ["arm", *organs],
                [
                    [arm, *(_spread(_of(run["dice"], organ) for run in of_arm[count].values()) for organ in organs)]
                    for arm, of_arm in results.items()
                    if count in of_arm
                ],
            ),
        ]
    return "\n".join(parts) + "\n"


def _dice(seeds: Mapping[int, Mapping[str, Any]]) -> dict[int, float]:
    return {seed: _mean(run["dice"].values()) for seed, run in seeds.items()}


def _gain(results: Results, arm: str, count: int) -> str:
    base, own = _dice(results[BASE].get(count, {})), _dice(results[arm].get(count, {}))
    gains = np.array([own[seed] - base[seed] for seed in own if seed in base])
    if not len(gains):
        return ""
    won = f"{int((gains > 0).sum())} of {len(gains)}"
    if len(gains) < 2:
        return f"{gains.mean():+.3f}, {won}"
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(gains) - 1) * stats.sem(gains)
    return f"{gains.mean():+.3f} ({gains.mean() - half:+.3f} to {gains.mean() + half:+.3f}), {won}"


def _of(values: Mapping[str, float], organ: str) -> float:
    return values.get(organ, math.nan)


def _mean(values: Iterable[float]) -> float:
    found = [value for value in values if math.isfinite(value)]
    return float(np.mean(found)) if found else math.nan


def _spread(values: Iterable[float], *, digits: int = 3) -> str:
    """`mean ± standard deviation`, or nothing."""
    found = [value for value in values if math.isfinite(value)]
    if not found:
        return ""
    mean = f"{np.mean(found):.{digits}f}"
    return mean if len(found) < 2 else f"{mean} ± {np.std(found, ddof=1):.{digits}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines) + "\n"
