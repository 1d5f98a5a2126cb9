"""How the raters do: answers, time a region, agreement with each other and with gold regions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from dictamen.supervision.feedback import PERFECT, RegionAnswer
from dictamen.supervision.raters import (
    DIRECTIONS,
    OrdinalModel,
    dawid_skene,
    fit_jointly,
    pairs_of_raters,
    weighted_kappa,
)
from dictamen.supervision.score_scale import ScoreScale

FEWEST_SHARED = 5
"""Regions that a rater has in common with others, or with gold, from which severity and noise are shown."""


def statistics(answers: Sequence[RegionAnswer]) -> dict[str, Any]:
    """Figures of current answers, for the statistics page.

    Answers marked `gold` are known answers: raters are compared with them, they are no rater's.
    """
    gold = {answer.place: answer for answer in answers if answer.gold and answer.score}
    scored = [answer for answer in answers if answer.score and not answer.gold]
    scores: dict[str, dict[Any, int]] = {}
    for answer in scored:
        scores.setdefault(answer.rater, {})[answer.place] = int(answer.score or 0)
    directions = [(answer.place, answer.rater, str(answer.direction)) for answer in scored]
    trust = dawid_skene(directions, DIRECTIONS).confusion if len(scores) > 1 else {}
    ordinal = _ordinal(scores, gold)
    return {
        "raters": [
            _rater(name, [a for a in answers if a.rater == name and not a.gold], scores.get(name, {}), gold, trust)
            | {
                "severity": _number(ordinal.bias[name]) if name in ordinal.bias else None,
                "noise": _number(ordinal.noise[name]) if name in ordinal.noise else None,
            }
            for name in sorted({answer.rater for answer in answers if not answer.gold})
        ],
        "pairs": [
            {"first": first, "second": second, "regions": len(a), "kappa": _number(weighted_kappa(a, b))}
            for (first, second), (a, b) in pairs_of_raters(scores).items()
        ],
        "regions": len({answer.place for answer in scored}),
        "gold": len(gold),
    }


def _ordinal(scores: dict[str, dict[Any, int]], gold: dict[Any, RegionAnswer]) -> OrdinalModel:
    """Severity and noise of each rater with enough regions that others, or gold answers, speak of too."""
    reads = Counter(place for mine in scores.values() for place in mine)
    shared = {
        name: {place: score for place, score in mine.items() if reads[place] > 1 or place in gold}
        for name, mine in scores.items()
    }
    shared = {name: mine for name, mine in shared.items() if len(mine) >= FEWEST_SHARED}
    if not shared:
        return OrdinalModel(ScoreScale().cuts, {}, {})
    scale = ScoreScale()
    known = {place: scale.target(int(answer.score or 0)) for place, answer in gold.items()}
    return fit_jointly([(place, name, score) for name, mine in shared.items() for place, score in mine.items()], known)


def _rater(
    name: str, mine: Sequence[RegionAnswer], scores: dict[Any, int], gold: dict[Any, RegionAnswer], trust: Any
) -> dict[str, Any]:
    counts = Counter(scores.values())
    known = [place for place in scores if place in gold]
    right = [int(gold[place].score or 0) for place in known]
    given = [scores[place] for place in known]
    seconds = [answer.seconds for answer in mine if answer.seconds > 0]
    return {
        "rater": name,
        "answers": len(scores),
        "skipped": sum(answer.skipped for answer in mine),
        "scores": [counts.get(score, 0) for score in range(1, PERFECT + 1)],
        "seconds": _number(float(np.median(seconds))) if seconds else None,
        "gold": len(known),
        "gold_exact": _number(float(np.mean(np.equal(right, given)))) if known else None,
        "gold_kappa": _number(weighted_kappa(right, given)) if known else None,
        "direction_trust": _number(float(np.diag(trust[name]).mean())) if name in trust else None,
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 3)
