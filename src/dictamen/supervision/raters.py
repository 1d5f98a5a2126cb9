"""What raters mean: an ordinal model of scores, Dawid-Skene for directions, agreement beyond chance.

Eight experts on a scale of four agree at Krippendorff alpha .34: raters are modelled, not believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import get_args

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError
from dictamen.supervision.feedback import PERFECT, Direction, RegionAnswer
from dictamen.supervision.score_scale import CUTS, ScoreScale, calibrated

FloatArray = npt.NDArray[np.float64]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)

LEAST_NOISE, MOST_NOISE = 0.005, 0.3
"""Of a rater, in Dice: below, one answer would outweigh all others; above, it says nothing."""
PRIOR_CUTS, PRIOR_BIAS, PRIOR_NOISE = 0.05, 0.03, 0.7
"""Standard deviations of the priors on cut points and bias (Dice) and on the logarithm of the noise: with a handful of
gold regions the model stays near the default scale."""
ROUNDS, CONVERGED = 100, 1e-6
JOINT_ROUNDS = 5
"""Of `fit_jointly`: biases move by less than a hundredth of Dice after three."""
SPREAD = (0.4, 1.0)
"""Dice of regions that people are asked about."""


@dataclass(frozen=True)
class OrdinalModel:
    """P(score <= j | D, rater) = sigmoid((cut_j + bias_rater - D) / noise_rater).

    Attributes:
        cuts: the four cut points b_j, in Dice.
        bias: rater -> how much higher the Dice must be for the same score (severity), in Dice.
        noise: rater -> spread of the rater's reading, in Dice.
    """

    cuts: tuple[float, float, float, float]
    bias: Mapping[str, float]
    noise: Mapping[str, float]

    def probabilities(self, dice: float, rater: str) -> FloatArray:
        """Of the scores 1..5, [5]; an unknown rater is an average one."""
        bias = self.bias.get(rater, 0.0)
        noise = self.noise.get(rater, float(np.median(list(self.noise.values()))) if self.noise else 0.03)
        below = _sigmoid((np.asarray(self.cuts) + bias - dice) / noise)
        return np.diff(np.concatenate([[0.0], below, [1.0]]))

    def scale(self, prior: FloatArray | None = None, values: FloatArray | None = None) -> ScoreScale:
        """What scores mean on average: the expected Dice given each score.

        Args:
            prior, values: weights and Dice values of the regions' distribution; uniform in [0, 1] where None.
        """
        values = np.linspace(0.005, 0.995, 100) if values is None else values
        prior = np.ones_like(values) if prior is None else prior
        raters = list(self.noise) or [""]
        likelihood = np.stack([[self.probabilities(d, rater) for d in values] for rater in raters]).mean(axis=0)
        weight = likelihood * prior[:, None]
        targets = (weight * values[:, None]).sum(0) / np.maximum(weight.sum(0), np.finfo(float).tiny)
        one, two, three, four, five = np.maximum.accumulate(targets).tolist()
        noise = float(np.median([self.noise[rater] for rater in self.noise])) if self.noise else 0.03
        return ScoreScale(cuts=self.cuts, targets=(one, two, three, four, five), noise=noise)


def fit_ordinal(scores: Sequence[int], dice: Sequence[float], raters: Sequence[str]) -> OrdinalModel:
    """Most likely cut points, biases and noises given gold regions (maximum a posteriori, priors above).

    Args:
        scores: 1..5.
        dice: true Dice of the same regions.
        raters: who gave each score.

    Raises:
        InputError: no gold region, or lists of different lengths.
    """
    from scipy.optimize import minimize

    if not len(scores) == len(dice) == len(raters) or not scores:
        raise InputError(
            "Gold regions need a score, a Dice and a rater each.", got=(len(scores), len(dice), len(raters))
        )
    names = sorted(set(raters))
    who = np.asarray([names.index(rater) for rater in raters])
    given, true = np.asarray(scores, dtype=np.int64), np.asarray(dice, dtype=np.float64)

    def unpack(values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        return np.asarray(CUTS) + values[:4], values[4 : 4 + len(names)], 0.03 * np.exp(values[4 + len(names) :])

    def cost(values: FloatArray) -> float:
        cuts, bias, noise = unpack(values)
        edges = np.concatenate([[-np.inf], np.sort(cuts), [np.inf]])
        upper = _sigmoid((edges[given] + bias[who] - true) / noise[who])
        lower = _sigmoid((edges[given - 1] + bias[who] - true) / noise[who])
        likelihood = np.log(np.maximum(upper - lower, 1e-9)).sum()
        prior = (values[:4] / PRIOR_CUTS) ** 2
        spread = (values[4 : 4 + len(names)] / PRIOR_BIAS) ** 2
        width = (values[4 + len(names) :] / PRIOR_NOISE) ** 2
        return float(-likelihood + (prior.sum() + spread.sum() + width.sum()) / 2)

    found = minimize(cost, np.zeros(4 + 2 * len(names)), method="L-BFGS-B")
    cuts, bias, noise = unpack(found.x)
    first, second, third, fourth = np.clip(np.sort(cuts), 1e-3, 1 - 1e-3).tolist()
    return OrdinalModel(
        cuts=(first, second, third, fourth),
        bias=dict(zip(names, bias.tolist(), strict=True)),
        noise=dict(zip(names, np.clip(noise, LEAST_NOISE, MOST_NOISE).tolist(), strict=True)),
    )


def fit_jointly(
    answers: Sequence[tuple[Hashable, str, int]], known: Mapping[Hashable, float] | None = None
) -> OrdinalModel:
    """The ordinal model from double reads: Dice of the regions and raters are found in turn, a few times.

    Each round takes the Dice of a region as its mean given all its scores (Dice uniform in `SPREAD` beforehand), then
    fits the raters to it. Biases are then relative to the raters' mean; known regions tie them to the truth.

    Args:
        answers: (region, rater, score).
        known: true Dice of gold regions.

    Raises:
        InputError: no answer.
    """
    given: dict[Hashable, list[tuple[str, int]]] = {}
    for item, rater, score in answers:
        given.setdefault(item, []).append((rater, score))
    grid, known = np.linspace(*SPREAD, 80), known or {}
    raters, scores = [rater for _, rater, _ in answers], [score for _, _, score in answers]
    model = OrdinalModel(CUTS, {}, {})
    for _ in range(JOINT_ROUNDS):
        likely = {
            rater: np.log(np.stack([model.probabilities(value, rater) for value in grid]) + 1e-9) for rater in {*raters}
        }
        dice = {}
        for item, said in given.items():
            log = np.sum([likely[rater][:, score - 1] for rater, score in said], axis=0)
            weight = np.exp(log - log.max())
            dice[item] = known.get(item, float((weight * grid).sum() / weight.sum()))
        model = fit_ordinal(scores, [dice[item] for item, _, _ in answers], raters)
    return model


@dataclass(frozen=True)
class DawidSkene:
    """What answers with a few classes most likely mean (Dawid and Skene 1979).

    Attributes:
        classes: in the order of the arrays.
        posterior: item -> probability of each class.
        confusion: rater -> [true class, answer], rows sum to 1.
    """

    classes: tuple[str, ...]
    posterior: Mapping[Hashable, FloatArray]
    confusion: Mapping[str, FloatArray]

    def best(self, item: Hashable) -> str:
        """The likeliest class of an item."""
        return self.classes[int(self.posterior[item].argmax())]


def dawid_skene(answers: Sequence[tuple[Hashable, str, str]], classes: Sequence[str]) -> DawidSkene:
    """Expectation-maximisation from the majority vote on, one pseudo-count an entry of each confusion matrix.

    Args:
        answers: (item, rater, class).
        classes: all classes that may be answered.

    Raises:
        InputError: no answer, or one that is no class.
    """
    if not answers or (unknown := {given for _, _, given in answers} - set(classes)):
        raise InputError("Dawid-Skene needs answers among the classes.", got=unknown if answers else "no answer")
    items = list(dict.fromkeys(item for item, _, _ in answers))
    raters = list(dict.fromkeys(rater for _, rater, _ in answers))
    counts = np.zeros((len(items), len(raters), len(classes)))
    for item, rater, given in answers:
        counts[items.index(item), raters.index(rater), list(classes).index(given)] += 1
    posterior = counts.sum(1) / counts.sum((1, 2))[:, None]
    confusion = np.empty((len(raters), len(classes), len(classes)))
    for _ in range(ROUNDS):
        smoothed = np.einsum("ic,ira->rca", posterior, counts) + 1.0
        smoothed += 2.0 * np.eye(len(classes))  # a rater is more often right than not
        confusion = smoothed / smoothed.sum(2, keepdims=True)
        prevalence = (posterior.sum(0) + 1) / (len(items) + len(classes))
        log = np.log(prevalence)[None] + np.einsum("ira,rca->ic", counts, np.log(confusion))
        updated = np.exp(log - log.max(1, keepdims=True))
        updated /= updated.sum(1, keepdims=True)
        moved, posterior = np.abs(updated - posterior).max(), updated
        if moved < CONVERGED:
            break
    return DawidSkene(
        classes=tuple(classes),
        posterior=dict(zip(items, posterior, strict=True)),
        confusion=dict(zip(raters, confusion, strict=True)),
    )


def measured_scale(answers: Sequence[RegionAnswer]) -> ScoreScale:
    """What the raters' scores mean on gold regions: `score_scale.calibrated` on what they said there.

    A known answer stands for the middle of its own bin. Scores without enough gold regions keep their target.

    Args:
        answers: current ones, known ones (`gold`) included.
    """
    known = {answer.place: ScoreScale().target(answer.score) for answer in answers if answer.gold and answer.score}
    said = [(a.score, known[a.place]) for a in answers if a.score and not a.gold and a.place in known]
    return calibrated([score for score, _ in said], [dice for _, dice in said])


def likely_directions(answers: Sequence[RegionAnswer]) -> dict[tuple[str, str, str, str, int], Direction]:
    """Place -> direction by Dawid-Skene, of regions that several raters scored; empty where no region was read twice.

    Args:
        answers: current ones.
    """
    said = [(answer.place, answer.rater, answer.direction) for answer in answers if answer.direction is not None]
    reads = Counter(place for place, _, _ in said)
    if not any(count > 1 for count in reads.values()):
        return {}
    model = dawid_skene([(place, rater, given) for place, rater, given in said], DIRECTIONS)
    return {place: DIRECTIONS[int(model.posterior[place].argmax())] for place, count in reads.items() if count > 1}


def weighted_kappa(first: Sequence[int], second: Sequence[int], *, classes: int = PERFECT) -> float:
    """Cohen's kappa with quadratic weights of two raters' scores on the same items, 1 for equal, 0 for chance.

    Without any variation in both it is nan: agreement by chance is then certain.
    """
    if len(first) != len(second) or not first:
        raise InputError("Kappa needs pairs of scores.", got=(len(first), len(second)))
    observed = np.zeros((classes, classes))
    np.add.at(observed, (np.asarray(first) - 1, np.asarray(second) - 1), 1 / len(first))
    expected = np.outer(observed.sum(1), observed.sum(0))
    weight = (np.arange(classes)[:, None] - np.arange(classes)[None]) ** 2
    chance = float((weight * expected).sum())
    return 1 - float((weight * observed).sum()) / chance if chance > 0 else float("nan")


def pairs_of_raters(
    scores: Mapping[str, Mapping[Hashable, int]],
) -> dict[tuple[str, str], tuple[list[int], list[int]]]:
    """Scores that two raters gave to the same items, for each pair of raters with at least one.

    Args:
        scores: rater -> item -> score.
    """
    found = {}
    for first, second in combinations(sorted(scores), 2):
        common = [item for item in scores[first] if item in scores[second]]
        if common:
            found[first, second] = (
                [scores[first][item] for item in common],
                [scores[second][item] for item in common],
            )
    return found


def _sigmoid(values: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -60, 60))))
