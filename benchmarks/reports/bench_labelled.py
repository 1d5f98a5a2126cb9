"""Accuracy of the rule reader on the labelled reports; writes benchmarks/results/reports_labelled.md.

By set, organ and phenomenon.

usage: OMP_NUM_THREADS=1 python benchmarks/reports/bench_labelled.py [--errors]

Intervals are 95 %, by bootstrap over reports. Figures at first contact (before any rule was changed for a set) are
kept in labelled/first_contact.json and shown beside today's.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path

from scoring import ATTRIBUTES, GERMAN, LABELLED, SETS, Score, by_rule, interval, labelled, pooled

from dictamen.reports.lexicon import load
from dictamen.reports.rules import read_report

RESULT = Path(__file__).parents[1] / "results" / "reports_labelled.md"
COLUMNS = ("reports", "lesions", "f1", "f1 95 %", "precision", "recall", *ATTRIBUTES, "clear_recall", "contradictions")
FEW = 5
"""Reports; with fewer, an interval by bootstrap over them says nothing."""


def row(name: str, figures: dict[str, float | int | str]) -> str:
    """One line of a table."""
    return f"| {name} | " + " | ".join(f"{figures.get(column, '')}" for column in COLUMNS) + " |"


def rows_of(groups: dict[str, list[Score]]) -> list[str]:
    """A line for each organ or phenomenon, most lesions first, with the interval of F1 over its reports."""
    table = []
    for name, scores in sorted(groups.items(), key=lambda item: (-lesions_of(item[1]), item[0])):
        low, high = interval(scores, lambda score: score.f1)
        figures = sum(scores, Score()).figures() | {"reports": len(scores)}
        table.append(row(name, {**figures, "f1 95 %": f"{low:.2f}-{high:.2f}" if len(scores) >= FEW else "few"}))
    return table


def lesions_of(scores: list[Score]) -> int:
    """Lesions that there are to find."""
    return sum(score.counts["tp"] + score.counts["fn"] for score in scores)


def f1_with_interval(scores: list[Score]) -> str:
    """F1 and its interval, in words."""
    low, high = interval(scores, lambda score: score.f1)
    return f"{sum(scores, Score()).f1:.3f} ({low:.3f}-{high:.3f})"


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--errors", action="store_true", help="list every disagreement")
    show = parser.parse_args().errors
    contact = json.loads((LABELLED / "first_contact.json").read_text(encoding="utf-8"))
    head = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    lines = [
        "# Rule reader on the labelled reports", "",
        f"{date.today()}, lexicon {load().hash}.",
        "Command: `OMP_NUM_THREADS=1 python benchmarks/reports/bench_labelled.py`.",
        "The reports are invented (benchmarks/reports/labelled).",
        "First contact: the reader as it was before any rule was changed for that set.",
        "", *head,
    ]  # fmt: skip
    everything: list[Score] = []
    rows = []
    for name in SETS:
        scores, _, _, _ = pooled(labelled(name), read_report)
        everything += scores
        rows += labelled(name)
        for what, figures in contact[name].items():
            lines.append(row(f"{name}, {what}", figures))
        low, high = interval(scores, lambda score: score.f1)
        today: dict[str, float | int | str] = {**sum(scores, Score()).figures(), "f1 95 %": f"{low:.2f}-{high:.2f}"}
        lines.append(row(f"{name}, today", today))
    german = load(None, "de")
    errors = []
    for name in GERMAN:
        scores, more, _, _ = pooled(labelled(name), lambda text, study: read_report(text, study, lexicon=german))
        errors += more
        lines += [row(f"{name}, {what}", figures) for what, figures in contact[name].items()]
        lines.append(row(f"{name}, today", dict(sum(scores, Score()).figures())))
    _, more, organs, phenomena = pooled(rows, read_report)
    errors += more
    lines += ["", f"All of them: lesion F1 {f1_with_interval(everything)}.", "", "## By organ", "", *head]
    lines += [
        *rows_of(organs),
        "",
        "## By phenomenon",
        "",
        "Whole reports that hold it.",
        "",
        *head,
        *rows_of(phenomena),
    ]
    lines += ["", "## By rule", "", "| rule | findings | right organ and size |", "|---|---|---|"]
    lines += [f"| {rule} | {total} | {right} |" for rule, (right, total) in by_rule(rows, read_report).items()]
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    for error in errors if show else ():
        print(f"{error.report} | {error.what} | {error.organ} | {error.detail}")


if __name__ == "__main__":
    main()
