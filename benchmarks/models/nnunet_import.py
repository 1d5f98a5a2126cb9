"""Imported networks of nnU-Net against nnU-Net itself: the same weights, the same volume, the same logits?

usage: peers/bin/python benchmarks/models/nnunet_import.py        (peers: see benchmarks/inference/bench_sliding.py)

Networks of random weights are made and saved as nnU-Net's trainer saves them, imported, and slid over a volume by both.
Writes benchmarks/results/nnunet_import.md.
"""

from __future__ import annotations

import json
import tempfile
from datetime import date
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from dictamen.inference.sliding import slide
from dictamen.models.nnunet_import import import_nnunet
from dictamen.models.package import load_model

RESULT = Path(__file__).parents[1] / "results" / "nnunet_import.md"
SHAPE, PATCH, SPACING = (40, 56, 48), (20, 32, 24), (5.0, 0.8, 0.8)
"""Of nnU-Net's arrays, (z, y, x)."""
PLAIN = {"n_conv_per_stage": [2, 2, 2]}
RESIDUAL = {"n_blocks_per_stage": [1, 2, 2]}
CASES = {
    "plain": ("PlainConvUNet", PLAIN, [0, 1, 2], {"background": 0, "kidney": 1, "kidney_tumour": 2, "kidney_cyst": 3}),
    "residual": ("ResidualEncoderUNet", RESIDUAL, [0, 1, 2], {"background": 0, "liver": 1, "spleen": 2}),
    "transposed": ("PlainConvUNet", PLAIN, [2, 0, 1], {"background": 0, "liver": 1}),
    "regions": ("PlainConvUNet", PLAIN, [0, 1, 2], {"background": 0, "kidney": [1, 2], "kidney_tumour": 2}),
}
"""Name -> network, its depths, transpose_forward, labels."""


def architecture(name: str, depths: dict[str, Any]) -> dict[str, Any]:
    """As plans.json has it; anisotropic, as plans of thick slices are."""
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
        "arch_kwargs": {
            "n_stages": 3,
            "features_per_stage": [8, 16, 24],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
            "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
            "n_conv_per_stage_decoder": [2, 1],
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
            **depths,
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def write_results(
    folder: Path, made: dict[str, Any], transposed: list[int], labels: dict[str, Any], network: Any
) -> None:
    """A results folder as nnU-Net's trainer leaves it."""
    hu = {"mean": 60.0, "std": 140.0, "percentile_00_5": -900.0, "percentile_99_5": 1100.0, "median": 50.0}
    plans = {
        "transpose_forward": transposed,
        "foreground_intensity_properties_per_channel": {"0": hu},
        "configurations": {
            "3d_fullres": {
                "spacing": SPACING,
                "patch_size": PATCH,
                "normalization_schemes": ["CTNormalization"],
                "architecture": made,
            }
        },
    }
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}, "labels": labels}))
    torch.save(
        {
            "network_weights": network.state_dict(),
            "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
            "grad_scaler_state": None,
            "logging": {"mean_fg_dice": [np.float64(0.5)], "ema_fg_dice": [np.float32(0.4)]},
            "_best_ema": np.float64(0.5),
            "current_epoch": 1000,
            "init_args": {"plans": plans, "configuration": "3d_fullres", "fold": 0, "dataset_json": {}},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": (0, 1, 2),
        },
        folder / "fold_0" / "checkpoint_final.pth",
    )


def their_logits(network: Any, heads: int, data: Any) -> Any:
    """Of `nnUNetPredictor`, [heads, ...] in the order of nnU-Net's arrays."""
    predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    plans = SimpleNamespace(get_label_manager=lambda _: SimpleNamespace(num_segmentation_heads=heads))
    configuration = SimpleNamespace(patch_size=PATCH)
    predictor.manual_initialization(network, plans, configuration, [network.state_dict()], {}, "", None)
    return predictor.predict_logits_from_preprocessed_data(data).float().numpy()


def compare(name: str) -> str:
    """A row of the table."""
    kind, depths, transposed, labels = CASES[name]
    regions = any(isinstance(value, list) for value in labels.values())
    heads = len(labels) - regions
    made = architecture(kind, depths)
    torch.manual_seed(0)
    network = get_network_from_plans(
        made["network_class_name"], made["arch_kwargs"], made["_kw_requires_import"], 1, heads, deep_supervision=True
    )
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.2)
    network.eval()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_results(folder / "results", made, transposed, labels, network)
        card = import_nnunet(folder / "results", folder / "model")
        ours, _ = load_model(folder / "model")
    network.decoder.deep_supervision = False
    hu = np.random.default_rng(0).normal(60, 400, SHAPE).astype(np.float32)
    data = ((np.clip(hu, -900, 1100) - 60) / 140)[None]
    axes = card.architecture.overrides["axes"]
    window = torch.from_numpy(np.ascontiguousarray(data[:, : PATCH[0], : PATCH[1], : PATCH[2]]))[None]
    turned = window.permute(0, 1, *(axes.index(axis) + 2 for axis in range(3)))
    with torch.inference_mode():
        once = (network(window) - ours(turned).logits.permute(0, 1, *(axis + 2 for axis in axes))).abs().max()
    theirs = their_logits(network, heads, torch.from_numpy(data)).transpose(0, *(axes.index(a) + 1 for a in range(3)))
    found = np.zeros((len(card.labels), *theirs.shape[1:]), np.float32)
    image = hu.transpose(*(axes.index(axis) for axis in range(3)))
    options = {"normalise": card.intensity.apply, "air": card.intensity.air, "precision": "32-true"}
    for tile in slide(ours, image, patch_size=card.patch_size, **options):
        found[(slice(None), *tile.place)] = tile.logits.numpy()
    if regions:
        same = np.mean((found > 0) == (theirs > 0))
    else:
        same = np.mean(np.where(found.max(0) > 0, found.argmax(0) + 1, 0) == theirs.argmax(0))
    return f"| {name} | {kind} | {len(labels) - 1} | {float(once):.0e} | {100 * same:.3f} % |"


def main() -> None:
    """Compare all, write."""
    lines = [compare(name) for name in CASES]
    text = [
        "# Imported nnU-Net models against nnU-Net\n",
        f"{date.today()}, `python benchmarks/models/nnunet_import.py`; nnunetv2 {version('nnunetv2')}, "
        f"torch {version('torch')}. Networks of random weights, volume {SHAPE}, window {PATCH}.\n",
        "nnU-Net blends in half precision, ours in single: labels may differ where two are all but equal.\n",
        "| case | network | labels | largest difference of a logit in one window | voxels of the volume with the same "
        "label |",
        "|---|---|---|---|---|",
        *lines,
    ]
    RESULT.write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
