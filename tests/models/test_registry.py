import json
import zipfile
from pathlib import Path

import pytest
import torch

from dictamen.cli.main import main
from dictamen.errors import InputError, UsageError
from dictamen.models import registry
from dictamen.models.card import Architecture, ModelCard, OutputLabel
from dictamen.models.package import CARD, WEIGHTS, load_model, save_model
from dictamen.models.presets import build

CARD_OF_KIDNEYS = ModelCard(
    architecture=Architecture(preset="unet_tiny", out_channels=1),
    labels=(OutputLabel(name="kidney", kind="organ"),),
    spacing_mm=(2, 2, 2),
    patch_size=(16, 16, 16),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    save_model(tmp_path / "kidneys" / "model", build("unet_tiny", in_channels=1, out_channels=1), CARD_OF_KIDNEYS)
    return tmp_path / "kidneys"


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["models", *map(str, words)])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_a_package_carries_a_model_to_another_registry(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(registry.PLACE, str(tmp_path / "here"))
    assert call(capsys, "list") == (0, f"0 models in {tmp_path / 'here'}\n", "")
    assert call(capsys, "add", run)[0] == 0
    assert call(capsys, "export", "kidneys", "-o", tmp_path / "kidneys.zip")[0] == 0
    code, out, _ = call(capsys, "add", tmp_path / "kidneys.zip", "--registry", tmp_path / "there", "--name", "k2")
    assert code == 0 and "k2: kidney" in out
    code, out, _ = call(capsys, "list", "--registry", tmp_path / "there", "--json")
    assert [(entry["name"], entry["labels"]) for entry in json.loads(out)] == [("k2", ["kidney"])]
    code, out, _ = call(capsys, "show", "kidneys")
    assert code == 0 and "What it segments" in out
    a, b = (load_model(folder)[0].state_dict() for folder in (run, tmp_path / "there" / "k2"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert registry.locate("kidneys") == tmp_path / "here" / "kidneys"
    assert registry.locate(run) == run / "model"
    code, _, err = call(capsys, "show", "liver")
    assert code == 3 and "one of: kidneys" in err
    assert call(capsys, "remove", "kidneys")[0] == 0
    assert registry.entries(tmp_path / "here") == []


def test_names(run: Path, tmp_path: Path) -> None:
    place = tmp_path / "registry"
    registry.add(run, registry=place)
    with pytest.raises(UsageError, match="has a model of this name"):
        registry.add(run, registry=place)
    registry.add(run, registry=place, overwrite=True)
    for name in ("../x", "a/b", ".hidden", "", " ", "x" * 200):
        with pytest.raises(UsageError, match="can't be used"):
            registry.add(run, name=name or "-", registry=place)
    with pytest.raises(InputError, match="no such model"):
        registry.remove("../kidneys", registry=place)


def test_a_damaged_model_is_listed_with_its_reason_and_not_taken(run: Path, tmp_path: Path) -> None:
    place = tmp_path / "registry"
    registry.add(run, registry=place)
    (place / "kidneys" / CARD).write_text("{}")
    (place / "notes").mkdir()
    (entry,) = registry.entries(place)
    assert entry.card is None and entry.problem
    (run / "model" / WEIGHTS).write_bytes(b"damaged")
    with pytest.raises(InputError, match="can't be read"):
        registry.add(run, name="other", registry=place)
    assert not (place / "other").exists()


def packed(run: Path, path: Path) -> dict[str, bytes]:
    registry.pack(run, path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("harm", ["changed", "missing", "twice", "slip", "bomb", "cut", "no zip"])
def test_packages_made_to_do_harm(run: Path, tmp_path: Path, harm: str) -> None:
    path = tmp_path / "p.zip"
    members = packed(run, path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            if harm == "missing" and name.endswith(CARD):
                continue
            changed = harm == "changed" and name.endswith(WEIGHTS)
            archive.writestr(f"../../{name}" if harm == "slip" else name, content[:-1] + b"?" if changed else content)
        if harm == "twice":
            archive.writestr(f"other/{CARD}", b"{}")
        if harm == "bomb":
            archive.writestr("model/README.md" if "model/README.md" not in members else "x/README.md", bytes(64 << 20))
    if harm in ("cut", "no zip"):
        path.write_bytes(path.read_bytes()[:-40] if harm == "cut" else b"no archive")
    before = {item for item in tmp_path.rglob("*") if item.name != "registry"}
    if harm == "slip":  # paths mean nothing: the files are taken by their names
        registry.add(path, registry=tmp_path / "registry")
    else:
        with pytest.raises(InputError):
            registry.add(path, registry=tmp_path / "registry")
        assert not (tmp_path / "registry" / "p").exists()
    now = {item for item in tmp_path.rglob("*") if "registry" not in item.parts}
    assert now == before
