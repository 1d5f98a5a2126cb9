"""Rater models find the raters that made the answers."""

import itertools
import math

import numpy as np
import pytest

from dictamen.errors import InputError
from dictamen.supervision.feedback import RegionAnswer
from dictamen.supervision.raters import (
    OrdinalModel,
    dawid_skene,
    fit_jointly,
    fit_ordinal,
    likely_directions,
    measured_scale,
    pairs_of_raters,
    weighted_kappa,
)
from dictamen.supervision.score_scale import CUTS, ScoreScale

DIRECTIONS = ("over", "under", "mixed", "none")


def readings(bias: float, noise: float, count: int, seed: int) -> tuple[list[int], list[float]]:
    rng = np.random.default_rng(seed)
    dice = rng.uniform(0.5, 1.0, count)
    seen = dice - bias + noise * rng.logistic(size=count)
    return (np.searchsorted(CUTS, seen) + 1).tolist(), dice.tolist()


def test_ordinal_probabilities_against_plain_arithmetic() -> None:
    model = OrdinalModel(CUTS, {"strict": 0.05}, {"strict": 0.02})
    below = [1 / (1 + math.exp(-(cut + 0.05 - 0.9) / 0.02)) for cut in CUTS]
    want = [below[0], *(b - a for a, b in itertools.pairwise(below)), 1 - below[-1]]
    assert model.probabilities(0.9, "strict") == pytest.approx(want)
    assert model.probabilities(0.9, "strict").sum() == pytest.approx(1)
    assert model.probabilities(0.9, "unknown").argmax() + 1 == 3


def test_ordinal_fit_finds_bias_and_noise() -> None:
    strict, lenient = readings(0.04, 0.01, 400, 0), readings(-0.04, 0.03, 400, 1)
    model = fit_ordinal(strict[0] + lenient[0], strict[1] + lenient[1], ["strict"] * 400 + ["lenient"] * 400)
    assert model.bias["strict"] - model.bias["lenient"] == pytest.approx(0.08, abs=0.02)
    assert model.noise["strict"] < model.noise["lenient"]
    assert model.noise["strict"] == pytest.approx(0.01, rel=0.4)
    scale = model.scale()
    assert list(scale.targets) == sorted(scale.targets)
    with pytest.raises(InputError, match="Gold regions"):
        fit_ordinal([], [], [])


def test_double_reads_alone_tell_who_is_stricter() -> None:
    rng = np.random.default_rng(4)
    dice = rng.uniform(0.6, 1.0, 150)
    answers = [
        (item, rater, int(np.searchsorted(CUTS, true - bias + 0.01 * rng.logistic())) + 1)
        for rater, bias in (("strict", 0.04), ("mild", -0.02))
        for item, true in enumerate(dice)
    ]
    alone = fit_jointly(answers)
    assert alone.bias["strict"] - alone.bias["mild"] > 0.03
    tied = fit_jointly(answers, known=dict(enumerate(dice.tolist())))
    assert tied.bias["strict"] - tied.bias["mild"] == pytest.approx(0.06, abs=0.015)
    assert tied.bias["strict"] > 0.015
    with pytest.raises(InputError, match="Gold regions"):
        fit_jointly([])


def test_a_few_gold_regions_stay_near_the_default_scale() -> None:
    model = fit_ordinal([3, 4], [0.9, 0.94], ["a", "a"])
    assert model.cuts == pytest.approx(CUTS, abs=0.05)


def test_dawid_skene_trusts_the_reliable_raters() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 150)
    answers = []
    for rater, right in (("good", 0.95), ("fine", 0.85), ("poor1", 0.35), ("poor2", 0.35), ("poor3", 0.35)):
        for item, true in enumerate(truth):
            given = true if rng.random() < right else rng.choice([c for c in range(4) if c != true])
            answers.append((item, rater, DIRECTIONS[given]))
    found = dawid_skene(answers, DIRECTIONS)
    best = np.array([DIRECTIONS.index(found.best(item)) for item in range(150)])
    votes = [np.bincount([DIRECTIONS.index(g) for i, _, g in answers if i == item], minlength=4) for item in range(150)]
    majority = np.array([vote.argmax() for vote in votes])
    assert (best == truth).mean() > (majority == truth).mean() + 0.05
    trust = {rater: float(np.diag(matrix).mean()) for rater, matrix in found.confusion.items()}
    assert min(trust["good"], trust["fine"]) > max(trust["poor1"], trust["poor2"], trust["poor3"]) + 0.2
    assert all(row.sum() == pytest.approx(1) for row in found.posterior.values())
    with pytest.raises(InputError, match="Dawid-Skene"):
        dawid_skene([("a", "r", "sideways")], DIRECTIONS)


def test_directions_of_double_reads_alone() -> None:
    def say(region: int, rater: str, direction: str) -> RegionAnswer:
        return RegionAnswer.model_validate(
            {"study_id": "s", "rater": rater, "label": "spleen", "mask_sha256": "m", "scheme": "x", "region": region}
            | {"score": 3, "direction": direction}
        )

    alone = [say(region, "a", "over") for region in range(1, 5)]
    assert likely_directions(alone) == {}
    several = [
        say(region, rater, "under" if rater == "poor" and region % 2 else "over")
        for region in range(1, 21)
        for rater in ("a", "b", "poor")
    ]
    found = likely_directions([*several, say(30, "a", "under")])
    assert {place[-1] for place in found} == set(range(1, 21)) and set(found.values()) == {"over"}


def test_gold_regions_tell_what_scores_mean() -> None:
    def say(region: int, rater: str, score: int, **fields: bool) -> RegionAnswer:
        return RegionAnswer.model_validate(
            {"study_id": "s", "rater": rater, "label": "spleen", "mask_sha256": "m", "scheme": "x", "region": region}
            | {"score": score, "direction": "over", **fields}
        )

    known = [say(region, "known", 4 if region < 3 else 2, gold=True) for region in range(1, 7)]
    said = [say(region, "anna", 3) for region in range(1, 7)]  # of four of these, twice as much is wrong as she says
    alone = [say(region, "anna", 3) for region in range(20, 60)]
    plain = ScoreScale()
    assert measured_scale([*said, *alone]) == plain
    found = measured_scale([*known, *said, *alone])
    assert found.target(3) == pytest.approx((2 * plain.target(4) + 4 * plain.target(2)) / 6)
    assert (found.target(4), found.target(5)) == (plain.target(4), plain.target(5))


def test_weighted_kappa_against_its_definition() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.integers(1, 6, 60).tolist(), rng.integers(1, 6, 60).tolist()
    observed = np.mean([(a - b) ** 2 for a, b in zip(first, second, strict=True)])
    chance = np.mean([(a - b) ** 2 for a in first for b in second])
    assert weighted_kappa(first, second) == pytest.approx(1 - observed / chance)
    assert weighted_kappa(first, first) == 1
    assert weighted_kappa([1, 5, 1, 5], [5, 1, 5, 1]) == pytest.approx(-1)
    assert math.isnan(weighted_kappa([3, 3], [3, 3]))
    with pytest.raises(InputError, match="Kappa"):
        weighted_kappa([1], [])


def test_pairs_of_raters_share_items() -> None:
    pairs = pairs_of_raters({"b": {1: 4, 2: 5}, "a": {2: 3, 3: 1}, "c": {9: 1}})
    assert pairs == {("a", "b"): ([3], [5])}
