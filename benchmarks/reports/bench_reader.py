"""Speed and accuracy of the rule reader; writes benchmarks/results/reports_reader.md.

usage: OMP_NUM_THREADS=1 python benchmarks/reports/bench_reader.py [--data FOLDER]

Speed is CPU time on one core, per report of 1,600 characters, on made-up reports in varied language; where the shared
real reports are at hand (DICTAMEN_SHARED_DATA, or ../shared/data beside the repository), also on those, with accuracy.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import random
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from dictamen.reports.rules import read_report, said_by
from dictamen.reports.schema import ReportFindings

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "reports_reader.md"
CHARACTERS = 1600
SENTENCES = (
    "The {organ} is unremarkable.",
    "There is a {a} x {b} mm {kind} in the {side} {pair}.",
    "No focal lesion is seen in the {organ}.",
    "Multiple {kind}s in the {organ}, the largest measuring up to {a} mm ({s}:{i}).",
    "The aorta measures {big} mm in diameter.",
    "No pleural effusion or pneumothorax was detected.",
    "A {a} mm {kind} in the {side} {pair}, previously {b} mm.",
    "Mild degenerative changes are observed in the thoracic spine.",
    "No enlarged mediastinal or hilar lymph nodes.",
)

ADVERSARIAL = (
    *(" ", "\n", ". ", "A", "Abc ", "A: ", "\nA", "(", "(1:1 ", "1 x "),
    *("1-", "x1x", "**A ", "no ", "no lesion, ", "liver "),
    *("1 mm mm ", "a 5 mm nodule and ", "a 5 mm liver nodule and "),
    *("segment 1 to 2, ", "unremarkable liver, ", "im 1 se 1 "),
)
"""Repeated to a megabyte: what patterns that backtrack, and work that grows with the square, would not end on."""


def synthetic(seed: int) -> str:
    """A made-up report of about 1,600 characters."""
    random_ = random.Random(seed)
    text = "FINDINGS:\n"
    while len(text) < CHARACTERS:
        text += random_.choice(SENTENCES).format(
            organ=random_.choice(["liver", "spleen", "pancreas", "thyroid gland"]),
            pair=random_.choice(["kidney", "adrenal gland", "upper lobe", "lower lobe"]),
            kind=random_.choice(["cyst", "nodule", "hypodense lesion"]),
            side=random_.choice(["left", "right"]),
            a=random_.randint(3, 40),
            b=random_.randint(2, 30),
            s=random_.randint(1, 9),
            i=random_.randint(1, 300),
            big=random_.randint(25, 45),
        )
        text += random_.choice([" ", "\n"])
    return text


def reports_per_second(texts: list[str], *, known: bool = False) -> float:
    """Reports of 1,600 characters a CPU second, every sentence new or `known`; best of three: other work disturbs."""
    for text in texts:
        read_report(text, "warm-up")
    best = 0.0
    for _ in range(3):
        if not known:
            said_by.cache_clear()
        start = time.process_time()
        for text in texts:
            read_report(text, "S")
        best = max(best, sum(map(len, texts)) / CHARACTERS / (time.process_time() - start))
    return best


def slowest_megabyte() -> tuple[str, float]:
    """The unit whose repetition to 1 MB takes longest, and its CPU seconds."""
    times = {}
    for unit in ADVERSARIAL:
        text = (unit * (1_000_000 // len(unit) + 1))[:1_000_000]
        start = time.process_time()
        read_report(text, "S")
        times[unit] = time.process_time() - start
    return max(times.items(), key=lambda item: item[1])


def f1(predicted: list[bool], truth: list[bool]) -> float:
    """F1 of a label over reports."""
    hits = sum(p and t for p, t in zip(predicted, truth, strict=True))
    return 2 * hits / (sum(predicted) + sum(truth))


def has(report: ReportFindings, structure: str) -> bool:
    """Whether a report has a current solid finding in a structure."""
    return any(
        f.structure == structure and f.temporal == "current" and f.existence != "absent" and f.kind != "cyst"
        for f in report.findings
    )


def accuracy(data: Path) -> list[str]:
    """Lines of the table on real reports."""
    lines = []
    gold_file, scorer_file = data / "reports" / "gold_dev.jsonl", data.parent / "tools" / "score_findings.py"
    if gold_file.is_file() and scorer_file.is_file():
        gold = rows(gold_file)
        found = {g["id"]: json.loads(read_report(g["text"], g["id"]).model_dump_json()) for g in gold}
        figures, _ = scorer(scorer_file)(found, gold)
        del figures["reports"]
        lines += [f"| hand-labelled reports ({len(gold)}): {name} | {value} |" for name, value in figures.items()]
    labelled_file = data / "reports" / "ctrate_labelled.jsonl"
    if labelled_file.is_file():
        labelled = rows(labelled_file)
        read = [read_report(row["text"], row["id"]) for row in labelled]
        for label, structure in (("Lung nodule", "lung"), ("Lymphadenopathy", "lymph_node")):
            value = f1([has(report, structure) for report in read], [bool(row["labels"][label]) for row in labelled])
            lines.append(f"| CT-RATE labels ({len(labelled)}): {label} F1 | {value:.4f} |")
        texts = [row["text"] for row in labelled]
        speed, again = reports_per_second(texts), reports_per_second(texts, known=True)
        lines.append(f"| reports/s on CT-RATE, 1,600 characters, one core, nothing read before | {speed:.0f} |")
        lines.append(f"| the same where every sentence was said before | {again:.0f} |")
    return lines


def rows(path: Path) -> list[dict[str, Any]]:
    """Objects of a jsonl file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def scorer(path: Path) -> Callable[..., tuple[dict[str, Any], list[Any]]]:
    """The scoring function of the shared tool."""
    spec = importlib.util.spec_from_file_location("score_findings", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.score  # type: ignore[no-any-return]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("DICTAMEN_SHARED_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default), help="folder with reports/gold_dev.jsonl ...")
    data = parser.parse_args().data
    unit, seconds = slowest_megabyte()
    speed = reports_per_second([synthetic(seed) for seed in range(150)])
    lines = [
        "# Rule reader",
        "",
        f"{date.today()}, Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}.",
        "Command: `OMP_NUM_THREADS=1 python benchmarks/reports/bench_reader.py`",
        "",
        "| what | value |",
        "|---|---|",
        f"| reports/s on made-up reports, 1,600 characters, one core | {speed:.0f} |",
        f"| slowest megabyte of {len(ADVERSARIAL)} repeated texts ({unit!r}), CPU seconds | {seconds:.1f} |",
        *accuracy(data),
    ]
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
