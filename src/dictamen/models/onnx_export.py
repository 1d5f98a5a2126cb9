"""A model as ONNX, for programs without torch, checked against the network itself before it is kept."""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dictamen.errors import InputError, UsageError
from dictamen.files import atomic_path
from dictamen.models.card import ModelCard
from dictamen.models.package import load_model

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-3
"""Largest difference of a logit, in units of the logits' spread: kernels of another library round otherwise."""
CHECKED = 3
"""Random windows that are compared."""


@dataclass(frozen=True)
class OnnxExport:
    """What was written.

    Attributes:
        path: the file.
        shape: of its input `image`, [1, C, X, Y, Z].
        difference: largest difference of a logit from torch's, over the windows compared.
        spread: standard deviation of the logits there.
    """

    path: Path
    shape: tuple[int, ...]
    difference: float
    spread: float


class _Logits(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image).logits
        return logits


def export_onnx(model: Path, output: Path, *, trust_code: bool = False) -> OnnxExport:
    """Write a window's network: `image` [1, C, X, Y, Z] as normalised -> `logits` [1, L, X, Y, Z].

    The file's metadata holds the model card: labels, spacing, window, normalisation.

    Raises:
        UsageError: the packages of the extra `onnx` are missing.
        InputError: the network has a part that ONNX lacks, or the file does not give what the network gives.
        ResourceError: disk full or folder not writable.
    """
    if missing := [package for package in PACKAGES if find_spec(package) is None]:
        raise UsageError(
            "ONNX export needs packages that are not installed.",
            got=", ".join(missing),
            next_step="pip install 'dictamen[onnx]'",
        )
    network, card = load_model(model, trust_code=trust_code)
    shape = (1, card.architecture.in_channels, *card.patch_size)
    whole = _Logits(network).eval()
    random = torch.Generator().manual_seed(0)
    windows = [torch.rand(shape, generator=random) * 2 - 1 for _ in range(CHECKED)]
    with atomic_path(output) as temporary:
        _write(whole, windows[0], temporary, card)
        difference, spread = _compare(whole, windows, temporary)
        if not difference <= TOLERANCE * max(spread, 1e-6):
            raise InputError(
                "The ONNX file does not give what the network gives.",
                where=output,
                got=f"a difference of {difference:.2g} where logits spread by {spread:.2g}",
                expected=f"at most {TOLERANCE:g} of it",
            )
    return OnnxExport(output, shape, difference, spread)


def _write(whole: nn.Module, window: Tensor, path: Path, card: ModelCard) -> None:
    import onnx

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                whole, (window,), input_names=["image"], output_names=["logits"], dynamo=True, verbose=False
            )
    except Exception as error:  # the exporter has many errors of its own; all say that a part can't be exported
        raise InputError(
            "The network has a part that ONNX lacks.", where=path, got=f"{type(error).__name__}", next_step="use torch"
        ) from error
    made = program.model_proto
    for key, value in (("dictamen_card", card.model_dump_json()), ("labels", json.dumps(card.names))):
        entry = made.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save_model(made, str(path))


def _compare(whole: nn.Module, windows: list[Tensor], path: Path) -> tuple[float, float]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    differences, logits = [], []
    with torch.inference_mode():
        for window in windows:
            expected = whole(window).numpy()
            (found,) = session.run(["logits"], {"image": window.numpy()})
            differences.append(float(np.abs(found - expected).max()))
            logits.append(expected)
    return max(differences), float(np.std(np.concatenate(logits)))
