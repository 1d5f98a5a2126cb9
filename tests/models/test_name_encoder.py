"""The encoder of names on disk: what is loaded gives what was saved, and damage is told."""

from pathlib import Path

import pytest
import torch
from torch import nn

from dictamen.errors import InputError
from dictamen.models import name_encoder
from dictamen.models.name_encoder import NameEncoder, NameEncoderCard, load_name_encoder, save_name_encoder
from dictamen.models.text_encoder import TextSettings

CARD = NameEncoderCard(text=TextSettings(width=16, layers=1, heads=2), dimension=8)
TEXTS = ["left kidney", "", "a cyst in the upper pole of the left kidney"]


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return name_encoder.build(CARD.text, dimension=CARD.dimension)


def test_what_is_loaded_gives_what_was_saved(network: nn.Module, tmp_path: Path) -> None:
    save_name_encoder(tmp_path / "run" / "model", network, CARD)
    saved, loaded = NameEncoder(network, CARD), load_name_encoder(tmp_path / "run")
    assert torch.equal(saved.embed(TEXTS), loaded.embed(TEXTS))
    assert saved.fingerprint == loaded.fingerprint


def test_embeddings_have_length_one_and_do_not_depend_on_their_neighbours(network: nn.Module) -> None:
    encoder = NameEncoder(network, CARD)
    found = encoder.embed(TEXTS * 200)
    assert found.shape == (600, 8)
    assert torch.allclose(found.norm(dim=1), torch.ones(600))
    assert torch.allclose(found[:3], torch.cat([encoder.embed([text]) for text in TEXTS]), atol=1e-6)
    assert encoder.embed([]).shape == (0, 8)


def test_other_weights_have_another_fingerprint(network: nn.Module) -> None:
    before = NameEncoder(network, CARD).fingerprint
    with torch.no_grad():
        next(network.parameters())[0, 0] += 1
    assert NameEncoder(network, CARD).fingerprint != before


def test_one_text_is_no_list_of_texts(network: nn.Module) -> None:
    with pytest.raises(TypeError, match="list"):
        NameEncoder(network, CARD).embed("kidney")


@pytest.mark.parametrize("damage", ["no folder", "no weights", "half the weights", "card", "other sizes"])
def test_damage_is_told(network: nn.Module, tmp_path: Path, damage: str) -> None:
    if damage != "no folder":
        card = CARD.model_copy(update={"dimension": 4}) if damage == "other sizes" else CARD
        save_name_encoder(tmp_path, network, card)
        weights = tmp_path / name_encoder.WEIGHTS
        if damage == "no weights":
            weights.unlink()
        if damage == "half the weights":
            weights.write_bytes(weights.read_bytes()[:100])
        if damage == "card":
            (tmp_path / name_encoder.CARD).write_text("{")
    with pytest.raises(InputError, match="encoder of names"):
        load_name_encoder(tmp_path)
