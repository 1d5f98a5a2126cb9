"""Arms of supervision: what differs and what does not."""

from pathlib import Path

import pytest

from dictamen.errors import InputError, UsageError
from dictamen.experiments.arms import (
    ALL,
    FEW,
    IMAGE_LEVEL,
    PSEUDO_LABELS,
    REPORTS,
    STANDARD,
    arm_grid,
    read_ways,
    standard_arms,
)
from dictamen.training.config import TrainConfig, validated


def test_arms_differ_in_supervision_alone() -> None:
    base = TrainConfig(steps=7)
    few, reports, every = (arm.config(base, seed=4) for arm in standard_arms(6))
    assert (few.supervision, few.max_mask_studies) == (("masks",), 6)
    assert (reports.supervision, reports.max_mask_studies) == (("masks", "reports"), 6)
    assert (every.supervision, every.max_mask_studies) == (("masks",), None)
    same = {"supervision", "max_mask_studies"}
    assert few.model_dump(exclude=same) == reports.model_dump(exclude=same) == every.model_dump(exclude=same)
    assert few.seed == 4


def test_names_choose_and_order_the_arms() -> None:
    assert [arm.name for arm in standard_arms(None, (ALL, FEW))] == [ALL, FEW]
    with pytest.raises(UsageError, match=REPORTS.replace("+", r"\+")):
        standard_arms(3, ("scores",))


def test_baselines_keep_the_other_losses_of_the_base() -> None:
    base = validated({"losses": {"absence": 0.07, "volume": 0.3}})
    pseudo, image = (arm.config(base, seed=1) for arm in standard_arms(6, (PSEUDO_LABELS, IMAGE_LEVEL)))
    assert pseudo.losses.ball_mode == "pseudo_labels" and pseudo.losses.volume == 0
    assert image.losses.ball == image.losses.volume == 0 < image.losses.presence
    assert pseudo.losses.absence == image.losses.absence == 0.07


def test_a_grid_has_every_number_of_masks_and_of_reports_that_an_arm_uses() -> None:
    arms = arm_grid((FEW, REPORTS, ALL), masks=(3, 6), reports=(50, None))
    assert [arm.name for arm in arms] == [
        "masks@3", "masks@6",
        "masks+reports@3+50", "masks+reports@3+all", "masks+reports@6+50", "masks+reports@6+all",
        "all-masks",
    ]  # fmt: skip
    config = arms[2].config(TrainConfig(), seed=0)
    assert (config.max_mask_studies, config.max_report_studies) == (3, 50)
    assert arms[2].title == "3 masks + reports (50)"


def test_arms_of_ones_own_change_what_their_file_says_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "arms.toml"
    file.write_text(
        '[no-ball]\ntitle = "without ball loss"\nlosses = {ball = 0.0}\n'
        '[slow]\nlike = "masks"\nlearning_rate = 1e-3\npretraining = {steps = 5}\n'
    )
    ways = read_ways(file)
    no_ball, slow = arm_grid(("no-ball", "slow"), masks=(6,), ways={**STANDARD, **ways})
    base = validated({"losses": {"volume": 0.3}})
    changed = no_ball.config(base, seed=1)
    assert (changed.losses.ball, changed.losses.volume, changed.supervision) == (0.0, 0.3, ("masks", "reports"))
    assert no_ball.title == "6 masks + reports: without ball loss"
    assert slow.config(base, seed=1).supervision == ("masks",)
    assert slow.pretraining == {"steps": 5}


@pytest.mark.parametrize("text", ["steps = 3", '[a]\nlike = "wishes"', '["a/b"]\nsteps = 3', "[a"])
def test_a_wrong_file_of_arms_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "arms.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"arms\.toml"):
        read_ways(file)
