"""Training from scores alone: right masks stay, wrong ones get better, the same seed gives the same refiner."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_cases import SCHEME, SPACING, ball, case

from dictamen.errors import InputError, UsageError
from dictamen.models.normalise import IntensityWindow
from dictamen.models.refiner import Refiner
from dictamen.refinement.apply import Change, refine_case
from dictamen.refinement.batch import tensors
from dictamen.refinement.case import make_case, regions_without_room
from dictamen.refinement.config import RefineConfig, resolve
from dictamen.refinement.edge_prior import edge_prior, inside_posterior
from dictamen.refinement.train import _logits, _parts, _Run, feedback_objective, train_refiner

QUICK = RefineConfig(steps=30, batch=2)


def test_untrained_changes_nothing() -> None:
    made, _ = case(0)
    done = refine_case(Refiner().eval(), made)
    assert np.array_equal(done.mask, made.mask) and not done.changes.any()
    assert {entry.score for entry in done.regions} == {5} and not any(entry.abstained for entry in done.regions)


def test_perfect_scores_leave_the_masks_as_they_are() -> None:
    made = [case(seed, too_large=False)[0] for seed in range(4)]
    assert all(one.targets is not None and set(one.targets.direction) == {4} for one in made)
    refiner = train_refiner(made, QUICK)
    assert all(np.array_equal(refine_case(refiner, one).mask, one.mask) for one in made)


def test_the_same_seed_gives_the_same_refiner_and_logs() -> None:
    made, logged = [case(seed)[0] for seed in range(3)], []
    config = RefineConfig(steps=4, log_every=3)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = train_refiner(made, config, log=lambda step, terms: logged.append((step, sorted(terms))))
    assert torch.equal(torch.get_rng_state(), before)  # a caller's random numbers are left alone
    second = train_refiner(made, config)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert logged == [(step, ["band", "direction", "edge", "likely", "score", "total"]) for step in (3, 4)]


def test_the_start_with_the_lowest_loss_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made, runs = [case(seed)[0] for seed in range(2)], []
    advance = _Run.advance

    def counted(run: _Run, step: int) -> None:
        if run not in runs:
            runs.append(run)
        advance(run, step)

    monkeypatch.setattr(_Run, "advance", counted)
    monkeypatch.setattr(_Run, "recent_loss", lambda run, _: [3.0, 1.0, 2.0][runs.index(run)])
    told: list[tuple[int, int]] = []
    trained = train_refiner(made, RefineConfig(steps=6, starts=3, batch=1), progress=lambda *at: told.append(at))
    assert [len(run.terms) for run in runs] == [2, 6, 2]
    assert trained is runs[1].mean.model and told == [(n, 10) for n in range(1, 11)]
    first, second = (run.refiner.network.state_dict() for run in runs[:2])
    assert any(not torch.equal(first[name], second[name]) for name in first)
    monkeypatch.undo()
    assert _Run(made, QUICK, feedback_objective(QUICK), 0).recent_loss(5) == 0.0


def test_large_cases_go_through_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [case(seed)[0] for seed in range(3)]
    assert _parts([2, 0, 1], made) == [[2, 0, 1]]
    monkeypatch.setattr("dictamen.refinement.train.MOST_VOXELS", 1)
    assert _parts([2, 0, 1], made) == [[2], [0], [1]]
    logged: list[dict[str, float]] = []
    train_refiner(made, RefineConfig(steps=1, batch=3), log=lambda _, terms: logged.append(terms))
    assert np.isfinite(logged[0]["total"])


def test_a_case_is_seen_in_training_as_it_will_be_refined() -> None:
    small, _ = case(0)
    large = replace(
        case(1)[0],
        **{
            name: np.pad(getattr(case(1)[0], name), 4) for name in ("image", "mask", "edge", "inside", "region", "band")
        },
    )
    refiner = Refiner()
    torch.nn.init.normal_(refiner.network.head.weight)
    together = tensors(small, large)
    x, y, z = small.mask.shape
    alone = tensors(small)
    expected = refiner(alone.image, alone.mask, alone.edge, alone.inside)
    assert torch.allclose(_logits(refiner, together.image, together)[:1, :, :x, :y, :z], expected, atol=1e-5)


@pytest.mark.parametrize("shift_hu", [-800.0, 0.0, 900.0])
def test_lung_and_bone_are_seen_as_well_as_soft_tissue(shift_hu: float) -> None:
    image, truth = ball(0)
    region = np.where(truth, 1, 0).astype(np.uint8)
    one, other = (
        make_case(
            study_id="s", image=hounsfield, mask=truth, region=region, spacing_mm=SPACING, scheme=SCHEME,
            window=IntensityWindow(),
        )
        for hounsfield in (image, image + shift_hu)
    )  # fmt: skip
    assert np.allclose(one.image, other.image, atol=1e-4) and np.allclose(one.inside, other.inside, atol=0.02)


def test_without_an_answer_there_is_nothing_to_learn() -> None:
    made = replace(case(0)[0], targets=None)
    with pytest.raises(InputError, match="nothing to learn"):
        train_refiner([made], QUICK)


class Constant(torch.nn.Module):
    """Gives the same logit everywhere."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = logit

    def forward(self, image: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return torch.full_like(image, self.logit)


def test_large_and_uncertain_changes_are_left_to_people() -> None:
    made, _ = case(0)
    large = refine_case(Constant(-9.0), made)  # type: ignore[arg-type]
    assert all(entry.abstained == (entry.change > 0.3) for entry in large.regions)
    assert any(entry.abstained for entry in large.regions)
    unsure = refine_case(Constant(-0.1), made, RefineConfig(most_change=1.0))  # type: ignore[arg-type]
    assert all(entry.abstained for entry in unsure.regions)
    assert np.array_equal(unsure.mask, made.mask) and unsure.proposal.sum() == 0
    assert np.array_equal(unsure.changes == Change.FOR_REVIEW, made.mask)
    made_anyway = refine_case(Constant(-9.0), made, RefineConfig(most_change=1.0))  # type: ignore[arg-type]
    assert not made_anyway.mask.any() and np.array_equal(made_anyway.changes == Change.REMOVED, made.mask)
    assert not (refine_case(Constant(9.0), made, RefineConfig(most_change=1.0)).mask & ~made.band).any()  # type: ignore[arg-type]


class Without(torch.nn.Module):
    """Removes some voxels of the mask."""

    def __init__(self, voxels: np.ndarray) -> None:
        super().__init__()
        self.keep = torch.from_numpy(np.where(voxels, -1.0, 1.0)).float()

    def forward(self, _: torch.Tensor, mask: torch.Tensor, *__: torch.Tensor) -> torch.Tensor:
        return 9.0 * (2 * mask - 1) * self.keep


def test_changes_below_what_raters_call_an_error_are_not_made() -> None:
    made, _ = case(0)
    removed = np.zeros(made.mask.shape, dtype=bool)
    for region, part in ((1, 0.02), (2, 0.2)):  # as score 5 and as score 3
        voxels = np.argwhere(made.mask & (made.region == region))
        removed[tuple(voxels[: round(part * len(voxels))].T)] = True
    kept = refine_case(Without(removed), made)  # type: ignore[arg-type]
    assert [entry.score for entry in kept.regions] == [5, 3, 5, 5]
    assert [entry.direction for entry in kept.regions] == ["none", "over", "none", "none"]
    assert np.array_equal(made.mask & ~kept.mask, removed & (made.region == 2))
    assert np.array_equal(kept.changes > 0, removed & (made.region == 2)) and not kept.regions[0].change
    every = refine_case(Without(removed), made, RefineConfig(keep_perfect=False))  # type: ignore[arg-type]
    assert np.array_equal(made.mask & ~every.mask, removed) and every.regions[0].direction == "over"


def test_edges_lie_on_the_border_of_the_organ() -> None:
    from scipy import ndimage

    image, truth = ball(3)
    normal = IntensityWindow().apply(image)
    border = ndimage.binary_dilation(truth) & ~ndimage.binary_erosion(truth)
    far = ~ndimage.binary_dilation(truth, iterations=4)
    for kind in ("gradient", "intensity"):
        edge = edge_prior(normal, truth, ndimage.binary_dilation(truth, iterations=3), SPACING, kind=kind)  # type: ignore[arg-type]
        assert edge.min() >= 0 and edge.max() <= 1 and edge.dtype == np.float32
        if kind == "gradient":
            assert edge[border].mean() > 4 * edge[far].mean()
    inside = inside_posterior(normal, truth, SPACING)
    assert inside[truth].mean() > 0.9 and inside[far].mean() < 0.05
    assert (inside_posterior(normal, np.zeros_like(truth), SPACING) == 0.5).all()
    with pytest.raises(UsageError, match="edge prior"):
        edge_prior(normal, truth, truth, SPACING, kind="canny")  # type: ignore[arg-type]


def test_regions_that_miss_more_than_their_band_holds_are_counted() -> None:
    made, _ = case(0)
    assert made.targets is not None
    outside = [int(((made.region == k) & ~made.mask).sum()) for k in range(1, 5)]
    inside = [int(((made.region == k) & made.mask).sum()) for k in range(1, 5)]
    under = np.array([2, 2, 1, 2], dtype=np.uint8)
    # of the second region only just as much is missing as there is room for
    hi = np.array([0.01, 2 * inside[1] / (2 * inside[1] + outside[1]) + 1e-3, 0.01, 1.0], dtype=np.float32)
    assert regions_without_room(replace(made, targets=replace(made.targets, direction=under, hi=hi))) == 1
    assert regions_without_room(replace(made, targets=None)) == 0


def test_an_empty_mask_is_an_error() -> None:
    image, truth = ball(0)
    with pytest.raises(InputError, match="empty"):
        make_case(
            study_id="s", image=image, mask=np.zeros_like(truth), region=np.zeros(truth.shape, dtype=np.uint8),
            spacing_mm=SPACING, scheme=SCHEME, window=IntensityWindow(),
        )  # fmt: skip


def test_settings() -> None:
    assert resolve(["steps=7", "score_mode=ordinal"], seed=3).steps == 7
    with pytest.raises(UsageError, match="colour"):
        resolve(["colour=red"])
    with pytest.raises(UsageError, match="key=value"):
        resolve(["steps"])
