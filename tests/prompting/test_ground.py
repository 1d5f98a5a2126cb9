"""Grounding by the command line: reports of a table, of a file, of a cohort; what is written, what is refused."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from dictamen.cli.main import main
from dictamen.cohort.store import Cohort
from dictamen.imaging.volume import Volume
from dictamen.inference.study import Settings
from dictamen.models import prompt_presets
from dictamen.models.card import Architecture, ModelCard, OutputLabel
from dictamen.models.package import save_model
from dictamen.models.prompted import PromptedNetwork
from dictamen.prompting.ground_page import write_page
from dictamen.prompting.grounding import ground_study
from dictamen.reports.rules import read_report

TEXT = (
    "FINDINGS: There is a 24 mm hypodense lesion in the upper pole of the left kidney. "
    "A 15 mm cyst is seen in the right kidney. The liver is normal."
)
MADE = prompt_presets.architecture(
    "unet_tiny",
    query={"width": 16, "heads": 2, "feedforward": 16},
    text={"width": 16, "heads": 2},
    dimension=16,
)
CARD = ModelCard(
    architecture=Architecture(preset="unet_tiny", out_channels=1, prompts=MADE),
    labels=(OutputLabel(name="kidney_left", kind="organ", structure="kidney_left"),),
    spacing_mm=(4.0, 4.0, 4.0),
    patch_size=(16, 16, 16),
)


class Oracle(PromptedNetwork):
    """Answers "right" with one bright ball, everything else with another, everywhere sure."""

    def decode(self, image, embeddings):  # type: ignore[no-untyped-def]
        output = super().decode(image, embeddings)
        return output._replace(logits=self.answers[embeddings[:, 0].long()][None].expand_as(output.logits))

    def embed(self, texts):  # type: ignore[no-untyped-def]
        return torch.tensor([[float("right" in text or "15 mm" in text)] + [0.0] * 15 for text in texts])


def oracle() -> Oracle:
    torch.manual_seed(0)
    network = prompt_presets.build(MADE, in_channels=1, labels=1)
    network.__class__ = Oracle
    answers = torch.full((2, 16, 16, 16), -9.0)
    answers[0, 2:7, 5:10, 9:14] = 9.0  # 20 mm at the left
    answers[1, 11:15, 5:9, 5:9] = 9.0
    network.answers = answers
    return network  # type: ignore[return-value]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = prompt_presets.build(MADE, in_channels=1, labels=1)
    folder: Path = tmp_path_factory.mktemp("model") / "model"
    return save_model(folder, network, CARD)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    voxels = np.random.default_rng(0).normal(0, 50, (16, 16, 16)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-4.0, -4.0, 4.0, 1.0])), path)
    return path


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def test_each_finding_gets_its_own_voxels_and_says_how_sure_it_is(tmp_path: Path) -> None:
    volume = Volume(np.zeros((1, 16, 16, 16), np.int16), np.diag([4.0, 4.0, 4.0, 1.0]), "scan")
    found = ground_study(oracle(), CARD, volume, read_report(TEXT, "scan"), TEXT, Settings(precision="32-true"))
    left, right = found.findings
    assert (left.finding.side, right.finding.side) == ("left", "right")
    assert left.told_apart and right.told_apart
    assert left.lesion is not None and right.lesion is not None
    assert left.lesion.centroid_mm[0] < right.lesion.centroid_mm[0]
    assert (left.volume_mm3, right.volume_mm3) == pytest.approx((125 * 64, 64 * 64))
    assert left.size_agreement == pytest.approx(20 / 24, abs=0.25)
    assert left.place_agreement == 1.0  # the oracle paints its "left kidney" at the same place
    assert 0.5 < left.sure <= 1
    assert set(np.unique(found.labels.array)) == {0, 1, 2}
    write_page(tmp_path / "page.html", found, TEXT, window=CARD.intensity)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "upper pole of the left kidney" in page and page.count("<img") == 2
    assert (tmp_path / "page.html").stat().st_mode & 0o077 == 0


def test_the_reports_of_a_file_or_a_table(model: Path, scan: Path, tmp_path: Path) -> None:
    (tmp_path / "report.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "reports.csv").write_text(f'study_id,report\nscan,"{TEXT}"\n', encoding="utf-8")
    (tmp_path / "studies.csv").write_text(f'study_id,image,report\nscan,{scan},"{TEXT}"\n', encoding="utf-8")
    lines = []
    for name, words in (
        ("a", (scan, "--reports", tmp_path / "report.txt")),
        ("b", (scan, "--reports", tmp_path / "reports.csv", "--no-pages")),
        ("c", (tmp_path / "studies.csv",)),
    ):
        assert run("ground", model, *words, "-o", tmp_path / name) == 0
        lines.append((tmp_path / name / "findings.jsonl").read_text())
        assert (tmp_path / name / "pages").exists() is (name != "b")
    assert lines[0] == lines[1] == lines[2]
    found = [json.loads(line) for line in lines[0].splitlines()]
    assert [one["value"] for one in found] == [1, 2]
    assert [TEXT[slice(*one["span"])] != "" for one in found] == [True, True]
    assert "hypodense" not in lines[0]
    image, labels = nibabel.load(scan), nibabel.load(tmp_path / "a" / "scan.nii.gz")
    assert labels.shape == image.shape and np.allclose(labels.affine, image.affine)


def test_a_cohort_resumes_and_lists_what_failed(
    model: Path, phantoms: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("ground", model, phantoms.path, "-o", out, "--split", "test", "--json", "--no-pages") == 0
    first = json.loads(capsys.readouterr().out)
    assert len(first["grounded"]) == 1 and not first["failed"]
    assert run("ground", model, phantoms.path, "-o", out, "--split", "test", "--json", "--resume", "--no-pages") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["skipped"] == first["grounded"] and again["findings"] == first["findings"]
    assert run("ground", model, phantoms.path, "-o", out) == 2


def test_wrong_use_is_told(model: Path, scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run("ground", model, scan, "-o", out) == 2
    assert "--reports" in capsys.readouterr().err
    (tmp_path / "other.csv").write_text("study_id,report\nother,No lesion.\n", encoding="utf-8")
    assert run("ground", model, scan, "-o", out, "--reports", tmp_path / "other.csv") == 3
    assert "no report" in capsys.readouterr().err
