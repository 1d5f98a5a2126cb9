"""The prompted network: answers that depend on no other prompt, any number of them, any backbone."""

import copy

import pytest
import torch

from dictamen.errors import UsageError
from dictamen.models import prompt_presets
from dictamen.models.card import Architecture, ModelCard, OutputLabel
from dictamen.models.levels import find_levels
from dictamen.models.package import load_model, save_model
from dictamen.models.prompted import PromptedNetwork
from dictamen.models.query_decoder import position_code

SMALL = {"query": {"width": 24, "heads": 4, "feedforward": 32}, "text": {"width": 16, "heads": 4}, "dimension": 16}
WORDS = ("left kidney", "right kidney", "liver", "hypodense lesion in the upper pole of the left kidney", "")


def small(backbone: str = "unet_tiny", *, labels: int = 2, **query: object) -> PromptedNetwork:
    torch.manual_seed(0)
    sizes = {**SMALL, "query": {**SMALL["query"], **query}}
    made = prompt_presets.architecture(backbone, **sizes)
    return prompt_presets.build(made, in_channels=1, labels=labels)


@pytest.mark.parametrize("scales", [False, True])
def test_a_prompt_is_answered_alike_whatever_else_is_asked(scales: bool) -> None:
    network = small(scales=scales).eval()
    image = torch.randn(2, 1, 16, 16, 16)
    with torch.no_grad():
        together = network(image, WORDS)
        alone = [network(image, [text]) for text in WORDS]
        encoded = network.encode(image)
        chunked = [network.decode(encoded, network.embed(WORDS[a : a + 2])) for a in (0, 2, 4)]
    for parts in (alone, chunked):
        assert torch.allclose(together.logits, torch.cat([part.logits for part in parts], 1), atol=1e-5)
        assert torch.allclose(together.presence, torch.cat([part.presence for part in parts], 1), atol=1e-5)


@pytest.mark.parametrize("count", [1, 7, 400])
def test_any_number_of_prompts(count: int) -> None:
    network = small().eval()
    with torch.no_grad():
        output = network(torch.randn(1, 1, 8, 8, 16), torch.randn(count, 16))
    assert output.logits.shape == (1, count, 8, 8, 16)
    assert output.presence.shape == (1, count)
    assert all(torch.isfinite(level).all() and level.shape[1] == count for level in output.levels)


@pytest.mark.parametrize("backbone", ["unet", "dynunet", "segresnet"])
def test_every_parameter_of_any_backbone_gets_a_gradient(backbone: str) -> None:
    network = small(backbone)
    side = 2 * network.divisor
    output = network(torch.randn(1, 1, side, side, side), ["spleen", "left kidney"])
    loss = output.logits.square().mean() + output.presence.square().mean()
    (loss + sum(level.square().mean() for level in output.levels)).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not without


def test_levels_go_from_fine_to_coarse_and_end_in_the_deepest() -> None:
    network = small("unet")
    strides = [level.stride for level in network.found.encoder]
    assert strides == sorted(strides) and strides[-1] == 8
    assert [level.stride for level in network.found.decoder] == [2, 4]
    with pytest.raises(UsageError, match="no feature map"):
        find_levels(torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3, padding=1)), in_channels=1, divisor=4)


def test_without_prompts_the_table_is_asked_and_a_copy_does_the_same() -> None:
    network = small().eval()
    network.write_table(["liver", "left kidney"])
    image = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        expected = network(image, ["liver", "left kidney"]).logits
        assert torch.allclose(network(image).logits, expected, atol=1e-6)
        assert torch.allclose(copy.deepcopy(network)(image).logits, expected, atol=1e-6)


def test_a_saved_model_answers_as_before(tmp_path: object) -> None:
    made = prompt_presets.architecture("unet_tiny", **SMALL)
    torch.manual_seed(0)
    network = prompt_presets.build(made, in_channels=1, labels=1).eval()
    network.write_table(["liver"])
    card = ModelCard(
        architecture=Architecture(preset="unet_tiny", out_channels=1, prompts=made),
        labels=(OutputLabel(name="liver", kind="organ", structure="liver"),),
        spacing_mm=(3.0, 3.0, 3.0),
        patch_size=(16, 16, 16),
    )
    save_model(tmp_path / "model", network, card)  # type: ignore[operator]
    loaded, read = load_model(tmp_path / "model")  # type: ignore[operator]
    assert read.architecture.prompts == made
    image = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        assert torch.equal(loaded(image, ["kidneys"]).logits, network(image, ["kidneys"]).logits)


@pytest.mark.parametrize("grid", [(1, 1, 1), (3, 5, 2), (8, 8, 8)])
@pytest.mark.parametrize("width", [8, 24, 96])
def test_the_position_code_tells_all_cells_apart(grid: tuple[int, int, int], width: int) -> None:
    code = position_code(grid, width)
    assert code.shape == (grid[0] * grid[1] * grid[2], width)
    assert width < 18 or len(torch.unique(code.round(decimals=4), dim=0)) == len(code)


def test_sizes_that_are_not_possible_are_named() -> None:
    with pytest.raises(UsageError, match="one of test, tiny, small, nano"):
        prompt_presets.architecture("huge")
    with pytest.raises(UsageError, match="multiple of `heads`"):
        prompt_presets.architecture("test", query={"width": 30, "heads": 4})
    with pytest.raises(UsageError, match="depth"):
        prompt_presets.architecture("test", depth=3)


@pytest.mark.parametrize("preset", ["test", "tiny"])
def test_presets_fit_their_patch_and_tell_left_from_right(preset: str) -> None:
    made = prompt_presets.PROMPT_PRESETS[preset]
    network = prompt_presets.build(made.architecture, in_channels=1, labels=1).eval()
    assert all(side % network.divisor == 0 for side in made.patch_size)
    embedded = network.embed(["left kidney", "right kidney"])
    assert not torch.allclose(embedded[0], embedded[1], atol=1e-4)


def test_presence_follows_the_surest_voxel() -> None:
    network = small().eval()
    image = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        found = network(image, WORDS)
        network.evidence.zero_()
        without = network(image, WORDS)
    assert torch.allclose(found.presence - without.presence, found.logits.flatten(2).amax(2), atol=1e-5)
