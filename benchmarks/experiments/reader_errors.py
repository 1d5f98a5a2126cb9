"""A copy of a cohort whose reports were read wrongly on purpose, for arms.py: what do reading errors cost?

usage: python benchmarks/experiments/reader_errors.py COHORT OUTPUT --kind size|side [--share 0.2] [--seed 0]

COHORT is a cohort folder; OUTPUT becomes a cohort with the same arrays (linked) and findings of which a share is wrong:
`size`, every diameter times .5 to 2; `side`, left and right exchanged, in what is clear as well.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np

from dictamen.cohort.store import Cohort
from dictamen.reports import table
from dictamen.reports.schema import Finding, ReportFindings

OTHER = {"left": "right", "right": "left"}


def main() -> None:
    """Link the arrays, write the wrong findings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--kind", choices=("size", "side"), required=True)
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    source, rng = Cohort.open(arguments.cohort), np.random.default_rng(arguments.seed)
    arguments.output.mkdir(parents=True)
    for item in arguments.cohort.iterdir():
        if item.name == "arrays":
            (arguments.output / item.name).symlink_to(item.resolve())
        elif item.is_file():
            shutil.copy2(item, arguments.output / item.name)
    change = _wrong_sizes if arguments.kind == "size" else _wrong_side
    known = [report for study in source.ids() if (report := source.findings(study)) is not None]
    training = set(source.ids("train"))
    wrong = [change(r, arguments.share, rng) if r.study_id in training else r for r in known]
    table.write_parquet(wrong, arguments.output / "findings.parquet")


def _wrong_sizes(report: ReportFindings, share: float, rng: np.random.Generator) -> ReportFindings:
    def misread(finding: Finding) -> Finding:
        if not finding.diameters_mm or rng.random() >= share:
            return finding
        factor = 2 ** rng.uniform(-1, 1)
        return finding.model_copy(update={"diameters_mm": tuple(factor * d for d in finding.diameters_mm)})

    return report.model_copy(update={"findings": tuple(misread(finding) for finding in report.findings)})


def _wrong_side(report: ReportFindings, share: float, rng: np.random.Generator) -> ReportFindings:
    if rng.random() >= share:
        return report

    def exchanged(name: str) -> str:
        structure, _, side = name.partition(":")
        return f"{structure}:{OTHER[side]}" if side in OTHER else name

    return report.model_copy(
        update={
            "findings": tuple(f.model_copy(update={"side": OTHER.get(f.side or "", f.side)}) for f in report.findings),
            "clear_structures": tuple(map(exchanged, report.clear_structures)),
            "organ_states": tuple(
                s.model_copy(update={"side": OTHER.get(s.side or "", s.side)}) for s in report.organ_states
            ),
        }
    )


if __name__ == "__main__":
    main()
