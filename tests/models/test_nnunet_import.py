"""Results as nnU-Net's trainer writes them; benchmarks/models/nnunet_import.py compares with nnU-Net itself."""

import json
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dictamen.cli.main import main
from dictamen.errors import InputError, UsageError
from dictamen.inference.sliding import slide
from dictamen.models.nnunet_import import import_nnunet
from dictamen.models.nnunet_network import NnunetBackbone
from dictamen.models.normalise import Standardised
from dictamen.models.package import load_model

KERNELS, STRIDES = [[1, 3, 3], [3, 3, 3], [3, 3, 3]], [[1, 1, 1], [1, 2, 2], [2, 2, 2]]
PATCH, SPACING = [8, 16, 12], [5.0, 0.8, 0.7]
"""As nnU-Net has them, (z, y, x)."""


def their_network(kind: str) -> NnunetBackbone:
    """The network in nnU-Net's own order of axes."""
    torch.manual_seed(0)
    return NnunetBackbone(
        1, 8, kind=kind, stage_features=(8, 16, 24), kernels=KERNELS, strides=STRIDES, depths=(2, 2, 2),
        decoder_depths=(2, 1),
    ).eval()  # fmt: skip


def results(folder: Path, kind: str = "plain", *, labels: dict[str, Any] | None = None, **changes: Any) -> Path:
    """plans.json, dataset.json and fold_0/checkpoint_final.pth; `changes` of the architecture's arguments."""
    labels = labels or {"background": 0, "kidney": 1, "tumor": 2}
    heads = len(labels) - any(isinstance(value, list) for value in labels.values())
    network = their_network(kind)
    head = torch.nn.Conv3d(8, heads, 1)
    weights = OrderedDict(network.state_dict())
    for name in list(weights):  # nnU-Net keeps each tensor under two names
        weights[name.replace(".conv.", ".all_modules.0.")] = weights[name]
    weights |= {f"decoder.seg_layers.1.{name}": value for name, value in head.state_dict().items()}
    weights |= {"decoder.seg_layers.0.weight": torch.zeros(heads, 16, 1, 1, 1)}
    depth = "n_conv_per_stage" if kind == "plain" else "n_blocks_per_stage"
    arguments = {
        "n_stages": 3, "features_per_stage": [8, 16, 24], "kernel_sizes": KERNELS, "strides": STRIDES,
        "conv_op": "torch.nn.modules.conv.Conv3d", "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "nonlin": "torch.nn.LeakyReLU", "dropout_op": None, "conv_bias": True, depth: [2, 2, 2],
        "n_conv_per_stage_decoder": [2, 1], **changes,
    }  # fmt: skip
    name = {"plain": "PlainConvUNet", "residual": "ResidualEncoderUNet"}[kind]
    hu = {"mean": 60.0, "std": 140.0, "percentile_00_5": -900.0, "percentile_99_5": 1100.0}
    configuration = {
        "spacing": SPACING, "patch_size": PATCH, "normalization_schemes": ["CTNormalization"],
        "architecture": {"network_class_name": f"a.b.{name}", "arch_kwargs": arguments},
    }  # fmt: skip
    plans = {
        "transpose_forward": [0, 1, 2],
        "foreground_intensity_properties_per_channel": {"0": hu},
        "configurations": {"3d_base": configuration, "3d_fullres": {"inherits_from": "3d_base"}},
    }
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}, "labels": labels}))
    checkpoint = {
        "network_weights": weights, "init_args": {"configuration": "3d_fullres", "plans": plans},
        "logging": {"ema_fg_dice": [np.float64(0.5)]}, "_best_ema": np.float32(0.5), "trainer_name": "nnUNetTrainer",
    }  # fmt: skip
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    return folder


@pytest.mark.parametrize("orientation", ["RAS", "LPS"])
@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_the_same_logits_on_arrays_that_are_turned(tmp_path: Path, kind: str, orientation: str) -> None:
    folder = results(tmp_path / "results", kind)
    card = import_nnunet(folder, tmp_path / "model", orientation=orientation, names={"tumor": "kidney_tumour"})
    assert [(label.name, label.kind) for label in card.labels] == [("kidney", "organ"), ("kidney_tumour", "lesion")]
    assert card.patch_size == (12, 16, 8) and card.spacing_mm == (0.7, 0.8, 5.0)
    assert isinstance(card.intensity, Standardised) and card.intensity.sd_hu == 140
    ours, again = load_model(tmp_path / "model")
    assert again == card
    weights = torch.load(folder / "fold_0" / "checkpoint_final.pth", weights_only=False)["network_weights"]
    image = torch.randn(1, 1, 12, 16, 8)
    flips = (2, 3) if orientation == "LPS" else ()
    with torch.inference_mode():
        features = their_network(kind)(image.flip(flips).permute(0, 1, 4, 3, 2))
        head = (weights[f"decoder.seg_layers.1.{name}"] for name in ("weight", "bias"))
        expected = torch.nn.functional.conv3d(features, *head).permute(0, 1, 4, 3, 2).flip(flips)
        assert torch.equal(ours(image).logits, expected)


def test_the_label_of_a_voxel_is_the_largest_logit_s(tmp_path: Path) -> None:
    import_nnunet(results(tmp_path / "results"), tmp_path / "model")
    network, card = load_model(tmp_path / "model")
    image = np.random.default_rng(0).normal(0, 300, card.patch_size).astype(np.float32)
    with torch.inference_mode():
        logits = network(torch.from_numpy(card.intensity.apply(image))[None, None]).logits[0].numpy()
    found = np.zeros((2, *image.shape), np.float32)
    for tile in slide(network, image, patch_size=card.patch_size, normalise=card.intensity.apply, precision="32-true"):
        found[(slice(None), *tile.place)] = tile.logits.numpy()
    assert np.array_equal(np.where(found.max(0) > 0, found.argmax(0) + 1, 0), logits.argmax(0))
    assert ((found > 0).sum(axis=0) <= 1).all()


def test_regions_are_labels_of_their_own(tmp_path: Path) -> None:
    folder = results(tmp_path / "results", labels={"background": 0, "kidney": [1, 2], "kidney_tumour": 2})
    card = import_nnunet(folder, tmp_path / "model")
    assert card.names == ("kidney", "kidney_tumour") and not card.architecture.exclusive


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_that_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    folder = results(tmp_path / "results")
    torch.save({"network_weights": Evil(tmp_path / "ran")}, folder / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(InputError, match="wants to run code") as refused:
        import_nnunet(folder, tmp_path / "model")
    assert "mkdir" in str(refused.value)
    assert not (tmp_path / "ran").exists() and not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"norm_op": "torch.nn.BatchNorm3d"}, "norm_op BatchNorm3d"),
        ({"conv_op": "torch.nn.modules.conv.Conv2d"}, "conv_op Conv2d"),
        ({"nonlin": "os.system"}, "nonlin system"),
        ({"features_per_stage": [8, 16, 32]}, "don't fit"),
        ({"kernel_sizes": None, "n_stages": 3}, "."),
    ],
)
def test_what_can_t_be_rebuilt_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises((InputError, UsageError), match=words):
        import_nnunet(results(tmp_path / "results", **changes), tmp_path / "model")


def test_files_that_are_missing_or_damaged(tmp_path: Path) -> None:
    folder = results(tmp_path / "results")
    with pytest.raises(InputError, match="no checkpoint of the fold"):
        import_nnunet(folder, tmp_path / "model", fold="3")
    with pytest.raises(UsageError, match="orientation"):
        import_nnunet(folder, tmp_path / "model", orientation="SAR")
    with pytest.raises(UsageError, match="no such label"):
        import_nnunet(folder, tmp_path / "model", names={"liver": "liver"})
    (folder / "fold_0" / "checkpoint_final.pth").write_bytes(b"PK no archive")
    with pytest.raises(InputError, match="can't be read"):
        import_nnunet(folder, tmp_path / "model")
    (folder / "plans.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="can't be read"):
        import_nnunet(folder, tmp_path / "model")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("configurations",), []),
        (("configurations", "3d_base", "spacing"), ["a", 0, 1]),
        (("configurations", "3d_base", "architecture", "arch_kwargs", "n_stages"), None),
        (("configurations", "3d_base", "architecture", "arch_kwargs", "strides"), 7.5),
        (("transpose_forward",), [0, 0, 5]),
    ],
)
def test_plans_that_describe_no_network(tmp_path: Path, path: tuple[str, ...], value: object) -> None:
    folder = results(tmp_path / "results")
    plans = json.loads((folder / "plans.json").read_text())
    inner = plans
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    (folder / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(InputError, match=r"describe a network|lack"):
        import_nnunet(folder, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_command_line_replaces_nothing_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = results(tmp_path / "results")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for output, words in (("full", "something at the output"), ("new", "describe a network")):
        with pytest.raises(SystemExit) as ended:
            main(["models", "import-nnunet", str(folder), "-o", str(tmp_path / output)])
        assert ended.value.code in (2, 3)
        assert words in capsys.readouterr().err
        (folder / "plans.json").write_text('{"configurations": []}')
    assert not (tmp_path / "new").exists()


def test_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results(tmp_path / "results")
    with pytest.raises(SystemExit) as ended:
        main(["models", "import-nnunet", str(folder), "-o", str(tmp_path / "m"), "--name", "tumor=kidney_tumour"])
    assert not ended.value.code
    assert "kidney, kidney_tumour" in capsys.readouterr().out
