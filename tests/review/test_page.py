"""The page in a real browser: scored by keyboard, undone, reloaded, nothing lost."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import sync_playwright

from dictamen.review.guard import Guard
from dictamen.review.server import create_app, free_port
from dictamen.review.session import Session
from dictamen.supervision.feedback import current_answers

CHROMIUM = shutil.which("chromium")
TOKEN = "a-token-for-tests"
PATIENCE_MS = 60_000


@pytest.fixture
def address(session: Session) -> Iterator[str]:
    port = free_port()
    settings = uvicorn.Config(
        create_app(session, Guard(TOKEN, port)), host="127.0.0.1", port=port, log_level="error", ws="none"
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.05)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{port}/?token={TOKEN}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def page(address: str) -> Iterator[Any]:  # ends before the server does
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian: chromium)")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        made = browser.new_page(viewport={"width": 1400, "height": 850})
        made.set_default_timeout(PATIENCE_MS)
        problems: list[str] = []
        made.on("pageerror", lambda error: problems.append(str(error)))
        made.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        yield made
        browser.close()
        assert problems == []


def message(page: Any, words: str) -> None:
    page.locator("#message", has_text=words).wait_for()


def test_score_six_regions_by_keyboard_undo_and_reload(
    page: Any, address: str, session: Session, tmp_path: Path
) -> None:
    page.goto(address)
    page.locator("#axial[data-slice]").wait_for()
    page.locator("#regions button").nth(5).wait_for()
    assert "token" not in page.url
    for region, keys in enumerate((["3", "o"], ["2", "u"], ["4", "m"], ["5"], ["n"], ["s"]), start=1):
        page.locator("#region-name", has_text=f"Region {region} of 6").wait_for()
        for key in keys:
            page.keyboard.press(key)
        message(page, f"Region {region}")
        if region < 6:
            page.keyboard.press("Enter")
    said = [(a.region, a.score, a.direction, a.skipped) for a in session.store.answers("first")]
    assert said == [
        (1, 3, "over", False), (2, 2, "under", False), (3, 4, "mixed", False), (4, 5, "none", False),
        (5, 5, "none", False), (6, None, None, True),
    ]  # fmt: skip
    page.locator("#progress-words", has_text="1 of 2 studies").wait_for()
    page.keyboard.press("z")
    message(page, "Region 6: taken back.")
    page.keyboard.press("1")
    page.keyboard.press("u")
    message(page, "Region 6: 1, under. Saved.")
    page.screenshot(path=tmp_path / "scored.png")

    page.reload()
    page.locator("#progress-words", has_text="1 of 2 studies").wait_for()
    page.locator("#studies button", has_text="first").click()
    page.locator("#regions button", has_text="6 1U").wait_for()
    shown = [button.inner_text() for button in page.locator("#regions button").all()]
    assert shown == ["1 3O", "2 2U", "3 4M", "4 5", "5 5", "6 1U"]
    assert len(current_answers(session.store.answers("first"))) == 6
    page.keyboard.press("Enter")
    page.locator("#studies [aria-current=true]", has_text="second").wait_for()


def test_report_is_text_and_its_findings_lead_to_their_place(page: Any, address: str, session: Session) -> None:
    page.goto(address)
    page.locator("#regions button").nth(5).wait_for()
    assert page.locator("#injected").count() == 0
    assert "<b id=injected>" in page.locator("#report").inner_text()
    page.locator("#report button").first.click()
    page.locator("#report button.chosen").wait_for()
    page.locator("#place", has_text="voxel").wait_for()
    page.locator("#findings button", has_text="Correct").click()
    page.locator("#findings form select").first.select_option("tumour")
    page.locator("#findings form button").click()
    page.locator("#findings .corrected").wait_for()
    (verdict,) = session.store.verdicts()
    assert (verdict.verdict, verdict.kind) == ("corrected", "tumour")
    page.locator("#findings button", has_text="Reject").click()
    page.locator("#findings .rejected").first.wait_for()


def test_keys_of_the_view_help_and_statistics(page: Any, address: str) -> None:
    page.goto(address)
    page.locator("#region-name", has_text="Region 1 of 6").wait_for()
    page.wait_for_load_state("networkidle")  # the view is still on its way to the region
    before = int(page.locator("#axial").get_attribute("data-slice"))
    page.keyboard.press("ArrowUp")
    page.locator(f'#axial[data-slice="{before + 1}"]').wait_for()
    page.keyboard.press("ArrowRight")
    page.locator("#region-name", has_text="Region 2 of 6").wait_for()
    page.keyboard.press("t")
    assert not page.locator("#outlines").is_checked()
    page.keyboard.press("w")
    assert page.locator("#window").input_value() == "liver"
    page.keyboard.press("o")
    message(page, "Give a score from 1 to 4 first.")
    page.keyboard.press("?")
    page.locator("#help[open]").wait_for()
    page.locator("#help button").click()
    page.locator("#help[open]").wait_for(state="detached")
    page.keyboard.press("4")
    page.keyboard.press("u")
    message(page, "Saved")
    page.locator("#show-statistics").click()
    page.locator("#statistics td", has_text="reader").wait_for()
    page.keyboard.press("Escape")
    page.locator("#search").fill("sec")
    assert [button.inner_text().strip() for button in page.locator("#studies button").all()] == ["second"]
