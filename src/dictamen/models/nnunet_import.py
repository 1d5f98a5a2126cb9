"""A results folder of nnU-Net v2 becomes a model folder of ours; one way, and without running what it holds.

    RESULTS/plans.json, dataset.json, fold_0/checkpoint_final.pth

Checkpoints are pickles. They are read by torch's restricted loader, which makes tensors and plain values only; network
classes named in the plans are compared with those that `models.nnunet_network` rebuilds, and never imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dictamen.anatomy import lesion_labels, vocabulary
from dictamen.errors import InputError, UsageError
from dictamen.models.card import Architecture, ModelCard, OutputLabel
from dictamen.models.normalise import Standardised
from dictamen.models.package import save_model
from dictamen.models.presets import build

PLANS, DATASET = "plans.json", "dataset.json"
CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth", "checkpoint_latest.pth")
KINDS = {"PlainConvUNet": "plain", "ResidualEncoderUNet": "residual"}
"""Class of the network in the plans -> encoder of `nnunet_network`."""
FIXED = {"conv_op": "Conv3d", "norm_op": "InstanceNorm3d", "nonlin": "LeakyReLU", "dropout_op": None, "block": None}
"""Parts of the network that are rebuilt in this form only, by the last word of their path."""
SIDES = {"R": (0, False), "L": (0, True), "A": (1, False), "P": (1, True), "S": (2, False), "I": (2, True)}
"""Letter of an orientation -> our axis, and whether it runs the other way."""
WANTED = re.compile(r"GLOBAL ([\w.]+)")
"""The function or class in what the restricted loader says."""
LONGEST_REASON = 200
"""Characters of another library's message that are shown."""
DEEPEST = 100
"""Configurations that inherit from each other; more is a circle."""
ALLOWED: list[Any] = [
    np.dtype,
    np.ndarray,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
    type(np.dtype(np.int64)),
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]  # as numpy 1 named it
    (np._core.multiarray.scalar, "numpy._core.multiarray.scalar"),  # type: ignore[attr-defined]
]
"""What nnU-Net's logs hold besides tensors and plain values: numbers of numpy. None of them runs anything."""


@dataclass(frozen=True)
class _Source:
    """What the files of a results folder say."""

    folder: Path
    plans: Mapping[str, Any]
    dataset: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    configuration: str


def import_nnunet(
    results: Path,
    output: Path,
    *,
    fold: str = "0",
    orientation: str = "RAS",
    names: Mapping[str, str] | None = None,
) -> ModelCard:
    """Write the model folder `output`.

    Args:
        results: nnUNetTrainer__nnUNetPlans__3d_fullres, or so: with plans.json, dataset.json and fold_<n>/.
        fold: which of them, or "all"; models of several folds are not averaged.
        orientation: of the arrays that nnU-Net was trained on: how the images of its dataset were stored (nnU-Net
            turns none), for example "RAS" or "LPS".
        names: label of the dataset -> what to call it here.

    Raises:
        InputError: files missing or damaged; a network, normalisation or configuration that can't be rebuilt.
        UsageError: an orientation that is none.
    """
    source = _read(Path(results), fold)
    try:
        network, card = _made(source, orientation, names or {})
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:  # our own errors are none of these
        raise InputError(
            "plans.json and dataset.json do not describe a network.",
            where=source.folder,
            got=f"{type(error).__name__}: {error}".partition("\n")[0][:LONGEST_REASON],
            expected="files as nnU-Net v2 wrote them",
            next_step="copy them again from the machine that trained",
        ) from error
    _fill(network, source)
    save_model(Path(output), network, card)
    return card


def _made(source: _Source, orientation: str, names: Mapping[str, str]) -> tuple[nn.Module, ModelCard]:
    """The network with fresh weights, and its card."""
    plan = _configuration(source.plans, source.configuration, source.folder)
    overrides = _architecture(plan, source, orientation)
    labels, exclusive = _labels(source, names)
    axes = overrides["axes"]
    channels = len(source.dataset.get("channel_names", source.dataset.get("modality", {"0": "CT"})))
    card = ModelCard(
        architecture=Architecture(
            preset="nnunet",
            in_channels=channels,
            out_channels=len(labels),
            exclusive=exclusive,
            overrides=overrides,
        ),
        labels=labels,
        spacing_mm=_ours(plan["spacing"], axes),
        patch_size=_ours(plan["patch_size"], axes),
        intensity=_intensity(plan, source, channels),
        modality="CT",
        supervision={},
    )
    try:
        network = build("nnunet", in_channels=channels, out_channels=len(labels) + exclusive, **overrides)
    except UsageError as error:  # its advice is for those who train
        raise ValueError(error.what) from error
    return network, card


def _read(folder: Path, fold: str) -> _Source:
    plans, dataset = (_json(folder / name) for name in (PLANS, DATASET))
    found = [path for name in CHECKPOINTS if (path := folder / f"fold_{fold}" / name).is_file()]
    if not found:
        raise InputError(
            "There is no checkpoint of the fold.",
            where=folder,
            got=", ".join(sorted(path.name for path in folder.glob("fold_*"))) or "no fold_<n>",
            expected=f"fold_{fold}/{CHECKPOINTS[0]}",
            next_step="choose another --fold",
        )
    checkpoint = load_checkpoint(found[0])
    weights, given = checkpoint.get("network_weights"), checkpoint.get("init_args")
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError("The checkpoint holds no weights of a network.", where=found[0], expected="nnU-Net v2's")
    configuration = given.get("configuration") if isinstance(given, dict) else None
    if not isinstance(configuration, str):
        raise InputError("The checkpoint does not say its configuration.", where=found[0], expected="nnU-Net v2's")
    clean = {name.removeprefix("module.").removeprefix("_orig_mod."): value for name, value in weights.items()}
    return _Source(folder, plans, dataset, clean, configuration)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Tensors and plain values of a torch checkpoint.

    Raises:
        InputError: it can't be read, or wants to make or run anything else.
    """
    try:
        with torch.serialization.safe_globals(ALLOWED):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the loader's own, the archive's, the system's: the file can't be used
        refused = WANTED.search(str(error))
        wanted = refused[1] if refused else None
        raise InputError(
            "The checkpoint wants to run code, and is refused." if wanted else "The checkpoint can't be read.",
            where=path,
            got=wanted or type(error).__name__,
            expected="tensors, numbers and text only",
            next_step="export it again with nnU-Net, or ask its author for a clean one",
        ) from error
    if not isinstance(found, dict):
        raise InputError("The checkpoint can't be read.", where=path, got=type(found).__name__, expected="a table")
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            "The file of nnU-Net can't be read.",
            where=path,
            got=type(error).__name__,
            next_step="give the folder that holds plans.json, dataset.json and fold_0/",
        ) from error
    if not isinstance(found, dict):
        raise InputError("The file does not hold a JSON object.", where=path, got=type(found).__name__)
    return found


def _configuration(plans: Mapping[str, Any], name: str, folder: Path) -> dict[str, Any]:
    """A configuration with what it inherits."""
    known, chain = plans.get("configurations", {}), list[dict[str, Any]]()
    while name:
        if not isinstance(known.get(name), dict) or len(chain) > DEEPEST:
            raise InputError("The plans lack the configuration.", where=folder / PLANS, got=name, expected=list(known))
        chain.append(known[name])
        name = known[name].get("inherits_from", "")
    found = {key: value for one in reversed(chain) for key, value in one.items()}
    if found.get("previous_stage"):
        raise _unsupported("a cascade, which needs the result of another network", folder)
    if len(found.get("patch_size", ())) != 3 or len(found.get("spacing", ())) != 3:
        raise _unsupported("a configuration that is not 3D", folder)
    return {**found, "transpose_forward": plans.get("transpose_forward", [0, 1, 2])}


def _architecture(plan: Mapping[str, Any], source: _Source, orientation: str) -> dict[str, Any]:
    """Arguments of `nnunet_network.NnunetBackbone`."""
    made = plan.get("architecture") or _old_architecture(plan)
    name = str(made.get("network_class_name", "")).rpartition(".")[2]
    if name not in KINDS:
        raise _unsupported(f"the network {name or '?'}", source.folder, expected=" or ".join(KINDS))
    given = made.get("arch_kwargs", {})
    for key, only in FIXED.items():
        word = str(given[key]).rpartition(".")[2] if given.get(key) else None
        if word != only and not (key == "block" and word == "BasicBlockD"):
            raise _unsupported(f"{key} {word}", source.folder, expected=only)
    stages = int(given["n_stages"])
    depth = "n_conv_per_stage" if KINDS[name] == "plain" else "n_blocks_per_stage"
    features = _listed(given["features_per_stage"], stages)
    overrides = {
        "features": features[0],
        "kind": KINDS[name],
        "stage_features": features,
        "kernels": [_listed(one, 3) for one in _listed(given["kernel_sizes"], stages)],
        "strides": [_listed(one, 3) for one in _listed(given["strides"], stages)],
        "depths": _listed(given[depth], stages),
        "decoder_depths": _listed(given["n_conv_per_stage_decoder"], stages - 1),
        "bias": bool(given.get("conv_bias", False)),
    }
    overrides["axes"] = [2 - int(axis) for axis in plan["transpose_forward"]]  # SimpleITK's arrays are (z, y, x)
    overrides["flips"] = _flips(orientation)
    return overrides


def _old_architecture(plan: Mapping[str, Any]) -> dict[str, Any]:
    """As nnU-Net before 2.3 wrote it."""
    depths = plan.get("n_conv_per_stage_encoder", [])
    name = str(plan.get("UNet_class_name", ""))
    first, most = plan.get("UNet_base_num_features", 32), plan.get("unet_max_num_features", 320)
    return {
        "network_class_name": name,
        "arch_kwargs": {
            "n_stages": len(depths),
            "features_per_stage": [min(first * 2**level, most) for level in range(len(depths))],
            "conv_op": "Conv3d",
            "norm_op": "InstanceNorm3d",
            "nonlin": "LeakyReLU",
            "kernel_sizes": plan.get("conv_kernel_sizes"),
            "strides": plan.get("pool_op_kernel_sizes"),
            "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage": depths,
            "n_conv_per_stage_decoder": plan.get("n_conv_per_stage_decoder"),
            "conv_bias": True,
        },
    }


def _flips(orientation: str) -> list[int]:
    letters = [SIDES.get(letter) for letter in orientation.upper()]
    if [axis[0] if axis else None for axis in letters] != [0, 1, 2]:
        raise UsageError(
            "The orientation is none.", got=orientation, expected="R or L, A or P, S or I, in this order: RAS, LPS, LAS"
        )
    return [axis[0] for axis in letters if axis and axis[1]]


def _labels(source: _Source, names: Mapping[str, str]) -> tuple[tuple[OutputLabel, ...], bool]:
    """Output labels, and whether they exclude each other, with background as the first channel."""
    given = source.dataset.get("labels")
    if not isinstance(given, dict) or len(given) < 2:
        raise InputError("dataset.json has no labels.", where=source.folder / DATASET)
    if unknown := sorted(set(names) - set(given)):
        raise UsageError("There is no such label.", got=unknown[0], expected=", ".join(given))
    regions = any(isinstance(value, list | tuple) for value in given.values())
    shown = [name for name, value in given.items() if name not in ("background", "ignore") and value not in (0, [0])]
    if not regions:
        shown.sort(key=lambda name: int(given[name]))
    return tuple(_label(names.get(name, name)) for name in shown), not regions


def _label(name: str) -> OutputLabel:
    words = vocabulary.load()
    structure = words.find(name)
    if structure is not None:
        return OutputLabel(name=name, kind="organ", structure=words.whole(structure.id)[0])
    try:
        lesion = lesion_labels.parse(name)
    except InputError:
        return OutputLabel(name=name, kind="organ")
    return OutputLabel(name=name, kind="lesion", structure=lesion.structure)


def _intensity(plan: Mapping[str, Any], source: _Source, channels: int) -> Standardised:
    schemes = plan.get("normalization_schemes", [])
    if channels != 1 or list(schemes) != ["CTNormalization"]:
        raise _unsupported(
            f"{channels} channels normalised by {', '.join(schemes)}", source.folder, "one channel of CT"
        )
    known = source.plans.get("foreground_intensity_properties_per_channel", {}).get("0")
    try:
        return Standardised(
            lo_hu=known["percentile_00_5"],
            hi_hu=known["percentile_99_5"],
            mean_hu=known["mean"],
            sd_hu=max(known["std"], 1e-8),
        )
    except (TypeError, KeyError, ValueError) as error:
        raise InputError("The plans lack the intensities of the dataset.", where=source.folder / PLANS) from error


def _fill(network: nn.Module, source: _Source) -> None:
    """Give the network the checkpoint's weights."""
    own = network.state_dict()
    last = f"decoder.seg_layers.{len([k for k in own if 'decoder.transpconvs' in k and 'weight' in k]) - 1}."
    filled = {}
    for name in own:
        theirs = name.removeprefix("backbone.") if name.startswith("backbone.") else name.replace("head.", last)
        value = source.weights.get(theirs)
        if value is None or value.shape != own[name].shape:
            raise InputError(
                "The weights don't fit the network of the plans.",
                where=source.folder,
                got=f"{theirs} {'missing' if value is None else tuple(value.shape)}",
                expected=tuple(own[name].shape),
                next_step="use the plans.json that was trained with",
            )
        filled[name] = value.float()
    network.load_state_dict(filled)


def _ours(values: Any, axes: list[int]) -> Any:
    """A value an axis of the trained arrays, in our order."""
    return tuple(values[axes.index(axis)] for axis in range(3))


def _listed(value: Any, count: int) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value] * count


def _unsupported(what: str, folder: Path, expected: object = None) -> InputError:
    return InputError(f"The model can't be imported: {what}.", where=folder, expected=expected)
