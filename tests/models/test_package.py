import json
import logging
import stat
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

from dictamen.errors import InputError, ResourceError, UsageError
from dictamen.models.card import RESEARCH_USE, Architecture, ModelCard, OutputLabel, TrainingStudies, readme
from dictamen.models.package import CARD, README, WEIGHTS, load_card, load_model, save_model
from dictamen.models.presets import SegmentationNetwork, build

LABELS = (
    OutputLabel(name="kidney_tumour", kind="lesion", structure="kidney", threshold=0.3),
    OutputLabel(name="kidney", kind="organ", structure="kidney", snomed_ct="64033007"),
)


def network() -> SegmentationNetwork:
    return build("unet_tiny", in_channels=1, out_channels=2, auxiliary_head=True)


def card(**changes: object) -> ModelCard:
    architecture = Architecture(preset="unet_tiny", out_channels=2, auxiliary_head=True)
    values = {"architecture": architecture, "labels": LABELS, "spacing_mm": (1.5, 1.5, 2), "patch_size": (32, 32, 16)}
    return ModelCard.model_validate({**values, **changes})


def own_backbone(*, in_channels: int, out_channels: int) -> nn.Module:
    return nn.Conv3d(in_channels, out_channels, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_model(tmp_path / "run" / "model", network(), card())


def test_round_trip(tmp_path: Path) -> None:
    model = network()
    made = card(training_studies=TrainingStudies.of(["s1", "s2"]), supervision={"masks": 2, "reports": 30})
    save_model(tmp_path / "model", model, made)
    loaded, read = load_model(tmp_path / "model")
    assert read == made
    assert not loaded.training
    image = torch.randn(1, 1, 16, 16, 16)
    model.eval()
    assert torch.equal(loaded(image).logits, model(image).logits)
    assert torch.equal(loaded(image).auxiliary, model(image).auxiliary)


def test_equal_weights_are_equal_files(tmp_path: Path) -> None:
    """The hash of the file names the model, in SEG and SR too."""
    model = network()
    folders = [save_model(tmp_path / str(number), model, card()) for number in range(8)]
    assert len({(folder / WEIGHTS).read_bytes() for folder in folders}) == 1


def test_a_run_folder_is_accepted_and_files_are_the_promised_ones(folder: Path) -> None:
    assert load_model(folder.parent)[1] == load_card(folder)
    assert {path.name for path in folder.iterdir()} == {WEIGHTS, CARD, README}
    assert not [path for path in folder.parent.iterdir() if path != folder]


def test_loading_says_research_use(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load_model(folder)
    assert [record.getMessage() for record in caplog.records] == [RESEARCH_USE]


def test_loading_and_saving_leave_random_numbers_alone(tmp_path: Path) -> None:
    model = network()
    state = torch.get_rng_state()
    save_model(tmp_path / "model", model, card())
    load_model(tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), state)


def test_a_saved_model_is_replaced_whole(folder: Path) -> None:
    (folder / "stale").write_text("x")
    save_model(folder, network(), card(spacing_mm=(1, 1, 1)))
    assert load_card(folder).spacing_mm == (1, 1, 1)
    assert not (folder / "stale").exists()


def test_nothing_is_left_when_writing_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dictamen.models.package.save_file", full)
    with pytest.raises(ResourceError, match="disk is full"):
        save_model(folder, network(), card(spacing_mm=(9, 9, 9)))
    assert load_card(folder).spacing_mm == (1.5, 1.5, 2)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\x08\0\0\0\0\0\0\0{}......"])
def test_damaged_weights(folder: Path, content: bytes) -> None:
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(InputError, match="weights can't be read") as caught:
        load_model(folder)
    assert str(folder / WEIGHTS) in str(caught.value)


def test_truncated_weights(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="weights can't be read"):
        load_model(folder)


def test_weights_of_another_configuration_name_the_tensor_and_shapes(folder: Path) -> None:
    other = build("unet_tiny", in_channels=1, out_channels=5, auxiliary_head=True)
    save_file(other.state_dict(), folder / WEIGHTS)
    with pytest.raises(InputError, match=r"head\.weight is \[5, 4, 1, 1, 1\] instead of \[2, 4, 1, 1, 1\]"):
        load_model(folder)


def test_missing_and_unknown_tensors_are_named(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["stranger"] = tensors.pop("head.bias")
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(InputError, match=r"head\.bias is missing; stranger is not known"):
        load_model(folder)


def test_a_card_of_another_model_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="another configuration"):
        save_model(tmp_path / "model", build("unet_tiny", in_channels=1, out_channels=2), card())
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 99}, "newer dictamen"),
        ({"spacing_mm": [1, 1]}, "spacing_mm"),
        ({"surprise": 1}, "surprise"),
        ({"labels": []}, "labels"),
    ],
)
def test_wrong_cards(folder: Path, change: dict[str, object], words: str) -> None:
    values = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**values, **change}))
    with pytest.raises(InputError, match=words):
        load_model(folder)


def test_no_model_and_damaged_card(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model here"):
        load_model(tmp_path / "nowhere")
    (folder / CARD).write_text("{")
    with pytest.raises(InputError, match="can't be read"):
        load_model(folder)


def test_a_custom_model_runs_code_only_when_trusted(tmp_path: Path) -> None:
    overrides = {"backbone": f"{__name__}:own_backbone", "features": 3}
    model = build("custom", in_channels=1, out_channels=2, **overrides)
    made = card(architecture=Architecture(preset="custom", out_channels=2, overrides=overrides))
    save_model(tmp_path / "model", model, made)
    with pytest.raises(UsageError, match="code of its own"):
        load_model(tmp_path / "model")
    assert load_model(tmp_path / "model", trust_code=True)[1] == made


def test_hashed_ids_answer_only_for_those_who_know_the_id() -> None:
    studies = TrainingStudies.of(["s1", "s2", "s1"])
    assert "s1" in studies
    assert "s3" not in studies
    assert len(studies.sha256) == 2
    assert TrainingStudies.of(["s1"]).sha256 != TrainingStudies.of(["s1"]).sha256, "the salt is random"
    assert "s1" not in studies.model_dump_json().replace(studies.salt, "").replace("".join(studies.sha256), "")


def test_the_readme_tells_labels_use_and_hides_ids() -> None:
    text = readme(card(training_studies=TrainingStudies.of(["PATIENT7"])))
    assert RESEARCH_USE in text
    assert "| 1 | kidney_tumour | lesion | kidney |  | 0.3 |" in text
    assert "1.5 x 1.5 x 2 mm" in text
    assert "PATIENT7" not in text


def test_labels_must_match_channels_and_differ() -> None:
    with pytest.raises(ValidationError, match="3 output channels but 2 labels"):
        card(architecture=Architecture(preset="unet_tiny", out_channels=3))
    with pytest.raises(ValidationError, match="differ"):
        card(labels=(LABELS[0], LABELS[0]))


def test_files_can_be_read_by_others(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}
