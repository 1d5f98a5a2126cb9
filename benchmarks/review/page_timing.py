"""The review page in Chromium on a CT of 512 x 512 x 300: first slice, regions, a saved answer, a case by keyboard.

    python benchmarks/review/page_timing.py --work /tmp/review-timing

Needs Chromium (Debian: chromium) and playwright. A key is pressed as soon as the page says that the answer before is
saved, so that a case by keyboard is what the page costs, without the time that a person needs to look. Goals on an idle
machine: first slice within 1 s of opening a study, an answer within .2 s. Writes benchmarks/results/review_page.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from dictamen.anatomy.region_scheme import RegionScheme
from dictamen.cohort.build import build_cohort
from dictamen.cohort.store import Cohort
from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume
from dictamen.review.guard import COOKIE, Guard
from dictamen.review.masks import MaskSource
from dictamen.review.server import create_app
from dictamen.review.session import Session
from dictamen.review.store import FeedbackStore
from dictamen.review.view import PLANES

SHAPE, SPACING_MM = (512, 512, 300), (0.8, 0.8, 1.5)
TRAINING_SPACING_MM = 3.0
CASES, REGIONS = 3, 6
PATIENCE_MS = 600_000
RESULT = Path(__file__).parents[1] / "results" / "review_page.md"
REPORT = "Liver: There is a 2.3 cm cyst in the right lobe. Spleen is normal."


def cohort(work: Path) -> Path:
    """Three studies of one image with noise and a liver of 1.4 litres each."""
    folder = work / "cohort"
    if (folder / "cohort.json").is_file():
        return folder
    x, y, z = (np.linspace(-1, 1, n, dtype=np.float32) for n in SHAPE)
    away = (x[:, None, None] / 0.45) ** 2 + (y[None, :, None] / 0.4) ** 2 + (z[None, None] / 0.42) ** 2
    organ = away < 1
    noise = np.random.default_rng(0).normal(0, 15, SHAPE).astype(np.int16)
    affine = np.diag([*SPACING_MM, 1.0])
    write_volume(Volume((np.where(organ, 90, -60).astype(np.int16) + noise)[None], affine), work / "ct.nii.gz")
    write_volume(Volume(organ.astype(np.uint8)[None], affine), work / "organs.nii.gz", label_names={1: "liver"})
    rows = ["study_id,image,organs,report", *(f'case{n},ct.nii.gz,organs.nii.gz,"{REPORT}"' for n in range(CASES))]
    (work / "studies.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    build_cohort(work / "studies.csv", folder, spacing_mm=TRAINING_SPACING_MM, overwrite=True)
    return folder


class Watch:
    """Wall time since it was made, and processor time of all processes below this one: server and browser."""

    def __init__(self) -> None:
        self.begun, self.used = time.perf_counter(), processor_of_children()

    def read(self) -> tuple[float, float]:
        """(wall, processor) seconds."""
        return time.perf_counter() - self.begun, processor_of_children() - self.used


def processor_of_children() -> float:
    """Processor seconds of the living processes below this one (Linux)."""
    parents, used = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(stat.parent.name)] = int(fields[1])
        used[int(stat.parent.name)] = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    below, before = {os.getpid()}, 0
    while len(below) > before:
        before = len(below)
        below |= {process for process, parent in parents.items() if parent in below}
    return sum(used[process] for process in below - {os.getpid()})


def opened(page: Page, number: int, act: object) -> tuple[tuple[float, float], tuple[float, float]]:
    """Until the first axial slice of a study is drawn, and until its first region can be scored."""
    watch = Watch()
    act()  # type: ignore[operator]
    page.locator("#axial[data-slice]").wait_for()
    page.locator("#studies [aria-current=true]", has_text=f"case{number}").wait_for()
    first = watch.read()
    page.locator("#region-name", has_text=f"Region 1 of {REGIONS}").wait_for()
    return first, watch.read()


def score_case(page: Page) -> list[tuple[float, float]]:
    """Score all regions by keyboard; from each direction key to "Saved."."""
    spent = []
    for region in range(1, REGIONS + 1):
        page.locator("#region-name", has_text=f"Region {region} of {REGIONS}").wait_for()
        page.keyboard.press("3")
        page.locator("#message", has_text="What is wrong?").wait_for()
        watch = Watch()
        page.keyboard.press("o" if region % 2 else "u")
        page.locator("#message", has_text=f"Region {region}: 3").wait_for()
        spent.append(watch.read())
        if region < REGIONS:
            page.keyboard.press("Enter")
    return spent


def measure(folder: Path, database: Path) -> dict[str, list[tuple[float, float]]]:
    """All (wall, processor) times, s, by name."""
    words = ["review", str(folder), "--label", "liver", "--feedback", str(database)]
    server = subprocess.Popen([sys.executable, "-m", "dictamen", *words], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = next(line.split()[-1] for line in server.stdout if line.startswith("Open "))
    found: dict[str, list[tuple[float, float]]] = {
        name: [] for name in ("first slice", "first region ready", "answer saved", "case")
    }
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1400, "height": 850})
            page.set_default_timeout(PATIENCE_MS)
            for number in range(CASES):
                act = (lambda: page.goto(address)) if number == 0 else (lambda: page.keyboard.press("Enter"))
                first, ready = opened(page, number, act)
                found["first slice"].append(first)
                found["first region ready"].append(ready)
                watch = Watch()
                found["answer saved"] += score_case(page)
                found["case"].append(watch.read())
            browser.close()
    finally:
        server.terminate()
        server.wait()
    return found


def processor_times(folder: Path, database: Path) -> dict[str, list[float]]:
    """Processor seconds of the server for each request, which do not depend on what else the machine does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from starlette.testclient import TestClient
    opened_cohort, base = Cohort.open(folder), "http://127.0.0.1:8000"
    store = FeedbackStore(database)
    session = Session(opened_cohort, MaskSource(opened_cohort), "liver", RegionScheme("surface_patch", REGIONS), store)
    found: dict[str, list[float]] = {}
    with TestClient(create_app(session, Guard("token", 8000)), base_url=base) as client:
        client.cookies.set(COOKIE, "token")
        client.headers.update({"x-rater": "timing", "origin": base})

        def timed(name: str, path: str, body: dict[str, object] | None = None) -> None:
            begun = time.process_time()
            response = client.post(path, json=body) if body else client.get(path)
            found.setdefault(name, []).append(time.process_time() - begun)
            assert response.status_code == 200, response.text

        for study in range(CASES):
            timed("study and report", f"/api/studies/{study}")
            for axis, plane in enumerate(PLANES):
                timed(f"first {plane} slice", f"/api/studies/{study}/image/{plane}/{SHAPE[axis] // 2}")
            timed("regions", f"/api/studies/{study}/regions")
            for region in range(1, REGIONS + 1):
                body = {"study": study, "region": region, "score": 3, "direction": "over"}
                timed("answer saved", "/api/answers", body)
    store.close()
    return found


def as_rows(found: dict[str, list[float]]) -> str:
    """As a table."""
    rows = ["| what | n | median s | longest s |", "|---|---|---|---|"]
    rows += [f"| {name} | {len(v)} | {np.median(v):.3f} | {max(v):.3f} |" for name, v in found.items()]
    return "\n".join(rows)


def main() -> None:
    """Build, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("review-timing"))
    work = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    folder, database = cohort(work), work / f"feedback-{time.time_ns()}.sqlite"
    before = os.getloadavg()[0]
    processor = processor_times(folder, work / f"processor-{time.time_ns()}.sqlite")
    found = measure(folder, database)
    wall, used = ({name: [time[part] for time in times] for name, times in found.items()} for part in (0, 1))
    load = (before + os.getloadavg()[0]) / 2
    text = (
        f"# The review page\n\n{__doc__.splitlines()[0]}\n"
        f"{CASES} studies, masks at {TRAINING_SPACING_MM:g} mm, {REGIONS} surface patches. The first study includes\n"
        f"the loading of the page. {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load average {load:.1f}:\n"
        "on a busy machine the times are those of waiting for a core. Goals on an idle one: first slice 1 s,\n"
        "answer .2 s.\n\n"
        f"## In Chromium, wall time\n\n{as_rows(wall)}\n\n"
        "## In Chromium, processor time of browser and server together\n\n"
        "Both cores may work at once, and it goes on after what is waited for.\n\n"
        f"{as_rows(used)}\n\n"
        f"## Of the server, processor time\n\n{as_rows(processor)}\n\n"
        "Made by `python benchmarks/review/page_timing.py`.\n"
    )
    RESULT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
