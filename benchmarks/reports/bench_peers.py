"""Speed of the rule reader, beside spaCy with negspaCy and medspaCy; writes benchmarks/results/reports_peers.md.

usage: OMP_NUM_THREADS=1 python benchmarks/reports/bench_peers.py [--data FOLDER] [--negspacy PYTHON]
                                                                  [--medspacy PYTHON]

The peers want other versions of spaCy than each other, so each has an environment of its own:
    python -m venv A && A/bin/pip install spacy==3.8.18 negspacy==1.1.0
    python -m venv B && B/bin/pip install medspacy==1.3.1 spacy==3.7.5
Each figure is the best of three, one after the other in one run: other work on the machine slows all of them. Reports
are those of CT-RATE where they are at hand, else made-up ones.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from bench_reader import CHARACTERS, ROOT, reports_per_second, rows, synthetic

from dictamen.reports.batch import find
from dictamen.reports.reader import Report

RESULT = ROOT / "benchmarks" / "results" / "reports_peers.md"
REPORTS = 300
REPEATS = 2
"""Times that the reports are read by the clock."""


def texts_of(data: Path) -> tuple[str, list[str]]:
    """Name and texts of the reports."""
    labelled = data / "reports" / "ctrate_labelled.jsonl"
    if labelled.is_file():
        return "CT-RATE", [row["text"] for row in rows(labelled)[:REPORTS]]
    return "made-up reports", [synthetic(seed) for seed in range(REPORTS)]


def wall(texts: list[str], jobs: int) -> float:
    """Reports of 1,600 characters a second of the clock, best of three, the processes having started."""
    reports = [Report(f"S{n}-{i}", text, "") for n in range(REPEATS) for i, text in enumerate(texts)]
    best = 0.0
    list(find(reports[:REPORTS], jobs=jobs))
    for _ in range(3):
        start = time.perf_counter()
        for _findings in find(reports, jobs=jobs):
            pass
        best = max(best, sum(len(r.text) for r in reports) / CHARACTERS / (time.perf_counter() - start))
    return best


def peer(python: str | None, name: str, path: Path) -> str:
    """One row of the table; what went wrong where there is no figure."""
    if python is None:
        return f"| {name} | not measured: no environment given | |"
    script = Path(__file__).with_name("peer_spacy.py")
    done = subprocess.run([python, str(script), name, str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"| {name} | failed: {done.stderr.strip().splitlines()[-1][:80]} | |"
    found = json.loads(done.stdout.strip().splitlines()[-1])
    versions = ", ".join(f"{package} {version}" for package, version in found["versions"].items())
    return f"| {name} ({versions}) | {found['reports_per_second']:.0f} | CPU |"


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("DICTAMEN_SHARED_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--negspacy")
    parser.add_argument("--medspacy")
    options = parser.parse_args()
    name, texts = texts_of(options.data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reports.jsonl"
        path.write_text("".join(json.dumps({"report": text}) + "\n" for text in texts), encoding="utf-8")
        lines = [
            "# Speed of reading, beside peers",
            "",
            f"{date.today()}, Python {platform.python_version()}, {os.cpu_count()} cores,",
            f"load {os.getloadavg()[0]:.1f}: other work on the machine slows all of them.",
            "Command: `OMP_NUM_THREADS=1 bench_peers.py --negspacy PYTHON --medspacy PYTHON`.",
            f"Reports a second, of {CHARACTERS} characters each, on {name} ({len(texts)} reports).",
            "",
            "| what | reports/s | time |",
            "|---|---|---|",
            f"| dictamen, rules, one core | {reports_per_second(texts):.0f} | CPU |",
            peer(options.negspacy, "negspacy", path),
            peer(options.medspacy, "medspacy", path),
            f"| dictamen, rules, one process | {wall(texts, 1):.0f} | clock |",
            f"| dictamen, rules, two processes | {wall(texts, 2):.0f} | clock |",
        ]
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
