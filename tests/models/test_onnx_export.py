from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dictamen.errors import InputError
from dictamen.models import onnx_export
from dictamen.models.card import Architecture, ModelCard, OutputLabel
from dictamen.models.onnx_export import PACKAGES, export_onnx
from dictamen.models.package import load_model, save_model
from dictamen.models.presets import build

pytestmark = pytest.mark.skipif(
    any(find_spec(package) is None for package in PACKAGES), reason="the extra onnx is not installed"
)


def test_the_file_gives_what_the_network_gives_and_says_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    card = ModelCard(
        architecture=Architecture(preset="unet_tiny", out_channels=2),
        labels=(OutputLabel(name="kidney", kind="organ"), OutputLabel(name="kidney_tumour", kind="lesion")),
        spacing_mm=(2, 2, 2),
        patch_size=(16, 12, 8),
    )
    save_model(tmp_path / "model", build("unet_tiny", in_channels=1, out_channels=2), card)
    made = export_onnx(tmp_path / "model", tmp_path / "m.onnx")
    assert made.shape == (1, 1, 16, 12, 8) and made.difference < 1e-3 * made.spread
    session = onnxruntime.InferenceSession(str(made.path))
    assert ModelCard.model_validate_json(session.get_modelmeta().custom_metadata_map["dictamen_card"]) == card
    image = torch.rand(made.shape)
    with torch.inference_mode():
        expected = load_model(tmp_path / "model")[0](image).logits.numpy()
    assert np.abs(session.run(["logits"], {"image": image.numpy()})[0] - expected).max() < 1e-3

    compare = onnx_export._compare

    def against_another(whole: nn.Module, windows: list[torch.Tensor], path: Path) -> tuple[float, float]:
        return compare(onnx_export._Logits(build("unet_tiny", in_channels=1, out_channels=2).eval()), windows, path)

    monkeypatch.setattr(onnx_export, "_compare", against_another)
    before = (tmp_path / "m.onnx").read_bytes()
    with pytest.raises(InputError, match="does not give what the network gives"):
        export_onnx(tmp_path / "model", tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == before
