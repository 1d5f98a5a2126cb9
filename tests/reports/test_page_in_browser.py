"""The page of `dictamen read --html`, opened in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dictamen.reports.highlights import page
from dictamen.reports.rules import read_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TEXTS = {
    "S1": "A 14 mm cyst in the left kidney. The spleen is normal.",
    "S2": "Two liver metastases, the largest 3 cm. Status post splenectomy.",
    "S3": "",
}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    path.write_text("".join(page((text, read_report(text, name)) for name, text in TEXTS.items())), encoding="utf-8")
    return path


def opened(file: Path, state: str) -> str:
    """What the page is after its script has run."""
    profile = file.parent / "profile"
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--dump-dom"]
    done = subprocess.run(
        [*command, f"{file.as_uri()}#{state}"], capture_output=True, text=True, timeout=300, check=True
    )
    return done.stdout


@pytest.mark.parametrize(
    ("state", "visible"),
    [
        ("organ=kidney", ["S1"]),
        ("words=spleen+cyst", ["S1"]),
        ("flagged=1", ["S3"]),
    ],
)
def test_filter_and_search(file: Path, state: str, visible: list[str]) -> None:
    dom = opened(file, state)
    sections = re.findall(r'<section class="report"[^>]*>', dom)
    shown = [re.search(r'data-study="([^"]*)"', tag) for tag in sections if "hidden" not in tag]
    assert [match[1] for match in shown if match] == visible
    assert len(sections) == len(TEXTS)
    assert '<option value="liver">liver</option>' in dom
