"""How the raters do: answers, time a region, agreement with each other and with gold regions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from dictamen.supervision.feedback import PERFECT, RegionAnswer
from dictamen.supervision.raters import dawid_skene, pairs_of_raters, weighted_kappa

DIRECTIONS = ("over", "under", "mixed", "none")


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
    return {
        "raters": [
            _rater(name, [a for a in answers if a.rater == name and not a.gold], scores.get(name, {}), gold, trust)
            for name in sorted({answer.rater for answer in answers if not answer.gold})
        ],
        "pairs": [
            {"first": first, "second": second, "regions": len(a), "kappa": _number(weighted_kappa(a, b))}
            for (first, second), (a, b) in pairs_of_raters(scores).items()
        ],
        "regions": len({answer.place for answer in scored}),
        "gold": len(gold),
    }


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
