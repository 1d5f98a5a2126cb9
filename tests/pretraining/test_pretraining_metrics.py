"""Metrics of pretraining on cases whose answer is known."""

import numpy as np
import pytest
import torch

from dictamen.pretraining.metrics import average_precision, collapse, points_inside, retrieval, tag_metrics


def test_retrieval_of_perfect_shuffled_and_collapsed_embeddings() -> None:
    points = torch.eye(8)
    assert retrieval(points, points)["recall_at_1"] == 1
    shifted = retrieval(points, points.roll(1, 0))
    assert shifted["recall_at_1"] == 0
    assert shifted["chance_at_1"] == pytest.approx(1 / 8)
    alike = torch.ones(8, 4)
    assert retrieval(alike, alike)["recall_at_5"] == 0  # ties are no hits


def test_average_precision_equals_a_loop() -> None:
    rng = np.random.default_rng(0)
    scores, positive = rng.normal(size=20), rng.random(20) > 0.6
    order = np.argsort(-scores)
    hits, precisions = 0, []
    for place, index in enumerate(order, start=1):
        if positive[index]:
            hits += 1
            precisions.append(hits / place)
    assert average_precision(scores, positive) == pytest.approx(np.mean(precisions))
    assert average_precision(np.zeros(4), np.array([True, False, False, False])) == 0.25
    assert average_precision(scores, np.zeros(20, dtype=bool)) is None


def test_unknown_tags_are_not_measured() -> None:
    logits = np.array([[2.0, 1.0], [-1.0, 1.0], [5.0, 1.0]])
    target, weight = np.array([[1, 1], [0, 1], [0, 1]]), np.array([[1, 1], [1, 1], [0, 1]])
    found = tag_metrics(logits, target, weight)
    assert found == {"tag_map": 1, "tag_map_chance": 0.5, "tag_accuracy": 1, "tags_measured": 1}
    assert tag_metrics(logits, target, np.zeros((3, 2))) == {}


def test_pointing_looks_at_the_highest_voxel() -> None:
    maps = torch.zeros(2, 4, 4, 4)
    maps[:, 3, 0, 0] = 1
    masks = torch.zeros(2, 8, 8, 8, dtype=torch.bool)
    masks[0, 6:, :2, :2] = True
    masks[1, :2] = True
    assert points_inside(maps, masks).tolist() == [True, False]


def test_collapse_tells_one_direction_from_many() -> None:
    assert collapse(torch.ones(6, 4))["mean_cosine"] == pytest.approx(1)
    spread = collapse(torch.eye(6))
    assert spread["mean_cosine"] == pytest.approx(0)
    assert spread["effective_rank"] == pytest.approx(5, abs=0.01)
