"""The learning rate as a function of the step."""

import pytest

from dictamen.training.config import validated
from dictamen.training.schedule import learning_rate, report_weight


def test_warms_up_then_falls_and_drops_when_reports_join() -> None:
    config = validated(
        {"steps": 100, "warm_up_steps": 10, "masks_only_fraction": 0.5, "second_stage_rate": 0.1, "learning_rate": 1.0}
    )
    rates = [learning_rate(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:50] == sorted(rates[10:50], reverse=True)
    assert rates[50] == pytest.approx(0.1 * 0.5**0.9)
    assert min(rates) > 0


def test_masks_only_has_one_stage() -> None:
    config = validated({"steps": 100, "supervision": ["masks"], "second_stage_rate": 0.1})
    assert learning_rate(60, config) > 0.3 * learning_rate(55, config)


def test_the_weight_of_reports_grows_once_they_join() -> None:
    config = validated({"steps": 100, "masks_only_fraction": 0.5, "report_ramp_steps": 4, "losses": {"reports": 2.0}})
    assert [report_weight(step, config) for step in (49, 50, 51, 53, 54, 99)] == [0.0, 0.5, 1.0, 2.0, 2.0, 2.0]
    at_once = validated({"steps": 100, "masks_only_fraction": 0.5})
    assert [report_weight(step, at_once) for step in (50, 99)] == [1.0, 1.0]
