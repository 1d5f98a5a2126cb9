"""Few masks, few masks + reports, all masks: train, compare, write the table. Resumable.

usage: python benchmarks/experiments/arms.py NAME COHORT OUTPUT
         [--masks 6 ...] [--reports 50 ...] [--seeds 0 1 2] [--arms NAME|FILE.toml ...] [--set KEY=VALUE ...]

COHORT is a cohort folder whose training studies all have masks: the arms `masks` and `masks+reports` use those of a few
and treat the others as report studies. Each seed draws other masks, initial weights and batches. Writes
benchmarks/results/NAME.md with date, command and the table.

The cohorts of the tables:
  dictamen phantom -o phantom --studies 240 --validation 30 --test 60 --tasks kidney --all-masks --seed 1
  dictamen cohort build phantom/studies.csv -o phantom_cohort --spacing-mm 5
  python benchmarks/real/kidney_cohort.py SHARED_DATA kidney
  dictamen cohort build kidney/studies.csv -o kidney_cohort --spacing-mm 4
  python benchmarks/real/sarcoma_cohort.py SHARED_DATA sarcoma
  dictamen cohort build sarcoma/studies.csv -o sarcoma_cohort
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from dictamen.experiments.arms import ALL, FEW, REPORTS, arm_grid, named_ways
from dictamen.experiments.experiment import run_experiment
from dictamen.training.config import resolve, to_toml

RESULTS = Path(__file__).parent.parent / "results"


def main() -> None:
    """Run or resume, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("cohort", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--masks", type=int, nargs="+", default=[6])
    parser.add_argument("--reports", type=int, nargs="+", help="numbers of report studies; default: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=[FEW, REPORTS, ALL])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    arguments = parser.parse_args()
    base = resolve(None, arguments.settings)
    names, ways = named_ways(arguments.arms)
    started = time.monotonic()
    result = run_experiment(
        arguments.cohort,
        arguments.output,
        arm_grid(names, masks=arguments.masks, reports=arguments.reports or [None], ways=ways),
        seeds=arguments.seeds,
        base=base,
        resume=True,
    )
    tables = "\n".join(comparison.markdown() for comparison in result.comparisons.values())
    text = (
        f"# Arms of supervision: {arguments.name}\n\n{datetime.now(UTC):%Y-%m-%d}, seeds {arguments.seeds}, "
        f"{(time.monotonic() - started) / 60:.0f} minutes in this call. Command:\n\n"
        f"    python benchmarks/experiments/arms.py {' '.join(sys.argv[1:])}\n\n{tables}\n"
        f"Settings that all arms share:\n\n```toml\n{to_toml(base)}```\n"
    )
    (RESULTS / f"{arguments.name}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
