"""Configuration: defaults, files, assignments, errors that name the key."""

import tomllib
from pathlib import Path

import pytest

from dictamen.errors import InputError, UsageError
from dictamen.training.config import TrainConfig, resolve, to_toml, validated


def test_toml_round_trip() -> None:
    config = resolve(
        None,
        ["steps=10", "losses.ball=2", "patch_size=[32,32,32]", 'targets=["kidney_tumour"]', "network.channels=[4,8]"],
    )
    assert validated(tomllib.loads(to_toml(config))) == config


def test_assignments_win_over_values_and_file(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("steps = 5\nseed = 7\n", encoding="utf-8")
    config = resolve(file, ["steps=9"], seed=3, preset=None)
    assert (config.steps, config.seed, config.preset) == (9, 3, TrainConfig().preset)


@pytest.mark.parametrize(
    ("assignment", "named"),
    [
        ("stepz=3", "stepz"),
        ("losses.x=1", "losses.x"),
        ("steps=0", "steps"),
        ("steps", "key=value"),
        ("supervision=[]", "supervision"),
        ("window.lo_hu=300", "window"),
        ("seed.x=1", "seed"),
    ],
)
def test_wrong_assignment_names_the_key(assignment: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        resolve(None, [assignment])


def test_unreadable_file_is_bad_input(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("steps = = 5", encoding="utf-8")
    with pytest.raises(InputError, match=r"c\.toml"):
        resolve(file)


@pytest.mark.parametrize(("supervision", "first"), [(("masks",), 100), (("masks", "reports"), 30), (("reports",), 0)])
def test_reports_join_after_the_first_stage(supervision: tuple[str, ...], first: int) -> None:
    config = validated({"steps": 100, "masks_only_fraction": 0.3, "supervision": supervision})
    assert config.first_report_step == first
