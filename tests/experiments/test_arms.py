"""Arms of supervision: what differs and what does not."""

import pytest

from dictamen.errors import UsageError
from dictamen.experiments.arms import ALL, FEW, IMAGE_LEVEL, PSEUDO_LABELS, REPORTS, standard_arms
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
